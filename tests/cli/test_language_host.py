"""Our host for Python programs, asked as the engine asks it, with scripts in the place of programs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import language_pb2
from pulumi.runtime.proto.language_pb2_grpc import LanguageRuntimeStub

from tests.cli.conftest import REPOSITORY
from toolchain.pulumi_cli import HERE, HOST, VERSION
from topology.versions import provider_pins

PROGRAM = """\
#!/bin/sh
printf '%s\\n' "$@" > arguments
env > variables
{body}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose virtual environment is not made yet."""
    (tmp_path / "Pulumi.yaml").write_text("name: x\nruntime:\n  name: python\n  options:\n    virtualenv: .venv\n")
    return tmp_path


def write_program(project: Path, body: str) -> None:
    """Make an interpreter that runs this in the place of a program."""
    python = project / ".venv/bin/python"
    python.parent.mkdir(parents=True, exist_ok=True)
    python.write_text(PROGRAM.format(body=body))
    python.chmod(0o755)


@pytest.fixture
def process(project: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(HERE / "language_host.py"), "--root=x", "127.0.0.1:1"]
    with subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        yield process
        process.kill()


@pytest.fixture
def host(process: subprocess.Popen[str]) -> Iterator[Any]:
    assert process.stdout is not None
    with grpc.insecure_channel(f"127.0.0.1:{int(process.stdout.readline())}") as channel:
        yield LanguageRuntimeStub(channel)


def request(project: Path) -> Any:
    info = language_pb2.ProgramInfo(
        root_directory=str(project), program_directory=str(project), entry_point="__main__.py"
    )
    info.options.update({"virtualenv": ".venv"})
    return language_pb2.RunRequest(
        project="basecommerce",
        stack="staging",
        monitor_address="127.0.0.1:2",
        dryRun=True,
        parallel=4,
        config={"basecommerce:settings": "{}", "basecommerce:key": "canary-of-a-secret"},
        configSecretKeys=["basecommerce:key"],
        info=info,
    )


def test_a_program_gets_its_stack_and_no_secret_in_its_arguments(host: Any, project: Path) -> None:
    write_program(project, "exit 0")
    answer = host.Run(request(project))
    assert (answer.error, answer.bail) == ("", False)
    arguments = (project / "arguments").read_text()
    assert {"--stack=staging", "--dry-run=true", "--monitor=127.0.0.1:2", "--engine=127.0.0.1:1"} <= set(
        arguments.splitlines()
    )
    assert f"{project}/__main__.py" in arguments
    assert "canary" not in arguments
    variables = (project / "variables").read_text()
    assert '"basecommerce:key": "canary-of-a-secret"' in variables
    assert 'PULUMI_CONFIG_SECRET_KEYS=["basecommerce:key"]' in variables
    assert f"VIRTUAL_ENV={project}/.venv" in variables


@pytest.mark.parametrize(
    ("code", "error", "bail"), [(32, "", True), (1, "the program ended with 1", False), (0, "", False)]
)
def test_how_a_program_ended_is_told_and_an_error_that_was_shown_is_not_told_twice(
    host: Any, project: Path, code: int, error: str, bail: bool
) -> None:
    write_program(project, f"exit {code}")
    answer = host.Run(request(project))
    assert (answer.error, answer.bail) == (error, bail)


def test_a_missing_virtual_environment_is_named_with_a_hint(host: Any, project: Path) -> None:
    assert host.Run(request(project)).error == f"{project}/.venv: no virtual environment\nhint: scripts/bootstrap"


@pytest.mark.parametrize("body", ["exec sleep 60", "trap 'exit 0' TERM\nwhile :; do sleep 0.1; done"])
def test_a_cancellation_ends_the_program_and_starts_no_other(host: Any, project: Path, body: str) -> None:
    write_program(project, body)
    answers: list[Any] = []
    running = threading.Thread(target=lambda: answers.append(host.Run(request(project))))
    running.start()
    wait_for(project / "variables")
    host.Cancel(empty_pb2.Empty())
    running.join(5)
    assert [answer.error for answer in answers] == ["cancelled"]
    assert host.Run(request(project)).error == "cancelled"


def test_an_interrupt_of_the_terminal_is_left_to_the_engine(
    host: Any, process: subprocess.Popen[str], project: Path
) -> None:
    write_program(project, "sleep 1")
    answers: list[Any] = []
    running = threading.Thread(target=lambda: answers.append(host.Run(request(project))))
    running.start()
    wait_for(project / "variables")
    os.killpg(process.pid, signal.SIGINT)
    running.join(5)
    assert [answer.error for answer in answers] == [""]


@pytest.mark.skipif(not shutil.which("setpriv"), reason="no setpriv on this machine")
def test_a_killed_host_leaves_no_program(host: Any, process: subprocess.Popen[str], project: Path) -> None:
    write_program(project, "echo $$ > pid; exec sleep 60")
    running = host.Run.future(request(project))
    wait_for(project / "pid")
    pid = int((project / "pid").read_text())
    process.kill()
    process.wait()
    assert isinstance(running.exception(5), grpc.RpcError)
    deadline = time.monotonic() + 5
    while runs(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_it_is_and_what_the_program_needs(host: Any, project: Path) -> None:
    assert host.GetPluginInfo(empty_pb2.Empty()).version == VERSION
    about = host.About(language_pb2.AboutRequest())
    assert (about.executable, about.version) == (sys.executable, sys.version.split()[0])
    packages = host.GetRequiredPackages(language_pb2.GetRequiredPackagesRequest()).packages
    assert {each.name: each.version for each in packages} == {
        name: f"v{version}" for name, version in provider_pins(REPOSITORY).items()
    }


def test_dependencies_are_listed_all_or_those_that_nothing_else_needs(host: Any) -> None:
    every, top = (
        {
            each.name.lower().replace("_", "-")
            for each in host.GetProgramDependencies(
                language_pb2.GetProgramDependenciesRequest(transitiveDependencies=transitive)
            ).dependencies
        }
        for transitive in (True, False)
    )
    assert {"pulumi", "pulumi-digitalocean", "parver"} <= every
    assert "pulumi-digitalocean" in top
    assert not {"pulumi", "parver"} & top


def launched(directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([HERE / HOST, "--version"], cwd=directory, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("place", [".venv", "{project}/elsewhere"])
def test_the_launcher_finds_the_virtual_environment_of_the_project_around_it(project: Path, place: str) -> None:
    named = place.format(project=project)
    (project / "Pulumi.yaml").write_text(f"runtime:\n  name: python\n  options:\n    virtualenv: {named}\n")
    missing = launched(project)
    assert missing.returncode == 1
    wanted = project / Path(named).name
    assert missing.stderr == f"pulumi-language-python: {wanted}: no virtual environment\nhint: scripts/bootstrap\n"
    write_program(project, "exit 0")
    (project / ".venv").rename(project / Path(named).name)
    inner = project / "compose"
    inner.mkdir()
    assert launched(inner).returncode == 0
    assert str(HERE / "language_host.py") in (inner / "arguments").read_text()


def test_the_dependencies_are_installed_by_the_projects_own_script(host: Any, project: Path) -> None:
    script = project / "scripts/bootstrap"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\necho made the virtual environment\n")
    script.chmod(0o755)
    told = host.InstallDependencies(language_pb2.InstallDependenciesRequest(directory=str(project)))
    assert b"".join(each.stdout for each in told) == b"made the virtual environment\n"
    script.write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(grpc.RpcError, match="bootstrap ended with 3"):
        list(host.InstallDependencies(language_pb2.InstallDependenciesRequest(directory=str(project))))


def runs(pid: int) -> bool:
    """Whether a process does; one that has ended may still be listed, until somebody asks how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 10
    while not path.exists() or not path.read_text():
        assert time.monotonic() < deadline, path
        time.sleep(0.02)
