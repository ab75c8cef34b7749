"""Pages that are shown when something is missing: one design, and nothing that must be loaded."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OF_THE_EDGE = ROOT / "compose/edge/nginx/pages/50x.html"
OF_MAINTENANCE = ROOT / "basec/hosts/maintenance.html"
OF_THE_SHOP = ROOT / "reference_apps/common/reference_common/templates/message.html"
LOADS = re.compile(r"<link|<script|<img|src=|url\(|@import")


def style(page: Path) -> str:
    (found,) = re.findall(r"<style>.*?</style>", page.read_text(), re.S)
    return str(found)


@pytest.mark.parametrize("page", [OF_THE_EDGE, OF_MAINTENANCE, OF_THE_SHOP], ids=lambda page: page.name)
def test_a_page_of_trouble_loads_nothing_and_fits_a_phone(page: Path) -> None:
    text = page.read_text()
    assert LOADS.findall(text) == []
    assert 'name="viewport" content="width=device-width, initial-scale=1"' in text
    assert len(text) < 1024


def test_edge_and_shop_look_alike() -> None:
    assert style(OF_THE_EDGE) == style(OF_MAINTENANCE) == style(OF_THE_SHOP)
