"""`basec settings`: every key with its value and meaning, and no secret."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.conftest import REPOSITORY, Run


def keys_of_the_page() -> list[str]:
    """List the keys of docs/settings.md that hold a value."""
    page = (REPOSITORY / "docs/settings.md").read_text().split("\n## ")[1]
    return re.findall(r"^\| `([\w.]+)` \| (?!section)", page, re.MULTILINE)


def test_every_key_is_shown_with_a_value_and_a_meaning(basec: Run) -> None:
    outcome = basec("settings", "--env", "staging")
    assert (outcome.code, outcome.stderr) == (0, "")
    title, header, *rows, last = outcome.stdout.splitlines()
    assert (title, header.split()) == ("settings: staging", ["key", "value", "meaning"])
    cells = [re.split(r"  +", row, maxsplit=2) for row in rows if not row.startswith(" ")]
    assert [row[0] for row in cells] == keys_of_the_page()
    assert all(len(row) == 3 and all(row) for row in cells)
    assert next(row[:2] for row in cells if row[0] == "images.tag") == ["images.tag", "sha-1234567"]
    assert last.startswith("from Pulumi.staging.yaml; ")


def test_a_value_is_the_one_of_the_file_as_it_is_edited_now(basec: Run, clone: Path) -> None:
    file = clone / "Pulumi.production.yaml"
    file.write_text(
        file.read_text().replace("tag: sha-1234567", "tag: sha-7654321").replace("protect: true", "protect: false")
    )
    found = basec("settings", "--env", "production").stdout
    assert "sha-7654321" in found
    assert re.search(r"^protect +false ", found, re.MULTILINE)


def test_json_has_whole_lists_and_the_kinds_of_values(basec: Run) -> None:
    document = json.loads(basec("settings", "--env", "production", "--json").stdout)
    assert document["environment"] == "production"
    assert sorted(document["settings"]) == sorted(keys_of_the_page())
    assert len(document["settings"]["cloudflare.ranges"]) == 15
    kinds = {
        key: document["settings"][key] for key in ("protect", "monthly_limit_usd", "images.services", "ssh.sources")
    }
    assert kinds == {"protect": True, "monthly_limit_usd": 40, "images.services": {}, "ssh.sources": ["0.0.0.0/0"]}


def test_no_secret_is_shown(basec: Run, clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = {"DIGITALOCEAN_TOKEN": "dop_v1_" + "c4" * 32, "CLOUDFLARE_API_TOKEN": "canary" * 6 + "Xy99"}
    for name, value in tokens.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(clone / "config"))
    file = clone / "Pulumi.staging.yaml"
    file.write_text(file.read_text().replace("sha-1234567", "sha-89abcde"))
    basec("init", "--env", "staging")
    sealed = re.findall(r"secure: (\S+)", file.read_text())
    assert len(sealed) > 10
    for option in ([], ["--json"]):
        shown = basec("settings", "--env", "staging", *option)
        assert shown.code == 0
        text = shown.stdout + shown.stderr
        assert [each for each in (*tokens.values(), *sealed, "postgres_password", "secure") if each in text] == []


def test_wrong_settings_are_refused_with_their_file(basec: Run, clone: Path) -> None:
    file = clone / "Pulumi.staging.yaml"
    file.write_text(file.read_text().replace("region: nyc3", "region: 7"))
    outcome = basec("settings", "--env", "staging")
    assert (outcome.code, outcome.stdout) == (2, "")
    assert outcome.stderr.startswith("Pulumi.staging.yaml: ")


def test_a_local_stack_names_the_template_that_a_person_edits(basec: Run) -> None:
    assert basec("settings", "--env", "local").stderr.endswith("hint: basec init --env local\n")
    assert basec("init", "--env", "local").code == 0
    outcome = basec("settings", "--env", "local")
    assert outcome.code == 0
    assert re.search(r"^domain +localhost ", outcome.stdout, re.MULTILINE)
    assert outcome.stdout.splitlines()[-1].startswith("from Pulumi.local.yaml and .local/local/Pulumi.local.yaml; ")
