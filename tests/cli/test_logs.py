"""`basec logs` reads all droplets at once: real programs of ours, started by a stand-in for ssh."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from basec.commands.logs import colour_of_each
from basec.environments import Environment
from basec.hosts import facts
from basec.hosts.logs import parse_since
from basec.hosts.onhost.logs import FORMATS, read_line
from tests.cli.conftest import REPOSITORY, Run
from tests.cli.fake_droplets import install, running
from topology.errors import UsageError
from topology.fleet import service_of

GREEN = {"auth": "auth-green", "construction": "construction-green"}
IN_CLONE = """\
from pathlib import Path
from basec import environments, main
environments.resolve.__defaults__ = (Path({root!r}),)
main.run({arguments!r})
"""


@pytest.fixture
def droplets(tmp_path: Path, clone: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three droplets whose services have said something each, edge first and last; of two colours, green runs."""
    directory = install(tmp_path / "droplets", clone, monkeypatch)
    minute = 0
    for tier, services in running().items():
        names = {service: f"{tier}-{service}" for service in services}
        (directory / f"{tier}.ps").write_text("".join(f"{name} {GREEN.get(key, key)}\n" for key, name in names.items()))
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
    assert lines[0] == "edge nginx            | 01-31 07:00:00 before all"
    assert lines[1] == "infra postgres        | 01-31 08:01:00 postgres at 1"
    assert lines[6] == "vertical construction | 01-31 08:06:00 construction at 6"
    assert lines[-1] == "edge nginx            | 01-31 09:00:00 after all"
    assert len(lines) == 11


def test_one_service_of_one_host_is_all_that_is_read(basec: Run, droplets: Path) -> None:
    assert basec("logs", "platform", "redis", "--env", "local").stdout == "infra redis | 01-31 08:02:00 redis at 2\n"
    assert (droplets / "arguments").read_text() == "logs --timestamps --tail 100 infra-redis\n"


@pytest.mark.parametrize(
    ("service", "options", "passed"),
    [
        ("infra redis", ["-n", "7"], "--tail 7"),  # nobody asks it for health over http
        ("edge auth", ["-n", "7"], "--tail 700"),
        ("edge auth", ["-n", "7", "--all"], "--tail 7"),
        ("edge auth", ["-n", "7", "--errors"], "--tail all"),
        ("edge auth", ["-n", "7", "--all", "--grep", "x"], "--tail all"),
        ("infra redis", ["--since", "1h30m"], "--tail all --since 5400s"),
        ("infra redis", ["--since", "10m", "--tail", "5"], "--tail 5 --since 600s"),
    ],
)
def test_no_more_is_read_than_the_wanted_lines_may_need(
    basec: Run, droplets: Path, service: str, options: list[str], passed: str
) -> None:
    basec("logs", *service.split(), "--env", "local", *options)
    assert (droplets / "arguments").read_text() == f"logs --timestamps {passed} {service.replace(' ', '-')}\n"


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
        (["edge", "redis"], "basec: edge: unknown service 'redis'\nhint: one of nginx, haproxy, auth\n"),
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
    assert len(outcome.stdout.splitlines()) == 7


def test_a_line_cannot_command_the_terminal(basec: Run, droplets: Path) -> None:
    line = "2026-01-31T08:00:00.000000000Z \x1b[31mred\x1b[0m\x1b]0;title\x07 \x9b2J tab\there é\n"
    (droplets / "infra-redis.log").write_text(line)
    outcome = basec("logs", "infra", "redis", "--env", "local")
    assert outcome.stdout == "infra redis | 01-31 08:00:00 red]0;title 2J tab\there é\n"


def test_the_services_are_those_of_the_compose_files() -> None:
    for tier, services in running().items():
        compose = yaml.safe_load((REPOSITORY / "compose" / tier / "compose.yaml").read_text())
        found = [service_of(name) for name, spec in compose["services"].items() if not spec.get("profiles")]
        assert list(services) == list(dict.fromkeys(found))


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


@pytest.mark.parametrize(
    ("no_color", "shown"),
    [
        (
            "",
            "\x1b[34minfra redis |\x1b[0m \x1b[2m01-31 08:02:00\x1b[0m redis at 2\r\n"
            "\x1b[34minfra redis |\x1b[0m \x1b[2m01-31 08:03:00\x1b[0m \x1b[31m1:M # Fatal error\x1b[0m\r\n",
        ),
        ("1", "infra redis | 01-31 08:02:00 redis at 2\r\ninfra redis | 01-31 08:03:00 1:M # Fatal error\r\n"),
    ],
)
def test_a_service_has_its_colour_in_a_terminal_and_an_error_is_red(
    droplets: Path, clone: Path, no_color: str, shown: str
) -> None:
    with (droplets / "infra-redis.log").open("a") as log:
        log.write("2026-01-31T08:03:00.000000000Z 1:M 31 Jan 2026 08:03:00.000 # Fatal error\n")
    ours, theirs = os.openpty()
    with start(clone, "logs", "infra", "redis", "--env", "local", stdout=theirs, NO_COLOR=no_color) as process:
        assert process.wait(20) == 0
    written = os.read(ours, 4096).decode()
    os.close(ours)
    os.close(theirs)
    assert written == shown


def test_each_service_has_a_colour_of_its_own_and_formats(clone: Path, droplets: Path) -> None:
    known = facts.load(Environment(name="local", root=clone))
    colours = colour_of_each(known)
    assert list(colours) == list(dict.fromkeys(service for host in known.hosts.values() for service in host.services))
    assert len(set(colours.values())) == len(colours)
    assert "red" not in colours.values()
    assert set(FORMATS) == set(colours)


UVICORN = "2026-01-31 08:00:00,123 - uvicorn.{} - {} - {} - /usr/lib/python3/dist-packages/uvicorn/h11_impl.py:473"


def access(request: str, status: int) -> str:
    return UVICORN.format("access", "INFO", f'10.77.0.2:0 - "{request} HTTP/1.1" {status}')


@pytest.mark.parametrize(
    ("service", "printed", "level", "shown"),
    [
        ("auth", access("GET /x", 200), "info", 'uvicorn.access - INFO - 10.77.0.2:0 - "GET /x HTTP/1.1" 200'),
        ("auth", access("GET /x", 502), "error", 'uvicorn.access - INFO - 10.77.0.2:0 - "GET /x HTTP/1.1" 502'),
        ("auth", UVICORN.format("error", "ERROR", "no"), "error", "uvicorn.error - ERROR - no"),
        (
            "relay",
            "2026-01-31 08:00:00,123 - outbox_relay - WARNING - redis: gone - /app/outbox_relay/relay.py:75",
            "warning",
            "outbox_relay - WARNING - redis: gone - /app/outbox_relay/relay.py:75",
        ),
        ("construction", "INFO:     Started server process [1]", "info", "INFO:     Started server process [1]"),
        ("construction", "Traceback (most recent call last):", "error", "Traceback (most recent call last):"),
        ("construction", "sh: 1: uvicorn: not found", "-", "sh: 1: uvicorn: not found"),
        (
            "nginx",
            '198.51.100.9 [2026-01-31T08:00:00+00:00] "POST /api/orders HTTP/2.0" 201 12 "-" "curl" port=443',
            "info",
            '198.51.100.9 "POST /api/orders HTTP/2.0" 201 12 "-" "curl" port=443',
        ),
        (
            "nginx",
            '198.51.100.9 [2026-01-31T08:00:00+00:00] "GET / HTTP/2.0" 502 12 "-" "curl" port=443',
            "error",
            '198.51.100.9 "GET / HTTP/2.0" 502 12 "-" "curl" port=443',
        ),
        ("nginx", "2026/01/31 08:00:00 [emerg] 1#1: unknown directive", "critical", "[emerg] 1#1: unknown directive"),
        ("nginx", "2026/01/31 08:00:00 [warn] 7#7: *1 buffered", "warning", "[warn] 7#7: *1 buffered"),
        ("postgres", "2026-01-31 08:00:00.123 UTC [30] LOG:  checkpoint", "info", "[30] LOG:  checkpoint"),
        ("postgres", "2026-01-31 08:00:00.123 UTC [31] a@b ERROR:  no", "error", "[31] a@b ERROR:  no"),
        ("postgres", "2026-01-31 08:00:00.123 UTC [31] a@b FATAL:  no", "critical", "[31] a@b FATAL:  no"),
        ("redis", "1:M 31 Jan 2026 08:00:00.123 * Ready", "notice", "1:M * Ready"),
        ("redis", "1:M 31 Jan 2026 08:00:00.123 # Failed", "error", "1:M # Failed"),
        ("haproxy", "[ALERT]    (1) : config", "critical", "[ALERT]    (1) : config"),
        ("haproxy", "Server construction/construction is DOWN, reason: x", "error", None),
        ("haproxy", "Server construction/construction is UP, reason: x", "-", None),
        ("haproxy", "backend construction has no server available!", "critical", None),
    ],
)
def test_a_line_is_shown_without_a_second_time_and_its_level_is_known(
    service: str, printed: str, level: str, shown: str | None
) -> None:
    assert read_line(service, printed) == (level, printed if shown is None else shown, False)


@pytest.mark.parametrize(
    ("service", "printed", "is_check"),
    [
        ("construction", access("GET /health", 200), True),
        ("construction", access("GET /health", 503), False),
        ("construction", access("GET /healthy-food", 200), False),
        ("construction", access("GET /api/orders/health", 200), False),
        ("auth", access("GET /healthz?probe=1", 204), True),
        ("auth", 'INFO:     127.0.0.1:5000 - "GET /health HTTP/1.1" 200 OK', True),
        ("nginx", '198.51.100.9 [2026-01-31T08:00:00+00:00] "GET /auth/health HTTP/1.1" 200 9 "-" "x"', True),
        ("nginx", '198.51.100.9 [2026-01-31T08:00:00+00:00] "GET / HTTP/1.1" 200 9 "GET /health HTTP/1.1" "x"', False),
    ],
)
def test_only_a_health_check_that_went_well_is_one(service: str, printed: str, is_check: bool) -> None:
    assert read_line(service, printed).is_check is is_check


@pytest.mark.parametrize("service", sorted(FORMATS))
def test_what_follows_an_error_without_a_format_is_part_of_it_where_a_service_writes_such_lines(service: str) -> None:
    level = "-" if service in ("nginx", "redis", "haproxy") else "error"
    assert read_line(service, '  File "x.py", line 1', "error").level == level
    detail = read_line("postgres", "2026-01-31 08:00:00.123 UTC [31] a@b DETAIL:  Key exists", "error")
    assert detail == ("error", "[31] a@b DETAIL:  Key exists", False)


@pytest.fixture
def construction(droplets: Path) -> Path:
    """A service that was asked for health each second but for what it said in the beginning."""
    said = [
        "2026-01-31 08:00:00,000 - construction - INFO - ready - /app/main.py:1",
        access("GET /orders", 200),
        "2026-01-31 08:00:02,000 - construction - ERROR - Order 7 is lost - /app/main.py:2",
        "Traceback (most recent call last):",
        "ValueError: seven",
        *[access("GET /health", 200)] * 50,
    ]
    text = "".join(f"2026-01-31T08:00:{second:02}.000000000Z {line}\n" for second, line in enumerate(said))
    (droplets / "vertical-construction.log").write_text(text)
    return droplets


LOST = "01-31 08:00:02 construction - ERROR - Order 7 is lost - /app/main.py:2"
REQUEST = '01-31 08:00:01 uvicorn.access - INFO - 10.77.0.2:0 - "GET /orders HTTP/1.1" 200'
READY = "01-31 08:00:00 construction - INFO - ready - /app/main.py:1"
TRACE = ["01-31 08:00:03 Traceback (most recent call last):", "01-31 08:00:04 ValueError: seven"]


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ([], [READY, REQUEST, LOST, *TRACE]),
        (["--tail", "3"], [LOST, *TRACE]),
        (["--tail", "0"], []),
        (["--errors"], [LOST, *TRACE]),
        (["--errors", "--tail", "1"], TRACE[1:]),
        (["--grep", "ORDER"], [REQUEST, LOST]),
        (["--grep", "order", "--errors"], [LOST]),
        (["--grep", "[0-9]"], []),
    ],
)
def test_health_checks_are_left_out_and_the_last_lines_are_those_that_are_shown(
    basec: Run, construction: Path, options: list[str], shown: list[str]
) -> None:
    outcome = basec("logs", "vertical", "construction", "--env", "local", *options)
    assert outcome.code == 0
    assert outcome.stdout.splitlines() == [f"vertical construction | {line}" for line in shown]


def test_health_checks_are_shown_on_demand(basec: Run, construction: Path) -> None:
    lines = basec("logs", "vertical", "construction", "--env", "local", "--all").stdout.splitlines()
    assert len(lines) == 55
    assert sum("/health" in line for line in lines) == 50


def test_json_is_an_object_a_line(basec: Run, construction: Path) -> None:
    (construction / "edge-nginx.log").write_text("2026-01-31T09:00:00.123456789Z \x1b[31mwhat\x1b[0m\n")
    lines = basec("logs", "--env", "local", "--json", "--since", "2026-01-31").stdout.splitlines()
    documents = [json.loads(line) for line in lines]
    assert documents[0] == {
        "time": "2026-01-31T08:00:00.000000000Z",
        "host": "vertical",
        "service": "construction",
        "level": "info",
        "message": "construction - INFO - ready - /app/main.py:1",
    }
    assert documents[-1] == {
        "time": "2026-01-31T09:00:00.123456789Z",
        "host": "edge",
        "service": "nginx",
        "level": None,
        "message": "what",
    }


def test_following_shows_the_last_lines_and_then_each_that_is_wanted(construction: Path, clone: Path) -> None:
    (construction / "vertical-construction.more").write_text(
        f"2026-01-31T08:01:01.000000000Z {access('GET /health', 200)}\n"
        f"2026-01-31T08:01:02.000000000Z {access('GET /late', 200)}\n"
    )
    arguments = ("logs", "vertical", "construction", "--follow", "--tail", "1", "--env", "local")
    with start(clone, *arguments) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
        os.killpg(process.pid, signal.SIGINT)
        rest, _ = process.communicate(timeout=20)
    assert lines[0] == f"vertical construction | {TRACE[1]}\n"
    assert lines[1].endswith('"GET /late HTTP/1.1" 200\n')
    assert (process.returncode, rest) == (130, "")
    assert "--follow --since 2026-01-31T08:00:54.000000000Z" in (construction / "arguments").read_text()


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
    (droplets / "edge.events").write_text("new auth-blue\n")
    with start(clone, "logs", "--follow", "--env", "local") as process:
        assert process.stdout is not None
        lines = sorted(process.stdout.readline() for _ in range(12))
        assert "edge auth             | 01-31 10:00:00 of a container that came later\n" in lines
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
