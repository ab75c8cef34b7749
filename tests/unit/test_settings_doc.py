"""docs/settings.md and the JSON schemas match the typed tree, and describe every key."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

import fastjsonschema
import pytest
from pydantic import BaseModel, Field, StrictInt

from tests.unit.test_topology_refusals import MODELS, REFUSED, _fields, _raw
from tests.unit.topology_support import ROOT, raw_file, with_value
from topology import settings_doc
from topology.fields import Name, Section, Some, Table, Unique
from topology.settings_doc import PAGE, SCHEMAS, rendered

FILES = {
    "inventory.yaml": "inventory",
    "versions.yaml": "versions",
    **{f"Pulumi.{stack}.yaml": "stack" for stack in ("local", "staging", "production")},
}


def rows(text: str) -> dict[str, list[str]]:
    """Read the tables: key -> the other cells."""
    found = (line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `"))
    return {cells[0].strip("`"): [cell.strip() for cell in cells[1:]] for cells in found}


def test_the_page_is_where_messages_and_runbooks_say() -> None:
    assert str(PAGE) == "docs/settings.md"


@pytest.mark.parametrize("path", rendered(), ids=str)
def test_page_and_schemas_are_the_ones_that_the_code_gives(path: Any) -> None:
    """On a failure run `python -m topology.settings_doc` and read the difference."""
    assert (ROOT / path).read_text() == rendered()[path]


@pytest.mark.parametrize("file", MODELS)
def test_every_key_has_a_row_with_a_type_and_a_meaning(file: str) -> None:
    listed = [line.split("|") for line in (ROOT / PAGE).read_text().splitlines() if line.startswith("| `")]
    meant = {cells[1].strip(" `"): (cells[2].strip(), cells[-3].strip()) for cells in listed}
    for field in _fields(MODELS[file]):
        kinds = {re.sub(r"\.<name>|\[\]", ".*", key): words for key, words in meant.items()}
        assert all(kinds.get(field, ("", ""))), f"{field} has no type or no meaning: add a text below it"


class Inner(Section):
    """Something inside."""

    size: Annotated[StrictInt, Field(ge=1, le=9)] = 3
    """How big."""


class Outer(Section):
    """Something."""

    word: Literal["left", "right"]
    """Where."""
    names: Some[Name]
    """Who."""
    inner: Annotated[Unique[Inner], Field(alias="in")] = ()
    """What is in it."""
    kept: Table[Name, Inner] | None = None


def page(data: object, model: type[BaseModel] = Outer) -> str:
    return settings_doc._file("`a.yaml`", model, data)


def test_rules_defaults_and_meanings_are_the_models_own() -> None:
    cells = rows(page({"word": "left", "names": ["a", "b"], "in": [{}, {"size": 4}], "kept": {"x": {"size": 5}}}))
    assert cells["word"] == ["string", "one of: `left`, `right`", "Where.", "`left`"]
    assert cells["names"][0] == "list of strings"
    assert cells["names"][1].startswith("at least one; none twice; use a lower-case letter")
    assert cells["names"][2:] == ["Who.", "`[a, b]`"]
    assert cells["in"][:3] == ["list of sections", "none twice; may be left out", "What is in it."]
    assert cells["in[].size"] == ["whole number", "1 to 9; default `3`", "How big.", "`4`"]
    assert cells["kept"][:3] == ["mapping of sections by name", "may be left out", "see below"]
    assert cells["kept.<name>.size"][-1] == "`5`"


def test_a_long_example_is_cut() -> None:
    names = [f"name-{number}" for number in range(20)]
    assert rows(page({"names": names}))["names"][-1] == "`[name-0, ...]`"


def editor(name: str) -> Callable[[Any], str]:
    """Return what an editor reports of a document by a tracked schema: what is wrong, or nothing."""
    judge = fastjsonschema.compile(json.loads((ROOT / SCHEMAS / f"{name}.json").read_text()))

    def marked(document: Any) -> str:
        try:
            judge(document)
        except fastjsonschema.JsonSchemaValueException as error:
            return str(error)
        return ""

    return marked


@pytest.mark.parametrize(("file", "name"), FILES.items())
def test_editors_find_the_schema_of_a_tracked_file_which_fits_it(file: str, name: str) -> None:
    first = (ROOT / file).read_text().partition("\n")[0]
    assert first == f"# yaml-language-server: $schema={SCHEMAS}/{name}.json"
    assert editor(name)(raw_file(file)) == ""


def test_editors_refuse_what_the_types_alone_refuse() -> None:
    """Of the refused values: those of a wrong type, word or size. What depends on other keys, no schema can know."""
    editors = {name: editor(name) for name in FILES.values()}
    alone = re.compile(
        r"expected |is an empty list|.* (is not (allowed|a name|a zone id|a domain name)|too (small|large))$"
    )
    tried = [row for row in REFUSED if alone.match(row[3])]
    assert len(tried) > 60
    for file, key, value, *_ in tried:
        changed = with_value(_raw(file), key, value)
        name, document = ("stack", _stack(changed)) if file == "settings" else (file, changed)
        assert editors[name](document), f"{file}: {key}: {value!r} is taken"


def _stack(settings: Any, **others: object) -> Any:
    return {"config": {"basecommerce:settings": settings, **others}, "encryptionsalt": "v1:x"}


@pytest.mark.parametrize("key", ["basecommerce:token_key", "basecommerce:host_key_front", "digitalocean:token"])
def test_editors_refuse_a_secret_in_clear(key: str) -> None:
    made = {"basecommerce:made": {key: "2026-11-01 v1:a1B2"}}
    assert editor("stack")(_stack(_raw("settings"), **made, **{key: {"secure": "v1:abc"}})) == ""
    assert key in editor("stack")(_stack(_raw("settings"), **made, **{key: "in clear"}))


@pytest.mark.parametrize("key", ["droplets.edge.sise", "droplets.Edge"])
def test_editors_refuse_unknown_keys_and_names(key: str) -> None:
    assert key.rpartition(".")[2] in editor("inventory")(with_value(raw_file("inventory.yaml"), key, {}))
