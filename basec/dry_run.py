"""Rehearse a cloud stack without an account: the real engine and program, provider plugins that only keep records.

`basec preview --env staging --dry` is what pull requests of forks run, and what anybody may run who has no tokens.
The stack's own settings are used, and its own secrets where its passphrase is known; else secrets are made for the run
and thrown away with it. State, providers and PULUMI_HOME are in a temporary directory, so nothing real is in reach.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import yaml

from basec import local_stack, passphrase_file
from basec.console import say
from basec.environments import Environment
from basec.files import write_private
from basec.programs import Program
from basec.stack_file import SETTINGS_KEY, StackFile
from topology.errors import ConfigurationError
from topology.inventory import load_inventory
from topology.project import required_secrets


@contextmanager
def rehearsal(environment: Environment) -> Iterator[Environment]:
    """Give the environment with a directory of its own, which goes with all that is in it."""
    with tempfile.TemporaryDirectory(prefix="basec-dry-") as directory:
        dry = replace(environment, dry_dir=Path(directory))
        arguments = ["--directory", directory, "--name", environment.name, "--mode", "dry"]
        Program("localcloud", ["allocate", *arguments]).run()
        local_stack.render_project(dry)
        if (passphrase := _own_passphrase(environment)) is not None:
            shutil.copy(environment.stack_file, dry.stack_file)
            write_private(dry.passphrase_file, passphrase + "\n")
            say(f"{environment.name}: dry: with the stack's own secrets")
        else:
            settings = StackFile(environment).settings
            write_private(dry.stack_file, yaml.safe_dump({"config": {SETTINGS_KEY: settings}}, sort_keys=False))
            passphrase_file.make(dry)
            local_stack.fill_secrets(dry, StackFile(dry))
            say(f"{environment.name}: dry: with secrets for this run only")
        yield dry


def _own_passphrase(environment: Environment) -> str | None:
    """Give the passphrase if the stack has all its secrets and it opens them."""
    stack = StackFile(environment)
    if not {*required_secrets(load_inventory(environment.root / "inventory.yaml"))} <= stack.secret_names:
        return None
    try:
        stack.check_passphrase()
        return passphrase_file.read(environment)
    except ConfigurationError:
        return None
