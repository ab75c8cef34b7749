"""`basec maintenance` on droplets whose programs really run: what is written, what is shown, what is refused."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from basec.environments import Environment
from basec.hosts import maintenance, smoke, smoke_checks
from basec.hosts.facts import load
from basec.hosts.onhost import maintenance as onhost
from basec.hosts.onhost import status as onhost_status
from basec.hosts.smoke_checks import Result
from basec.session import Session
from tests.cli.conftest import Outcome, Run
from tests.cli.fake_droplets import document, install, running, say
from topology.errors import UsageError

LOCAL = ("--env", "local")


@pytest.fixture
def droplets(tmp_path: Path, clone: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(maintenance, "person", lambda: "Ana Souza")
    monkeypatch.setattr(socket, "gethostname", lambda: "laptop")
    return install(tmp_path / "droplets", clone, monkeypatch)


@pytest.fixture
def place(tmp_path: Path, droplets: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory that every edge has, and an nginx that looks at it at each request."""
    directory = tmp_path / "http"
    directory.mkdir()

    class Nginx(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(503 if (directory / onhost.PAGE).exists() else 301)
            if (directory / onhost.PAGE).exists():
                self.send_header("Retry-After", "300")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Nginx)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(maintenance, "DIRECTORY", str(directory))
    monkeypatch.setattr(maintenance, "PORT", server.server_port)
    yield directory
    server.shutdown()
    server.server_close()


def record(place: Path) -> dict[str, str]:
    return dict(json.loads((place / onhost.RECORD).read_text()))


def second_edge(clone: Path) -> None:
    path = clone / ".basec/local/inventory.yaml"
    known = yaml.safe_load(path.read_text())
    known["local"]["front-two"] = known["local"]["edge"] | {"aliases": []}
    path.write_text(yaml.safe_dump(known))


def test_on_and_off_write_and_remove_and_say_what_was(basec: Run, place: Path) -> None:
    assert basec("maintenance", *LOCAL).stdout == "maintenance  off\n"
    outcome = basec("maintenance", "on", "--message", "Voltamos às 15h.", *LOCAL)
    since = record(place)["since"]
    line = f"since {since} by Ana Souza on laptop: Voltamos às 15h."
    assert outcome == Outcome(0, f"edge: maintenance is on {line}\n", "hint: basec maintenance off --env local\n")
    assert sorted(path.name for path in place.iterdir()) == [onhost.PAGE, onhost.RECORD]
    assert (place / onhost.PAGE).stat().st_mode & 0o777 == 0o644
    assert (place / onhost.RECORD).stat().st_mode & 0o777 == 0o600, "nginx's user does not read who it was"
    assert "Voltamos às 15h." in (place / onhost.PAGE).read_text()
    assert "Ana" not in (place / onhost.PAGE).read_text()
    for words in (("maintenance", "status"), ("maintenance",)):
        assert basec(*words, *LOCAL) == Outcome(0, f"maintenance  on {line}\n", "")
    assert basec("maintenance", "off", *LOCAL) == Outcome(0, f"edge: maintenance is off; it was on {line}\n", "")
    assert list(place.iterdir()) == []
    assert basec("maintenance", "off", *LOCAL) == Outcome(0, "edge: maintenance is off, and was off before\n", "")


def test_a_second_on_replaces_the_message_and_keeps_since_when_and_by_whom(
    basec: Run, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    basec("maintenance", "on", "--message", "um", *LOCAL)
    (place / onhost.RECORD).write_text(json.dumps(record(place) | {"since": "2026-01-31T08:00:00Z"}))
    monkeypatch.setattr(maintenance, "person", lambda: "Bia")
    line = "since 2026-01-31T08:00:00Z by Ana Souza on laptop"
    outcome = basec("maintenance", "on", "--message", "dois", *LOCAL)
    assert outcome.stdout == f"edge: maintenance is still on {line}: dois\n"
    assert '<p style="overflow-wrap: anywhere">dois</p>' in (place / onhost.PAGE).read_text()
    assert basec("maintenance", "on", *LOCAL).stdout == f"edge: maintenance is still on {line}\n"
    assert "overflow-wrap" not in (place / onhost.PAGE).read_text()


def test_the_message_travels_by_standard_input(basec: Run, droplets: Path, place: Path) -> None:
    message = 'it\'s $(touch /tmp/x) `id` \\ "ok"'
    basec("maintenance", "on", "--message", message, *LOCAL)
    assert record(place)["message"] == message
    asked = (droplets / "ssh.calls").read_text()
    assert "python3" in asked
    assert "touch" not in asked
    assert "Ana" not in asked


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ("x" * 301, "301 characters, at most 300"),
        ("two\nlines", r"control character '\n'"),
        ("bell\x07", r"control character '\x07'"),
        ("\x1b[31mred", r"control character '\x1b'"),
        ("right to left \u202e", r"control character '\u202e'"),
        ("not text \udcff", r"control character '\udcff'"),
    ],
)
def test_what_is_no_line_of_text_is_refused_before_a_host_is_asked(
    basec: Run, droplets: Path, place: Path, message: str, problem: str
) -> None:
    outcome = basec("maintenance", "on", "--message", message, *LOCAL)
    assert (outcome.code, outcome.stdout) == (2, "")
    problem_line, hint = outcome.stderr.splitlines()
    assert problem_line == f"basec: maintenance on: --message: {problem}"
    assert hint.startswith("hint: ")
    assert not (droplets / "ssh.calls").exists()


def test_the_longest_message_is_shown_whole_and_blanks_around_it_are_not() -> None:
    assert maintenance.checked_message(f"  {'ã' * 300} ") == "ã" * 300
    assert maintenance.checked_message("  ") == ""
    with pytest.raises(UsageError):
        maintenance.checked_message("ã" * 301)


def test_the_page_has_the_message_as_text() -> None:
    page = maintenance.page("<b onload='x'>&amp; $message")
    assert "&lt;b onload=&#x27;x&#x27;&gt;&amp;amp; $message</p>" in page
    assert "$" not in maintenance.page("")


def test_all_edges_are_turned_on_and_one_that_is_silent_is_named(
    basec: Run, clone: Path, droplets: Path, place: Path
) -> None:
    second_edge(clone)
    (droplets / "edge.down").touch()
    for words, told in (
        (("on",), "front-two: maintenance is on since "),
        (("off",), "front-two: maintenance is off; "),
    ):
        outcome = basec("maintenance", *words, *LOCAL)
        assert outcome.code == 4
        assert outcome.stdout.startswith(told)
        assert outcome.stderr.startswith("edge: cannot be reached by SSH: ")
        assert outcome.stderr.count("hint: ") == 1
    outcome = basec("maintenance", "status", "--json", *LOCAL)
    assert outcome.code == 4
    found = json.loads(outcome.stdout)
    assert found["hosts"] == [{"name": "front-two", "maintenance": None}]
    assert found["no_answer"][0].startswith("edge: cannot be reached")
    assert "vertical" not in (droplets / "ssh.calls").read_text()


def test_edges_that_differ_are_told_apart(basec: Run, clone: Path, droplets: Path) -> None:
    second_edge(clone)
    on = json.dumps({"since": "2026-01-31T08:00:00Z", "by": "ana on laptop", "message": ""})
    say(droplets, "edge", {"before": None, "after": None, "works": None})
    say(droplets, "front-two", {"before": on, "after": on, "works": None})
    told = basec("maintenance", *LOCAL).stdout
    assert told == "maintenance  on since 2026-01-31T08:00:00Z by ana on laptop (front-two only)\n"


def test_an_older_release_is_found_out(basec: Run, droplets: Path) -> None:
    say(droplets, "edge", {"before": None, "after": None, "works": False})
    outcome = basec("maintenance", "on", *LOCAL)
    assert (outcome.code, outcome.stdout) == (4, "")
    assert outcome.stderr == (
        "edge: maintenance: nginx does not show the page: its release is older than this command\n"
        "hint: basec up --env local, then the same command again\n"
    )


def test_an_nginx_that_does_not_run_is_told_and_the_page_waits(
    basec: Run, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setattr(maintenance, "PORT", closed.getsockname()[1])
        outcome = basec("maintenance", "on", *LOCAL)
    assert outcome.code == 0
    assert "edge: nginx does not answer now; visitors get the page once it runs" in outcome.stderr
    assert (place / onhost.PAGE).exists()


def test_a_machine_without_the_directory_is_named(basec: Run, place: Path) -> None:
    place.rmdir()
    outcome = basec("maintenance", "on", *LOCAL)
    assert outcome.code == 4
    assert f"{place}: is not there: `up` makes it" in outcome.stderr
    assert basec("maintenance", *LOCAL).stdout == "maintenance  off\n"


@pytest.mark.parametrize("damaged", ["", "{", "[]", "{}", "\0"])
def test_a_damaged_record_is_on_by_nobody_known_and_can_be_written_again(basec: Run, place: Path, damaged: str) -> None:
    (place / onhost.PAGE).write_text("<p>by hand</p>")
    (place / onhost.RECORD).write_text(damaged)
    assert basec("maintenance", *LOCAL).stdout == "maintenance  on since unknown by unknown\n"
    assert "by Ana Souza on laptop" in basec("maintenance", "on", *LOCAL).stdout


def test_a_record_without_a_page_is_off(place: Path, basec: Run) -> None:
    """As after an `on` or `off` that was killed half-way."""
    (place / onhost.RECORD).write_text('{"since": "x", "by": "y", "message": "z"}')
    assert basec("maintenance", *LOCAL).stdout == "maintenance  off\n"


def test_status_shows_it_and_all_is_still_well(basec: Run, droplets: Path) -> None:
    for role, services in running().items():
        say(droplets, role, document(*services))
    assert "maintenance" not in basec("status", *LOCAL).stdout
    on = json.dumps({"since": "2026-01-31T08:00:00Z", "by": "ana on laptop", "message": "Voltamos às 15h."})
    say(droplets, "edge", document("nginx", "auth", maintenance=on))
    outcome = basec("status", *LOCAL)
    assert outcome.code == 0
    line = "maintenance  on since 2026-01-31T08:00:00Z by ana on laptop: Voltamos às 15h."
    assert outcome.stdout.splitlines()[-2:] == [line, "well: 3 hosts, 8 containers"]
    hosts = json.loads(basec("status", "--json", *LOCAL).stdout)["hosts"]
    found = {host["name"]: host["maintenance"] for host in hosts}
    assert found == {"edge": json.loads(on), "infra": None, "vertical": None}


def test_status_reads_what_was_written(tmp_path: Path) -> None:
    place = tmp_path / maintenance.DIRECTORY.lstrip("/")
    assert onhost_status.maintenance(tmp_path) is None
    place.mkdir(parents=True)
    said = json.dumps({"page": "<p>", "record": {"since": "a", "by": "b", "message": "c"}}).encode()
    onhost.main("on", str(place), "1", "localhost", said)
    assert onhost_status.maintenance(tmp_path) == onhost.state(place) == '{"since": "a", "by": "b", "message": "c"}'
    (place / onhost.RECORD).unlink()
    assert onhost_status.maintenance(tmp_path) == onhost.state(place) == ""


def result(problem: str) -> Result:
    return Result(name="dashboard", host="vertical", milliseconds=1, problem=problem)


def test_smoke_says_since_when_and_by_whom_and_how_it_ends(
    basec: Run, place: Path, clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    basec("maintenance", "on", "--message", "Voltamos às 15h.", *LOCAL)
    monkeypatch.setattr(smoke_checks, "run_all", lambda _: [result(smoke_checks.MAINTENANCE), result("got 502")])
    outcome = basec("smoke", *LOCAL)
    assert outcome.code == 1
    told = f"maintenance is on since {record(place)['since']} by Ana Souza on laptop"
    assert f"FAIL {told}" in " ".join(outcome.stdout.split())
    assert "Voltamos" not in outcome.stdout, "once for each check would be too much"
    assert "FAIL got 502" in outcome.stdout
    assert outcome.stderr == "hint: basec maintenance off --env local\n"


def test_smoke_asks_the_edge_only_where_it_met_the_page(clone: Path, droplets: Path) -> None:
    local = Environment(name="local", root=clone)
    results = [result(""), result("got 502")]
    assert smoke.explained(Session(local), load(local), results) == results
    assert not (droplets / "ssh.calls").exists()
    (droplets / "edge.down").touch()
    said = smoke.explained(Session(local), load(local), [result(smoke_checks.MAINTENANCE)])
    assert said == [result("maintenance is on")], "an edge that is silent hides nothing"


def test_waiting_for_a_stack_ends_at_maintenance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: pytest.fail("waited"))
    assert smoke.until_settled(lambda: [result(smoke_checks.MAINTENANCE)]) == [result(smoke_checks.MAINTENANCE)]
