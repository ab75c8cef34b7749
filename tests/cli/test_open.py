"""`basec open`: the shop in the browser, or its address where there is none."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.fake_droplets import install
from tests.cli.test_cost import BILLED, brought_up


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the addresses that a browser was asked for; it takes each."""
    urls: list[str] = []

    def start(url: str) -> bool:
        urls.append(url)
        return True

    monkeypatch.setattr(webbrowser, "open", start)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    return urls


@pytest.fixture
def local(clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "droplets", clone, monkeypatch)


@pytest.mark.parametrize("variable", ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER"])
def test_a_browser_gets_the_local_shop(
    basec: Run, opened: list[str], local: None, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, ":0")
    outcome = basec("open", "--env", "local")
    assert (outcome.code, outcome.stdout, outcome.stderr) == (0, "https://demo.localhost\n", "")
    assert opened == ["https://demo.localhost"]


def test_without_a_display_the_address_is_shown_and_no_browser_for_text_is_started(
    basec: Run, opened: list[str], local: None
) -> None:
    outcome = basec("open", "--env", "local", "--tenant", "acme")
    assert (outcome.code, outcome.stdout) == (0, "https://acme.localhost\n")
    assert outcome.stderr == "no display here: open the address in your own browser\n"
    assert opened == []


def test_without_a_browser_it_says_so_and_is_no_failure(
    basec: Run, opened: list[str], local: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(webbrowser, "open", lambda _: False)
    outcome = basec("open", "--env", "local")
    assert (outcome.code, outcome.stdout) == (0, "https://demo.localhost\n")
    assert outcome.stderr == "no browser found here: open the address in your own\n"


def test_a_cloud_shop_is_a_tenants(basec: Run, clone: Path, opened: list[str]) -> None:
    brought_up(clone, BILLED)
    outcome = basec("open", "--env", "production")
    assert (outcome.code, outcome.stdout) == (2, "")
    assert outcome.stderr == (
        "basec: open: production: each tenant has its own shop, and no tenant was given\n"
        "hint: basec open --env production --tenant NAME\n"
    )
    assert basec("open", "--env", "production", "--tenant", "acme").stdout == "https://acme.localhost\n"
