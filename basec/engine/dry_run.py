"""Dry-run a cloud stack without an account: the real engine and program, provider plugins that only keep records.

`basec preview --env staging --dry` is what pull requests of forks run, and anybody without tokens may run it.
It uses the stack's own settings, and its own secrets if the passphrase is known; otherwise secrets are made for the run
and deleted with it. State, providers and PULUMI_HOME are in a temporary directory, so nothing real can be reached.

With a base, the program of that commit is brought up there first, by plain Pulumi: two commits of one program cannot be
imported into one process. The preview then shows the difference between the commits.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from basec.engine.variables import variables
from basec.environments import Environment
from basec.io.console import say
from basec.io.files import write_private
from basec.io.programs import Program
from basec.io.temporary import temporary_directory
from basec.local.rendering import fill_secrets, render_project
from basec.secrets import passphrase_file
from basec.secrets.stack_file import StackFile, plain_config
from basec.session import Session
from topology.errors import BasecommerceError, ConfigurationError, UsageError
from topology.names import SETTINGS_KEY


@contextmanager
def rehearsal(session: Session, base: str = "") -> Iterator[Session]:
    """Yield a session on the environment with a temporary directory, removed at the end.

    `base` is a commit to bring up there first. Raises UsageError when git does not know it.
    """
    environment = session.environment
    with temporary_directory("basec-dry-") as directory:
        own = not base and _opens_its_secrets(session)
        dry = replace(environment, dry_dir=directory, own_passphrase=own)
        arguments = ["--directory", str(directory), "--name", environment.name, "--mode", "dry"]
        Program("localcloud", ["allocate", *arguments]).run()
        render_project(dry)
        if base:
            _bring_up(dry, base, directory / "base")
        elif own:  # the passphrase stays where it is: beside the copy, the secrets would be as good as unencrypted
            shutil.copy(environment.stack_file, dry.stack_file)
            say(f"{environment.name}: dry: with the stack's own secrets")
        else:
            passphrase_file.make(dry)
            write_private(dry.stack_file, "config: {}\n")
        rehearsed = Session(dry)
        _fill_stack_file(rehearsed.stack_file, session.stack_file)
        yield rehearsed


def _fill_stack_file(stack: StackFile, original: StackFile) -> None:
    """Copy the unencrypted settings of a tree's file, so that the rules check the real file, and fill in secrets."""
    dry = stack.environment
    clear = plain_config(original.document)
    sealed = {key: value for key, value in stack.config.items() if key not in plain_config(stack.document)}
    stack.document["config"] = {SETTINGS_KEY: None, **sealed, **clear}
    stack.write()
    if fill_secrets(replace(dry, root=original.environment.root), stack):
        say(f"{dry.name}: dry: with secrets for this run only")


def _bring_up(dry: Environment, base: str, tree: Path) -> None:
    """Bring the program of a commit up, from a copy of its tree."""
    tree.mkdir()
    git = ["git", "-C", str(dry.root)]
    found = subprocess.run(
        [*git, "rev-parse", "--verify", "--end-of-options", f"{base}^{{commit}}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode != 0:
        raise UsageError(f"basec: preview: --base: no such commit: {base}", "git log --oneline lists the commits")
    archive = subprocess.run([*git, "archive", "--format=tar", found.stdout.strip()], capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(tree, filter="data")
    (tree / ".venv").symlink_to(sys.prefix)
    passphrase_file.make(dry)
    write_private(dry.stack_file, "config: {}\n")
    _fill_stack_file(StackFile(dry), StackFile(replace(dry, root=tree, dry_dir=None)))
    render_project(dry, program=tree)
    say(f"{dry.name}: dry: brings {base} up from empty state")
    pulumi = Program("toolchain").run().strip()
    own = {**os.environ, **variables(dry), "PULUMI_STACK": dry.name}
    for command in (["stack", "init", dry.name], ["up", "--yes", "--skip-preview"]):
        done = subprocess.run(
            [pulumi, "--non-interactive", *command, "--color=never"],
            cwd=dry.work_dir,
            env=own,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            words = "\n  ".join(f"{done.stdout}{done.stderr}".strip().splitlines()[-20:])
            raise BasecommerceError(
                f"basec: preview: --base: {base}: its program fails in the dry run:\n  {words}",
                f"basec preview --env {dry.name} --dry shows this commit alone",
            )
    render_project(dry)


def _opens_its_secrets(session: Session) -> bool:
    """Return whether the stack has all its secrets, and a passphrase that opens them."""
    if not {*session.required_secrets} <= session.stack_file.secret_names:
        return False
    try:
        session.stack_file.check_passphrase()
    except ConfigurationError:
        return False
    return True
