"""Stacks without machines under the real engine: basec runs in this process, in a clone that a test may edit."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import yaml

from basec import environments, main
from basec.environments import Environment
from basec.io.console import stderr
from basec.local.rendering import fill_secrets
from basec.secrets.stack_file import StackFile
from localcloud.allocate import allocate
from localcloud.config import Mode
from localcloud.tests import kept
from tests.cli.cloud_clone import no_ssh
from tests.cli.conftest import REPOSITORY, Outcome, copy_program
from topology.versions import provider_pins

LOCAL = "local-dry"


class DryStack:
    """One environment of a clone, and basec on it."""

    def __init__(self, root: Path, name: str, cloud: Path) -> None:
        self.root = root
        self.name = name
        self.cloud = cloud

    def basec(self, command: str, *arguments: str, code: int = 0) -> Outcome:
        """Run a command and check how it ends."""
        stderr.cache_clear()
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            ended = main.invoke([*command.split(), "--env", self.name, *arguments])
        assert ended == code, err.getvalue()
        return Outcome(ended, out.getvalue(), err.getvalue())

    def urn(self, name: str) -> str:
        """Find a resource of the state by its name."""
        (found,) = (each["urn"] for each in self.resources() if each["urn"].endswith(f"::{name}"))
        return str(found)

    def resources(self) -> list[dict[str, Any]]:
        """Read the state; secrets are encrypted in it."""
        return list(json.loads(self._state.read_text())["checkpoint"]["latest"]["resources"])

    def rewrite(self, name: str, **inputs: str) -> None:
        """Let the state say that a resource was made from other inputs."""
        document = json.loads(self._state.read_text())
        for each in document["checkpoint"]["latest"]["resources"]:
            if each["urn"].endswith(f"::{name}"):
                each["inputs"].update(inputs)
                each["outputs"].update(inputs)
        self._state.write_text(json.dumps(document))

    @property
    def _state(self) -> Path:
        (path,) = self.root.rglob(f"stacks/basecommerce/{self.name}.json")
        return path

    def records(self, kind: str) -> dict[str, Any]:
        """Read what the dry cloud holds of a kind: id -> record."""
        return dict(json.loads((self.cloud / "dry.json").read_text()).get(kind, {}))

    def journal(self) -> str:
        """Read what the plugins did so far: a line for each change."""
        path = self.cloud / "events.jsonl"
        return path.read_text() if path.exists() else ""

    @contextmanager
    def edited(self, file: str, *edits: tuple[str, str]) -> Iterator[None]:
        """Edit a file of the clone, and undo it in the end."""
        path = self.root / file
        original = text = path.read_text()
        for old, new in edits:
            assert old in text, f"{file} has no {old!r}"
            text = text.replace(old, new)
        path.write_text(text)
        try:
            yield
        finally:
            path.write_text(original)


@contextmanager
def clone_of_the_program(directory: Path) -> Iterator[Path]:
    """Copy what the engine needs, and let basec work on the copy. Raises RuntimeError without a CLI."""
    root = directory / "clone"
    root.mkdir()
    copy_program(root)
    with working_in(directory):
        yield root


@contextmanager
def local_stack_that_is_up(factory: pytest.TempPathFactory) -> Iterator[DryStack]:
    """Yield a copy of a local stack without machines after its first `up`, which takes most of such a test's time."""

    def make(directory: Path) -> None:
        with clone_of_the_program(directory) as root:
            local_stack(root).basec("up")

    directory = factory.mktemp("up")
    kept.copy(kept.kept(factory, LOCAL, make), directory)
    with working_in(directory):
        root = directory / "clone"
        yield DryStack(root, LOCAL, root / ".local" / LOCAL / "cloud")


@contextmanager
def working_in(directory: Path) -> Iterator[None]:
    """Let basec work on the clone in a directory. Raises RuntimeError without a CLI."""
    if "BASECOMMERCE_PULUMI" not in os.environ:
        raise RuntimeError("no Pulumi CLI\nhint: set BASECOMMERCE_PULUMI to what `python -m toolchain` prints")
    root = directory / "clone"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environments.resolve, "__defaults__", (root,))
        patch.setattr(environments.known_names, "__defaults__", (root,))
        patch.setattr(environments.seen_names, "__defaults__", (root,))
        patch.setenv("BASECOMMERCE_CACHE", str(directory / "cache"))
        patch.setenv("NO_COLOR", "1")
        patch.setenv("COLUMNS", "160")
        for name in ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"):
            patch.delenv(name, raising=False)
        yield


def local_stack(root: Path) -> DryStack:
    """Initialise a local stack without machines."""
    directory = root / ".local" / LOCAL
    allocate(directory=directory, name=LOCAL, mode=Mode.DRY, cache=root / "cache", http_port=None)
    stack = DryStack(root, LOCAL, directory / "cloud")
    stack.basec("init")
    return stack


def production_stack(root: Path, patch: pytest.MonkeyPatch) -> DryStack:
    """Make the production stack's own settings run on a dry cloud: other plugins, another back-end, made-up secrets."""
    directory = root / "cloud-of-production"
    config = allocate(directory=directory, name="production", mode=Mode.DRY, cache=root / "cache", http_port=None)
    providers = []
    for name, version in provider_pins(REPOSITORY).items():
        script = directory / "plugins" / name / f"pulumi-resource-{name}"
        script.parent.mkdir(parents=True)
        script.write_text(
            f"#!/bin/sh\nexport LOCALCLOUD_CONFIG={directory}/cloud.json PYTHONPATH={REPOSITORY}\n"
            f'exec {sys.executable} -m localcloud.plugin {name} "$@"\n'
        )
        script.chmod(0o755)
        providers.append({"name": name, "path": str(script.parent), "version": version})
    (directory / "bin").mkdir()
    no_ssh(directory / "bin")
    patch.setenv("PATH", f"{directory / 'bin'}:{os.environ['PATH']}")
    project = {"name": "basecommerce", "runtime": "python", "plugins": {"providers": providers}}
    (root / "Pulumi.yaml").write_text(yaml.safe_dump(project))
    path = root / "Pulumi.production.yaml"
    document = yaml.safe_load(path.read_text())
    document["config"]["basecommerce:settings"]["vpc_ip_range"] = str(config.vpc_range)
    document["config"]["basecommerce:settings"]["cloudflare"]["ranges"] = [f"{config.cloudflare_address}/32"]
    path.write_text(yaml.safe_dump(document))

    (directory / "passphrase").write_text("only-for-this-test")
    (directory / "state").mkdir()
    patch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", str(directory / "passphrase"))
    patch.setenv("PULUMI_BACKEND_URL", f"file://{directory / 'state'}?metadata=skip")
    patch.setenv("PULUMI_HOME", str(directory / "home"))
    environment = Environment(name="production", root=root)
    settings = StackFile(environment)
    fill_secrets(environment, settings)
    from pulumi import automation  # noqa: PLC0415 - takes a second, and only these tests need it

    from basec.engine.workspace import EngineCommand  # noqa: PLC0415 - imports pulumi

    command = EngineCommand(Path(os.environ["BASECOMMERCE_PULUMI"]))
    options = automation.LocalWorkspaceOptions(work_dir=str(root), pulumi_command=command)
    automation.create_stack("production", project_name="basecommerce", program=lambda: None, opts=options)
    return DryStack(root, "production", directory / "cloud")
