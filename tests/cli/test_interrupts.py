"""One Ctrl-C ends a command in order, with exit code 130; the engine hears of it exactly once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from pulumi import automation

from basec.engine.workspace import EngineCommand
from basec.io.programs import Program, ProgramError, run_side_by_side
from tests.cli.conftest import REPOSITORY
from topology.errors import HostCheckError

ENGINE = """\
#!/bin/sh
# A stand-in for the engine: it counts the interrupts that it hears, and ends half a second after the first.
case "$*" in *version) echo v3.259.0; exit 0 ;; esac
cd "$(dirname "$0")"
trap 'echo interrupt >> heard; stop=1' INT
echo "$@" >> started
for i in $(seq 100); do
  [ -z "$stop" ] || { sleep 0.5; exit 255; }
  sleep 0.05
done
"""
UP = """\
import os
from pathlib import Path
from types import SimpleNamespace
from basec import environments, main
from basec.engine import operations as engine
from basec.engine import bring_up

def open_stack(environment, command, program):
    return SimpleNamespace(up=lambda **_: command.run(["up"], os.getcwd(), {}))

engine.open_stack = open_stack
def up_local(session, stages, request):
    engine.Engine(session, Path("pulumi").resolve(), None).up()
bring_up._up_local = up_local
main.run(["up", "--env", "local-none"])
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    engine = tmp_path / "pulumi"
    engine.write_text(ENGINE)
    engine.chmod(0o755)
    return tmp_path


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} never came"
        time.sleep(0.02)


def start(directory: Path, code: str) -> subprocess.Popen[str]:
    """Start Python in a process group of its own, as a terminal's shell does.

    Not with the signals of the test run itself: one that was put into the background ignores SIGINT, and so would all
    below it.
    """
    return subprocess.Popen(
        ["env", "--default-signal=INT,TERM", sys.executable, "-c", code],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_interrupt_ends_up_with_130_and_reaches_the_engine_once(directory: Path, number: signal.Signals) -> None:
    with start(directory, UP) as process:
        wait_for(directory / "started")
        os.killpg(process.pid, number)  # as Ctrl-C does: to every process of the group
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert (directory / "heard").read_text() == "interrupt\n"
    assert errors == (
        "interrupted: the engine finishes its current steps; please wait\n"
        "basec: local-none: up interrupted\n"
        "hint: run the same command again to continue\n"
    )


def test_a_second_interrupt_is_answered_and_not_passed_on(directory: Path) -> None:
    with start(directory, UP) as process:
        wait_for(directory / "started")
        os.killpg(process.pid, signal.SIGINT)
        wait_for(directory / "heard")
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert (directory / "heard").read_text() == "interrupt\n"
    assert "still waiting for the engine: stopping it now would leave resources half done\n" in errors


def test_the_engine_is_interrupted_when_basec_is_killed(directory: Path) -> None:
    with start(directory, UP) as process:
        wait_for(directory / "started")
        process.kill()
        process.wait()
        wait_for(directory / "heard")


def test_an_interrupt_between_two_engine_commands_starts_no_other(directory: Path) -> None:
    command = EngineCommand(directory / "pulumi")
    command.allow()
    command.interrupt()
    with pytest.raises(KeyboardInterrupt):
        command.run(["up"], str(directory), {})
    assert not (directory / "started").exists()
    command.allow()
    assert command.run(["version"], str(directory), {}).code == 0


def test_within_an_operation_nothing_is_asked_for_the_result_that_the_sdk_makes_and_nobody_reads(
    directory: Path,
) -> None:
    command = EngineCommand(directory / "no-such-cli")
    command.allow()
    assert json.loads(command.run(["stack", "output", "--json"], str(directory), {}).stdout) == {}
    (entry,) = json.loads(command.run(["stack", "history", "--json"], str(directory), {}).stdout)
    assert entry["result"] == "succeeded"
    command.operating = False
    with pytest.raises(automation.CommandError):
        command.run(["stack", "output", "--json"], str(directory), {})


def module(monkeypatch: pytest.MonkeyPatch, directory: Path, name: str, code: str) -> None:
    """Make a program that `python -m <name>` runs."""
    (directory / f"{name}.py").write_text(textwrap.dedent(code))
    monkeypatch.setattr("basec.io.programs.ROOT", directory)


SLOW = """\
import os, pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.default_int_handler)
pathlib.Path("pid").write_text(str(os.getpid()))
try:
    time.sleep(60)
except KeyboardInterrupt:
    pathlib.Path("cleaned").touch()
    sys.exit(130)
"""
RUN = """\
import pathlib
import basec.io.programs, basec.main
from basec.engine import bring_up
basec.io.programs.ROOT = pathlib.Path.cwd()
bring_up._up_local = lambda *_: basec.io.programs.Program("slow").run()
basec.main.run(["up", "--env", "local-none"])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("send", [os.kill, os.killpg])
def test_an_interrupt_ends_our_programs_too_and_they_clean_up(
    directory: Path, send: object, number: signal.Signals
) -> None:
    (directory / "slow.py").write_text(SLOW)
    with start(directory, RUN) as process:
        wait_for(directory / "pid")
        time.sleep(0.1)
        (os.kill if send is os.kill else os.killpg)(process.pid, number)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert (directory / "cleaned").exists()
    assert errors == "interrupted; the same command continues\n"


def test_the_first_failure_stops_the_programs_beside_it(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module(monkeypatch, directory, "slow", SLOW)
    wait = 'import pathlib, sys, time\nwhile not pathlib.Path("pid").exists(): time.sleep(0.02)\nsys.exit("no disk")'
    module(monkeypatch, directory, "bad", wait)
    with pytest.raises(ProgramError, match="no disk"):
        run_side_by_side(Program("bad"), Program("slow"))
    assert (directory / "cleaned").exists()


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        (3, HostCheckError, "last words"),
        (1, ProgramError, "last words"),
        (130, KeyboardInterrupt, None),
    ],
)
def test_a_programs_exit_code_decides_the_error(
    directory: Path, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[BaseException], text: str | None
) -> None:
    module(monkeypatch, directory, "ends", f"import sys; print('last words', file=sys.stderr); sys.exit({code})")
    lines: list[str] = []
    with pytest.raises(kind, match=text):
        Program("ends", on_line=lines.append).run()
    assert lines == ["last words"]


def test_a_program_that_ends_without_a_word_is_named(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module(monkeypatch, directory, "mute", "raise SystemExit(1)")
    with pytest.raises(ProgramError, match="mute: ended with exit code 1 and no message"):
        Program("mute").run()


def test_what_a_program_says_of_its_failure_is_the_error_and_not_said_twice(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "import sys; sys.exit('works\\nerror: local cloud: no device\\nhint: make one')"
    module(monkeypatch, directory, "fails", text)
    lines: list[str] = []
    with pytest.raises(ProgramError) as caught:
        Program("fails", on_line=lines.append).run()
    assert lines == ["works"]
    assert caught.value.message == "local cloud: no device\nhint: make one"
