"""`basec logs` reads all droplets at once: real programs of ours, started by a stand-in for ssh."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from basec.logs import parse_since
from basec.services import SERVICES
from tests.cli.conftest import REPOSITORY, Run
from tests.cli.fake_droplets import install
from topology.errors import UsageError

IN_CLONE = """\
from pathlib import Path
from basec import environments, main
environments.resolve.__defaults__ = (Path({root!r}),)
main.run({arguments!r})
"""


@pytest.fixture
def droplets(tmp_path: Path, clone: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three droplets whose services have said something each, edge first and last."""
    directory = install(tmp_path / "droplets", clone, monkeypatch)
    minute = 0
    for tier, services in SERVICES.items():
        names = {service: f"{tier}-{service}" for service in services}
        (directory / f"{tier}.ps").write_text("".join(f"{name} {service}\n" for service, name in names.items()))
        (directory / f"{tier}.events").write_text("")
        for service, name in names.items():
            minute += 1
            (directory / f"{name}.log").write_text(f"2026-01-31T08:{minute:02}:00.000000000Z {service} at {minute}\n")
    with (directory / "edge-nginx.log").open("a") as log:
        log.write("2026-01-31T07:00:00.000000000Z before all\n2026-01-31T09:00:00.000000000Z after all\n")
    return directory


def test_lines_of_all_hosts_come_in_the_order_of_time_and_name_host_and_service(basec: Run, droplets: Path) -> None:
    outcome = basec("logs", "--env", "local")
    assert (outcome.code, outcome.stderr) == (0, "")
    lines = outcome.stdout.splitlines()
    assert lines[0] == "edge nginx            | before all"
    assert lines[1] == "infra postgres        | postgres at 1"
    assert lines[6] == "vertical construction | construction at 6"
    assert lines[-1] == "edge nginx            | after all"
    assert len(lines) == 10


def test_one_service_of_one_host_is_all_that_is_read(basec: Run, droplets: Path) -> None:
    assert basec("logs", "platform", "redis", "--env", "local").stdout == "infra redis | redis at 2\n"
    assert (droplets / "arguments").read_text() == "logs --timestamps --tail 100 infra-redis\n"


@pytest.mark.parametrize(
    ("options", "passed"),
    [
        (["-n", "7"], "--tail 7"),
        (["--since", "1h30m"], "--tail all --since 5400s"),
        (["--since", "10m", "--tail", "5"], "--tail 5 --since 600s"),
    ],
)
def test_tail_and_since_are_dockers_own(basec: Run, droplets: Path, options: list[str], passed: str) -> None:
    basec("logs", "infra", "redis", "--env", "local", *options)
    assert (droplets / "arguments").read_text() == f"logs --timestamps {passed} infra-redis\n"


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("90s", "90s"),
        ("2d", "172800s"),
        ("1d2h3m4s", "93784s"),
        ("2026-01-31", "2026-01-31T00:00:00+00:00"),
        ("2026-01-31T08:00:00Z", "2026-01-31T08:00:00+00:00"),
        ("2026-01-31T08:00-03:00", "2026-01-31T08:00:00-03:00"),
    ],
)
def test_since_is_a_duration_or_a_time(text: str, passed: str) -> None:
    assert parse_since(text) == passed


@pytest.mark.parametrize("text", ["yesterday", "10", "10 m", "5w", "--follow"])
def test_since_that_is_neither_is_refused_before_anything_is_asked(text: str) -> None:
    with pytest.raises(UsageError, match="is neither a duration nor a time"):
        parse_since(text)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["web"], "basec: local: unknown host 'web'\nhint: one of edge, infra, platform, vertical\n"),
        (["edge", "redis"], "basec: edge: unknown service 'redis'\nhint: one of nginx, auth\n"),
        (
            ["redis"],
            "basec: local: 'redis' is a service, not a host\nhint: basec logs infra redis --env local\n",
        ),
    ],
)
def test_an_unknown_name_names_the_known_ones(basec: Run, droplets: Path, arguments: list[str], said: str) -> None:
    outcome = basec("logs", *arguments, "--env", "local")
    assert (outcome.code, outcome.stdout, outcome.stderr) == (2, "", said)


def test_a_host_that_cannot_be_reached_ends_with_4_and_the_others_are_shown(basec: Run, droplets: Path) -> None:
    (droplets / "infra.down").touch()
    outcome = basec("logs", "--env", "local")
    assert outcome.code == 4
    assert "infra: cannot be reached by SSH: ssh: connect to host infra port 22: Connection refused\n" in outcome.stderr
    assert len(outcome.stdout.splitlines()) == 6


def test_a_line_cannot_command_the_terminal(basec: Run, droplets: Path) -> None:
    line = "2026-01-31T08:00:00.000000000Z \x1b[31mred\x1b[0m\x1b]0;title\x07 \x9b2J tab\there é\n"
    (droplets / "infra-redis.log").write_text(line)
    outcome = basec("logs", "infra", "redis", "--env", "local")
    assert outcome.stdout == "infra redis | red]0;title 2J tab\there é\n"


def test_the_services_are_those_of_the_compose_files() -> None:
    for tier, services in SERVICES.items():
        compose = yaml.safe_load((REPOSITORY / "compose" / tier / "compose.yaml").read_text())
        assert set(services) == {name for name, spec in compose["services"].items() if not spec.get("profiles")}


def start(clone: Path, *arguments: str, stdout: int = subprocess.PIPE, **environ: str) -> subprocess.Popen[str]:
    """Start basec as a terminal's shell does: a process group of its own, and Ctrl-C not ignored."""
    code = IN_CLONE.format(root=str(clone), arguments=list(arguments))
    return subprocess.Popen(
        ["env", "--default-signal=INT,TERM,PIPE", sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "NO_COLOR": "1", **environ},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_host_and_service_are_coloured_in_a_terminal(
    droplets: Path, clone: Path, no_color: str, coloured: bool
) -> None:
    ours, theirs = os.openpty()
    with start(clone, "logs", "infra", "redis", "--env", "local", stdout=theirs, NO_COLOR=no_color) as process:
        assert process.wait(20) == 0
    shown = os.read(ours, 4096)
    os.close(ours)
    os.close(theirs)
    assert shown == (b"\x1b[36minfra redis |\x1b[0m" if coloured else b"infra redis |") + b" redis at 2\r\n"


def users_of(directory: Path) -> dict[int, str]:
    """Find the processes of a run with the stand-ins, our own apart: their command lines by id."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if f"DROPLETS={directory}".encode() in (path / "environ").read_bytes() and int(path.name) != os.getpid():
                found[int(path.name)] = (path / "cmdline").read_text().replace("\0", " ")
        except (OSError, ValueError):
            continue  # it ended meanwhile
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_following_with_130_and_leaves_no_process_behind(
    droplets: Path, clone: Path, number: signal.Signals
) -> None:
    (droplets / "new.log").write_text("2026-01-31T10:00:00.000000000Z of a container that came later\n")
    (droplets / "edge.events").write_text("new auth\n")
    with start(clone, "logs", "--follow", "--env", "local") as process:
        assert process.stdout is not None
        lines = sorted(process.stdout.readline() for _ in range(11))
        assert "edge auth             | of a container that came later\n" in lines
        sessions = {pid: line for pid, line in users_of(droplets).items() if "BatchMode" in line}
        assert len(sessions) == 3
        assert all(os.getsid(pid) == pid for pid in sessions), "Ctrl-C at a terminal must not reach ssh before us"
        os.killpg(process.pid, number)
        stdout, stderr = process.communicate(timeout=20)
        assert (process.returncode, stdout, stderr) == (130, "", "")
    deadline = time.monotonic() + 5
    while (left := users_of(droplets)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == {}


def test_a_reader_that_goes_away_ends_it_in_silence(droplets: Path, clone: Path) -> None:
    text = "".join(f"2026-01-31T08:00:00.{i:09}Z line {i}\n" for i in range(20_000))
    (droplets / "infra-redis.log").write_text(text)
    with start(clone, "logs", "--env", "local") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(20) == 0
