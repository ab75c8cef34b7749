"""docs/settings.md is what the typed tree says, and says something of every key."""

from __future__ import annotations

import re
from typing import Annotated

import pytest
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from tests.unit.test_topology_refusals import MODELS, _fields
from topology import settings_doc
from topology.rules import Listed, Name, Number, Section, Table, choice, not_empty, whole_number
from topology.settings_doc import TARGET, docstrings, render


def rows(text: str) -> dict[str, list[str]]:
    """Read the tables: key -> the other cells."""
    found = (line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `"))
    return {cells[0].strip("`"): [cell.strip() for cell in cells[1:]] for cells in found}


def test_the_page_is_the_one_that_the_code_gives() -> None:
    """On a failure run `python -m topology.settings_doc` and read the difference."""
    assert TARGET.read_text() == render()


@pytest.mark.parametrize("file", MODELS)
def test_every_key_has_a_row_with_a_type_and_a_meaning(file: str) -> None:
    listed = [line.split("|") for line in TARGET.read_text().splitlines() if line.startswith("| `")]
    meant = {cells[1].strip(" `"): (cells[2].strip(), cells[-3].strip()) for cells in listed}
    for field in _fields(MODELS[file]):
        kinds = {re.sub(r"\.<name>|\[\]", ".*", key): words for key, words in meant.items()}
        assert all(kinds.get(field, ("", ""))), f"{field} has no type or no meaning: add a text below it"


class Inner(Section):
    """Something inside. Source: https://example.com/inner"""

    size: Annotated[Number, AfterValidator(whole_number("a size in GiB", 1, 9))] = 3
    """How big. Source: https://example.com/size"""


class Outer(Section):
    """Something."""

    word: Annotated[str, BeforeValidator(choice("a word", "left", "right"))]
    names: Annotated[tuple[Name, ...], Listed, AfterValidator(not_empty("names"))]
    """Who."""
    inner: Annotated[tuple[Annotated[Inner, Table], ...], Listed, Field(alias="in")]
    """What is in it."""


def page(data: object, model: type[BaseModel] = Outer) -> str:
    return settings_doc._file("`a.yaml`", model, data)


def test_rules_defaults_and_meanings_are_the_models_own() -> None:
    cells = rows(page({"word": "left", "names": ["a", "b"], "in": [{}, {"size": 4}]}))
    assert cells["word"] == ["text", "one of: `left`, `right`", "A word.", "`left`"]
    assert cells["names"][0] == "list of texts"
    assert cells["names"][1].startswith("at least one, none twice; use a lower-case letter")
    assert cells["names"][2:] == ["Who.", "`[a, b]`"]
    assert cells["in[].size"] == ["whole number", "1 to 9; default `3`", "How big.", "`4`"]


def test_links_for_readers_of_the_code_stay_out() -> None:
    assert "example.com" not in page({})
    assert docstrings(Inner) == {"size": "How big."}


def test_a_long_example_is_cut() -> None:
    names = [f"name-{number}" for number in range(20)]
    assert rows(page({"names": names}))["names"][-1] == "`[name-0, ...]`"
