"""The shell completes environments, hosts and services, as typer asks for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.commands import root
from tests.cli.fake_droplets import install


@pytest.fixture(autouse=True)
def _hosts(tmp_path: Path, clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "droplets", clone, monkeypatch)
    (clone / ".local/local-two").mkdir(parents=True)
    (clone / ".local/local-two/cloud.json").write_text("{}")


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("status --env ", ["local", "local-two", "staging", "production"]),
        ("up -e st", ["staging"]),
        ("doctor --env ", ["local", "local-two"]),
        ("ssh --env local ", ["edge", "infra", "platform", "vertical"]),
        ("status --env local e", ["edge"]),
        ("ssh --env staging ", []),  # never up from here
        ("smoke --env local ", ["all", "edge", "infra", "platform", "vertical"]),
        ("logs --env local infra ", ["postgres", "redis", "relay", "engines"]),
        ("exec --env local platform r", ["redis", "relay"]),
        ("compose restart --env local nothing ", []),
    ],
)
def test_the_shell_offers_what_there_is(
    line: str, offered: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As bash asks: by environment variables, with the words so far and the number of the one that is being typed."""
    monkeypatch.setenv("_BASEC_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", f"basec {line}")
    monkeypatch.setenv("COMP_CWORD", str(line.count(" ") + 1))
    with pytest.raises(SystemExit):
        root().main([], prog_name="basec")
    assert capsys.readouterr().out.split() == offered
