"""A tracked stack under the real engine with dry plugins, throw-away secrets and the policy pack."""

from __future__ import annotations

import json
import os
import runpy
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pulumi.automation as auto
import yaml

from basec.engine import policy_pack
from basec.engine.policy_pack import ReportedViolation
from basec.secrets.secret_values import make_missing
from basec.secrets.stack_file import plain_config
from localcloud.tests.engine_stack import PACKAGES, ROOT, EngineStack
from tests import local_cloud  # noqa: F401 - it finds the CLI for EngineStack
from topology.inventory import load_inventory
from topology.project import required_secrets

PACK = ROOT / policy_pack.PACK
STACKS = ("local", "staging", "production")
TOKEN = "throw-away-token-of-no-account-0123456789"


def program() -> None:
    """Run `__main__.py` afresh, as each engine run does."""
    runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")


@cache
def throw_away_secrets(domain: str) -> Mapping[str, str]:
    """Make what `basec init` would."""
    names = required_secrets(load_inventory(ROOT / "inventory.yaml"))
    made = make_missing(names, domain, str)
    return {**made, "digitalocean:token": TOKEN, "cloudflare:apiToken": TOKEN}


class DryStack(EngineStack):
    """One of the tracked stacks; nothing of it reaches an account."""

    def __init__(
        self, directory: Path, program: Callable[[], None], name: str, *, secrets: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(directory, program, project="basecommerce", name=name)
        self.violations: list[ReportedViolation] = []
        clear = plain_config(yaml.safe_load((ROOT / f"Pulumi.{name}.yaml").read_text()))
        settings = clear["basecommerce:settings"]
        cloud = json.loads((directory / "cloud.json").read_text())
        cloud["vpc_range"] = settings["vpc_ip_range"]
        (directory / "cloud.json").write_text(json.dumps(cloud))
        document = yaml.safe_load(self.file.read_text()) or {}
        document["config"] = {**(document.get("config") or {}), **clear}
        self.file.write_text(yaml.safe_dump(document))
        made = throw_away_secrets(settings["domain"]) if secrets is None else secrets
        values = {
            key if ":" in key else f"basecommerce:{key}": auto.ConfigValue(value, secret=True)
            for key, value in made.items()
        }
        self.stack.set_all_config(values)

    @property
    def file(self) -> Path:
        """The stack's settings, with its secrets encrypted."""
        return self.directory / f"Pulumi.{self.name}.yaml"

    def judge(self, operation: str = "preview", **options: Any) -> list[ReportedViolation]:
        """Run `preview` or `up` under the pack and give what it found; raises CommandError when it is refused."""
        self.violations = []

        def note(event: Any) -> None:
            if event.policy_event is not None:
                self.violations.append(ReportedViolation.from_event(event.policy_event))

        with pack_environment(self.file):
            getattr(self.stack, operation)(policy_packs=[str(PACK)], on_event=note, color="never", **options)
        return self.violations


class LenientStack(DryStack):
    """The same with plugins that accept whatever is declared."""

    @property
    def created(self) -> list[str]:
        """The URNs of what was made."""
        log = self.directory / "created"
        return log.read_text().split() if log.exists() else []

    def _write_plugins(self) -> None:
        for package in PACKAGES:
            path = self.directory / "plugins" / package / f"pulumi-resource-{package}"
            path.parent.mkdir(parents=True)
            path.write_text(
                f"#!/bin/sh\nexport LENIENT_LOG={self.directory}/created PYTHONPATH={ROOT}\n"
                f'exec {sys.executable} -m tests.policy.lenient_plugin "$@"\n'
            )
            path.chmod(0o755)


@contextmanager
def pack_environment(stack_file: Path | None) -> Iterator[None]:
    """Set what basec sets for the pack: the interpreter first on PATH, and the stack's file."""
    before = dict(os.environ)
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{before['PATH']}"
    os.environ.pop("BASECOMMERCE_STACK_FILE", None)
    if stack_file is not None:
        os.environ["BASECOMMERCE_STACK_FILE"] = str(stack_file)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
