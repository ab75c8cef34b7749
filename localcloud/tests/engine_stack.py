"""A throw-away stack: a workspace with a file back-end, dry provider plugins and the real engine."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pulumi.automation as auto
from pulumi.runtime import _grpc_settings as sdk

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("digitalocean", "cloudflare", "command")
PASSPHRASE = "only-for-this-test"
Program = Callable[[], None]
PATIENCE = ("grpc.min_reconnect_backoff_ms", 300_000)
"""How long the SDK waits for the engine when it connects. By gRPC's default a machine that stalls for 20 s then fails
a test with `Resource monitor has terminated, shutting down`, as if the engine had ended."""
sdk._GRPC_CHANNEL_OPTIONS.append(PATIENCE)


def find_pulumi() -> Path:
    """Find the CLI. Raises RuntimeError with a hint: engine tests are never skipped in silence."""
    found = os.environ.get("LOCALCLOUD_PULUMI") or shutil.which("pulumi")
    if not found or not Path(found).is_file():
        raise RuntimeError("the Pulumi CLI was not found\nhint: set LOCALCLOUD_PULUMI to its path")
    return Path(found)


class EngineError(auto.CommandError):
    """A failed command of the engine: first why, then all that it printed."""

    def __init__(self, command: str, error: auto.CommandError) -> None:
        said = str(error)
        why = next((line.strip() for line in said.splitlines() if "error:" in line), "no line with `error:`")
        Exception.__init__(self, f"{command}: {type(error).__name__}: {why}\n{said.strip()}")


class _Stack:
    """The SDK's stack, whose commands raise EngineError, without the SDK's frames: their sources hide the message."""

    def __init__(self, stack: auto.Stack) -> None:
        self._stack = stack

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._stack, name)
        if not callable(found):
            return found

        def command(*arguments: Any, **options: Any) -> Any:
            __tracebackhide__ = True
            try:
                return found(*arguments, **options)
            except auto.CommandError as error:
                raised = EngineError(name, error)
            raise raised

        return command


class EngineStack:
    """One stack of a project in a directory of its own."""

    def __init__(
        self,
        directory: Path,
        program: Program,
        *,
        project: str = "sample",
        name: str = "local",
        settings: str = "{}\n",
    ) -> None:
        self.directory = directory
        self.project = project
        self.state = directory / "cloud"
        self.name = name
        if not (directory / "Pulumi.yaml").exists():  # else it is a copy of a stack that was made before
            self._write_cloud()
            self._write_plugins()
            (directory / "Pulumi.yaml").write_text(self._project())
            (directory / f"Pulumi.{name}.yaml").write_text(settings)
            (directory / "backend").mkdir()
        self.environment = {
            "PULUMI_HOME": str(directory / "home"),
            # Without `metadata=skip` each file has an `.attrs` beside it that is not written atomically: a kill in that
            # moment leaves it empty, and every later command fails with `failed to load checkpoint: EOF`.
            "PULUMI_BACKEND_URL": f"file://{directory / 'backend'}?metadata=skip",
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }
        self.program = program
        self.stack = self._open(program)

    def _open(self, program: Program) -> auto.Stack:
        command = auto.PulumiCommand(root=str(_as_root(self.directory, find_pulumi())))
        options = auto.LocalWorkspaceOptions(
            work_dir=str(self.directory), env_vars=self.environment, pulumi_command=command
        )
        stack = auto.create_or_select_stack(
            stack_name=self.name, project_name=self.project, program=program, opts=options
        )
        return cast("auto.Stack", _Stack(stack))

    def use(self, program: Program) -> None:
        """Go on with another program: what an edit of the source is."""
        self.program = program
        self.stack = self._open(program)

    def up(self, **options: Any) -> auto.UpResult:
        """Run `up`; its output is in the result."""
        return self.stack.up(**options)

    def operations(self) -> Mapping[str, int]:
        """Run a preview and count what it plans, e.g. `{"same": 12, "update": 1}`."""
        return {str(op): count for op, count in self.stack.preview().change_summary.items()}

    def events(self) -> list[dict[str, Any]]:
        """Read the plugins' event log."""
        path = self.state / "events.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def records(self) -> dict[str, Any]:
        """Read the dry cloud: kind -> id -> record."""
        path = self.state / "dry.json"
        data: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        data.pop("next_id", None)
        return {kind: records for kind, records in data.items() if records}

    def faults(self, *faults: Mapping[str, Any]) -> None:
        """Inject faults (see localcloud/dry.py); without any, go back to normal."""
        (self.state / "faults.json").write_text(json.dumps(list(faults)))

    def kill_during(self, fault: Mapping[str, Any], deadline_s: float = 90) -> None:
        """Run `up` and kill -9 the CLI in the middle of the change that the fault names."""
        hit = self.state / "fault.hit"
        hit.unlink(missing_ok=True)
        self.faults({"seconds": 120, **fault})
        with ThreadPoolExecutor(max_workers=1) as pool:
            running = pool.submit(self.up)
            ends = time.monotonic() + deadline_s
            while not hit.exists():
                if running.done() or time.monotonic() > ends:
                    raise AssertionError(f"`up` never came to {fault}: {running.exception() if running.done() else ''}")
                time.sleep(0.05)
            os.kill(self.lock_holder(), signal.SIGKILL)
            if running.exception() is None:
                raise AssertionError("a killed `up` ended without an error")
        self.faults()

    def lock_holder(self) -> int:
        """Return the pid in the stack's lock."""
        (lock,) = (self.directory / "backend").rglob("locks/**/*.json")
        return int(json.loads(lock.read_text())["pid"])

    def clear_after_kill(self) -> None:
        """Do what a caller does first after a crash: clear the dead holder's lock and the pending creates."""
        if not Path(f"/proc/{self.lock_holder()}").exists():
            self.stack.cancel()
        self.stack.refresh(clear_pending_creates=True)

    def plugin_processes(self) -> list[int]:
        """List the plugins of this stack that still run."""
        mark = f"LOCALCLOUD_CONFIG={self.directory}/cloud.json".encode()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has ended
                if mark in (process / "environ").read_bytes():
                    found.append(int(process.name))
        return found

    def deployment(self) -> dict[str, Any]:
        """Export the state, with its secrets in clear: the Automation API asks for that."""
        return dict(self.stack.export_stack().deployment or {})

    def _write_cloud(self) -> None:
        self.state.mkdir(parents=True)
        cloud = {
            "name": self.name,
            "mode": "dry",
            "state": str(self.state),
            "cache": str(self.directory / "cache"),
            "public_subnet": "198.51.100.0/27",
            "cloudflare_address": "198.51.100.2",
            "registry_address": "198.51.100.3",
            "vpc_range": "10.77.1.0/24",
            "http_port": 8099,
        }
        (self.directory / "cloud.json").write_text(json.dumps(cloud))

    def _write_plugins(self) -> None:
        for package in PACKAGES:
            path = self.directory / "plugins" / package / f"pulumi-resource-{package}"
            path.parent.mkdir(parents=True)
            path.write_text(
                f"#!/bin/sh\nexport LOCALCLOUD_CONFIG={self.directory}/cloud.json PYTHONPATH={ROOT}\n"
                f'exec {sys.executable} -m localcloud.plugin {package} "$@"\n'
            )
            path.chmod(0o755)

    def _project(self) -> str:
        versions = {"digitalocean": "4.84.1", "cloudflare": "6.23.1", "command": "1.2.1"}
        lines = [f"name: {self.project}", "runtime: python", "plugins:", "  providers:"]
        for package, version in versions.items():
            path = self.directory / "plugins" / package
            lines += [f"    - name: {package}", f"      path: {path}", f"      version: {version}"]
        return "\n".join(lines) + "\n"


def _as_root(directory: Path, pulumi: Path) -> Path:
    """Create the directory layout that the Automation API requires: `<root>/bin/pulumi`."""
    link = directory / "cli" / "bin" / "pulumi"
    if not link.exists():
        link.parent.mkdir(parents=True)
        link.symlink_to(pulumi)
    return directory / "cli"
