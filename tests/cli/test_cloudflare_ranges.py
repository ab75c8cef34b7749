"""Cloudflare's list: shown with its age, renewed in the file without losing anything else, and old ones are told."""

from __future__ import annotations

import datetime
import difflib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from basec.secrets import cloudflare_ranges
from tests.cli.conftest import Run
from tests.unit.topology_support import project
from topology.upkeep import warnings


def today() -> str:
    return str(datetime.datetime.now(datetime.UTC).date())


FILE = "Pulumi.production.yaml"


class Published(ThreadingHTTPServer):
    """A server that answers as it is told."""

    status = 200
    body = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/ips-v4"


class Answer(BaseHTTPRequestHandler):
    server: Published

    def do_GET(self) -> None:
        self.send_response(self.server.status)
        if self.server.status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(self.server.body.encode())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as in the base class
        """Stays silent."""


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> Iterator[Published]:
    """Cloudflare's page on this machine."""
    server = Published(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(cloudflare_ranges.refresh, "__defaults__", (server.url,))
    yield server
    server.shutdown()
    server.server_close()


def present(clone: Path) -> list[str]:
    settings = yaml.safe_load((clone / FILE).read_text())["config"]["basecommerce:settings"]
    networks: list[str] = settings["cloudflare"]["ranges"]
    return networks


def changed_lines(before: str, after: str) -> list[str]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def test_the_list_is_shown_with_its_day_and_age(basec: Run, clone: Path) -> None:
    outcome = basec("cloudflare", "ranges", "--env", "production")
    age = (datetime.date.fromisoformat(today()) - datetime.date(2026, 11, 1)).days
    assert outcome.code == 0
    assert outcome.stdout.splitlines() == [*present(clone), f"15 ranges, copied on 2026-11-01, {age} days ago"]
    document = json.loads(basec("cloudflare", "ranges", "--env", "staging", "--json").stdout)
    wanted = {"environment": "staging", "ranges": present(clone), "date": "2026-11-01", "age_days": age}
    assert document == wanted


def test_a_refresh_changes_the_ranges_and_the_day_and_no_other_line(
    basec: Run, clone: Path, published: Published
) -> None:
    path = clone / FILE
    text = path.read_text().replace("- 103.31.4.0/22\n", "- 103.31.4.0/22 # stays, with its reason\n")
    path.write_text(text)
    path.chmod(0o640)
    left = [network for network in present(clone) if network != "141.101.64.0/18"]
    published.body = "\n".join(["198.18.0.0/15", *left]) + "\n"
    outcome = basec("cloudflare", "ranges", "--refresh", "--env", "production")
    assert outcome.stdout.splitlines() == [
        "+ 198.18.0.0/15",
        "- 141.101.64.0/18",
        f"{FILE}: 1 added, 1 removed, 15 in all; dated {today()}",
    ]
    assert outcome.stderr == "hint: basec preview --env production\n"
    assert changed_lines(text, path.read_text()) == [
        "-        - 141.101.64.0/18",
        '-      ranges_date: "2026-11-01" # when they were copied',
        "+        - 198.18.0.0/15",
        f'+      ranges_date: "{today()}" # when they were copied',
    ]
    assert path.stat().st_mode & 0o777 == 0o640
    again = path.read_text()
    published.body = "\n".join(reversed(present(clone)))
    assert basec("cloudflare", "ranges", "--refresh", "--env", "production").stdout == (
        f"{FILE}: 0 added, 0 removed, 15 in all; dated {today()}\n"
    )
    assert path.read_text() == again


def test_a_refresh_keeps_encrypted_secrets(basec: Run, clone: Path, published: Published) -> None:
    path = clone / FILE
    secrets = "  basecommerce:token_key:\n    secure: v1:abc:def==\nencryptionsalt: v1:x:v1:y:z\n"
    path.write_text(path.read_text() + secrets)
    published.body = "\n".join(present(clone)[:3])
    assert basec("cloudflare", "ranges", "--refresh", "--env", "production").code == 0
    assert path.read_text().endswith(secrets)
    assert len(present(clone)) == 3


@pytest.mark.parametrize(
    "answer",
    [
        (503, "", "basec: {url}: returned 503 Service Unavailable"),
        (302, "", "basec: {url}: returned 302 Found"),
        (200, "", "{url}: ranges: is an empty list"),
        (200, "<html>\n", "{url}: ranges.0: '<html>' is not an IPv4 range"),
        (200, "173.245.48.0/20\n0.0.0.0/0\n", "{url}: ranges.1: '0.0.0.0/0' is too wide for a range of Cloudflare"),
        (200, "173.245.48.0/20\n" * 2, "{url}: ranges: '173.245.48.0/20' is in the list twice"),
        (200, "x" * 20_000, "basec: {url}: returned more than 16384 bytes, which is not a list of ranges"),
    ],
)
def test_an_answer_that_is_no_list_changes_nothing(
    basec: Run, clone: Path, published: Published, answer: tuple[int, str, str]
) -> None:
    before = (clone / FILE).read_text()
    published.status, published.body, message = answer
    outcome = basec("cloudflare", "ranges", "--refresh", "--env", "production")
    assert outcome.code in (1, 2)
    assert outcome.stderr.startswith(message.format(url=published.url) + "\nhint: ")
    assert (outcome.stdout, (clone / FILE).read_text()) == ("", before)


def test_a_page_that_is_not_there_changes_nothing(basec: Run, clone: Path, published: Published) -> None:
    published.shutdown()
    published.server_close()
    before = (clone / FILE).read_text()
    outcome = basec("cloudflare", "ranges", "--refresh", "--env", "production")
    assert (outcome.code, (clone / FILE).read_text()) == (1, before)
    assert "Connection refused" in outcome.stderr


@pytest.mark.parametrize(
    ("layout", "wanted"),
    [
        ("[173.245.48.0/20, 103.21.244.0/22]", " [103.21.244.0/22, 198.18.0.0/15]"),
        (
            "&list\n        - 173.245.48.0/20\n        -\n          103.21.244.0/22",
            "\n        - 103.21.244.0/22\n        - 198.18.0.0/15",
        ),
    ],
    ids=["one line", "a dash alone"],
)
def test_a_list_of_another_layout_is_renewed_as_well(
    basec: Run, clone: Path, published: Published, layout: str, wanted: str
) -> None:
    path = clone / FILE
    head, _, rest = path.read_text().partition("      ranges:\n")
    tail = rest[rest.index("      ranges_date:") :]
    path.write_text(f"{head}      ranges: {layout}\n{tail}")
    published.body = "103.21.244.0/22\n198.18.0.0/15\n"
    assert basec("cloudflare", "ranges", "--refresh", "--env", "production").code == 0
    assert path.read_text() == f"{head}      ranges:{wanted}\n{tail.replace('2026-11-01', today())}"


def test_a_refresh_wants_its_environment_by_name(basec: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASEC_ENV", "production")
    outcome = basec("cloudflare", "ranges", "--refresh")
    assert outcome.code == 2
    assert outcome.stderr == (
        "basec: cloudflare ranges: --refresh changes a file, so it requires --env\n"
        "hint: basec cloudflare ranges --refresh --env production\n"
    )


def test_a_local_stack_has_no_list_to_renew(basec: Run) -> None:
    outcome = basec("cloudflare", "ranges", "--refresh", "--env", "local")
    assert outcome.code == 2
    assert outcome.stderr.startswith("basec: cloudflare ranges: local: a local stack has the address of its stand-in")


@pytest.mark.parametrize(
    ("stack", "days", "told"), [("staging", 91, True), ("staging", 90, False), ("local", 91, False)]
)
def test_a_list_older_than_90_days_is_told(stack: str, days: int, told: bool) -> None:
    today = project(stack).settings.cloudflare.ranges_date + datetime.timedelta(days=days)
    text = [warning.render() for warning in warnings(project(stack), today)]
    assert (
        text
        == [
            "Pulumi.staging.yaml: basecommerce:settings.cloudflare.ranges_date: "
            "warning: the list of Cloudflare's ranges is 91 days old\n"
            "hint: run `basec cloudflare ranges --refresh --env staging`"
        ]
        * told
    )
