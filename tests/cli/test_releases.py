"""`basec releases` shows what each droplet's log says, and what could not be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from basec.hosts import releases
from tests.cli.conftest import Run
from tests.cli.fake_droplets import install
from tests.unit.release_support import release_log

LOCAL = ("--env", "local")
IMAGE = "ghcr.io/procopio420/basecommerce/construction:sha-{}"


@pytest.fixture
def droplets(tmp_path: Path, clone: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(releases, "LOG", str(tmp_path / "{tier}.json"))
    return install(tmp_path / "droplets", clone, monkeypatch)


def write(path: Path, *records: dict[str, Any]) -> None:
    """Write a log, the newest record first."""
    image = IMAGE.format("1111111")
    whole = {
        "number": 1, "digest": "ab" * 32, "images": {"construction": image, "haproxy": "docker.io/library/haproxy:3.0"},
        "began": "2026-11-29T10:00:00Z", "ended": "2026-11-29T10:01:10Z", "outcome": "active", "why": "", "by": "Ana",
    }  # fmt: skip
    path.write_text(json.dumps({"releases": [whole | record for record in records]}))


def test_the_newest_of_all_hosts_comes_first_with_how_it_ended(basec: Run, droplets: Path, tmp_path: Path) -> None:
    why = "vertical: construction: is unhealthy"
    back = {"number": 2, "began": "2026-11-29T12:00:00Z", "outcome": "went back", "why": why, "by": ""}
    write(tmp_path / "vertical.json", back, {})
    write(tmp_path / "edge.json", {"number": 7, "began": "2026-11-29T11:00:00Z", "outcome": "", "ended": ""})
    outcome = basec("releases", *LOCAL)
    assert (outcome.code, outcome.stderr) == (0, "")
    assert [" ".join(line.split()) for line in outcome.stdout.splitlines()] == [
        "releases: local",
        "host number tag digest began (UTC) by outcome why",
        f"vertical 2 sha-1111111 abababababab 2026-11-29 12:00:00 - went back {why}",
        "edge 7 sha-1111111 abababababab 2026-11-29 11:00:00 Ana goes on",
        "vertical 1 sha-1111111 abababababab 2026-11-29 10:00:00 Ana active",
    ]
    assert basec("releases", "edge", *LOCAL).stdout.count("vertical") == 0


def test_a_script_gets_all_of_it(basec: Run, droplets: Path, tmp_path: Path) -> None:
    write(tmp_path / "edge.json", *({"number": number} for number in range(30, 0, -1)))
    document = json.loads(basec("releases", "edge", *LOCAL, "--json").stdout)
    assert (document["environment"], document["no_answer"]) == ("local", [])
    assert [each["number"] for each in document["releases"]] == list(range(30, 0, -1))
    newest = document["releases"][0]
    assert newest["images"]["construction"] == IMAGE.format("1111111")
    assert (newest["host"], newest["outcome"], newest["why"], newest["by"]) == ("edge", "active", None, "Ana")
    assert basec("releases", "edge", *LOCAL).stdout.count("edge") == releases_shown()


def releases_shown() -> int:
    from basec.commands.releases import SHOWN  # noqa: PLC0415 - commands are loaded when they are called

    return SHOWN


def test_where_nothing_was_activated_it_says_so(basec: Run, droplets: Path) -> None:
    assert basec("releases", *LOCAL).stdout == "no release yet\n"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"releases": [{"number": 1}]}', '{"releases": [[]]}'])
def test_a_host_without_an_answer_or_with_a_damaged_log_is_named_and_the_others_are_shown(
    basec: Run, droplets: Path, tmp_path: Path, text: str
) -> None:
    write(tmp_path / "infra.json", {})
    if text:
        (tmp_path / "edge.json").write_text(text)
    else:
        (droplets / "edge.down").touch()
    outcome = basec("releases", *LOCAL)
    assert outcome.code == 4
    assert "infra" in outcome.stdout
    assert outcome.stderr.startswith("edge: ")
    assert outcome.stderr.count("hint: ") == 1
    assert "Traceback" not in outcome.stderr


def test_what_release_py_writes_is_read(basec: Run, droplets: Path, tmp_path: Path) -> None:
    log = release_log.ReleaseLog(tmp_path / "edge.json")
    log.begin("cd" * 32, {"auth": IMAGE.format("2222222")})
    log.end("active")
    (found,) = json.loads(basec("releases", "edge", *LOCAL, "--json").stdout)["releases"]
    assert (found["number"], found["digest"], found["outcome"], found["by"]) == (1, "cd" * 32, "active", None)
