"""Write docs/settings.md and topology/schemas/ from the typed tree: `python -m topology.settings_doc`.

Nothing is listed by hand: the page is made from the JSON schemas with which editors complete our YAML. Their types,
ranges and defaults are the models' own, meanings are the texts below fields, and rules are the hints of
`topology/fields.py`. Examples are what the tracked files hold.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from topology.fields import Section
from topology.inventory import Inventory
from topology.names import MADE_KEY, PROJECT, SETTINGS_KEY
from topology.settings import SECRET_KEYS, Settings
from topology.versions import Versions

ROOT = Path(__file__).resolve().parents[1]
PAGE = Path("docs/settings.md")
SCHEMAS = Path("topology/schemas")
EXAMPLE_WIDTH = 60
"""Characters of an example; a longer list is cut."""

Schema = dict[str, Any]
PLAIN = {"string": "string", "integer": "whole number", "boolean": "true or false", "object": "section"}
FORMATS = {"ipv4network": "IPv4 range", "date": "day"}
HEAD = """# Settings

Every key of the three files that describe the platform. Made from the code by `python -m topology.settings_doc`: do not
edit this page. [Topology](topology.md) describes how the files work together, and lists the secrets. An unknown key is
an error, and so is a missing key without a default. `<name>` is a key of your choice, `[]` an entry of a list; examples
are from the tracked files. Editors complete and check the files with the [JSON schemas](../topology/schemas) that their
first lines name.
"""


class Sealed(Section):
    """A secret, encrypted: `basec init` writes it, `basec secrets rotate` renews it."""

    secure: str


class _Untitled(GenerateJsonSchema):
    """Without pydantic's titles, which only repeat the keys."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - called by pydantic
        return False


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schema of a part of the tree."""
    return model.model_json_schema(schema_generator=_Untitled)


def stack_schema() -> dict[str, Any]:
    """Return the JSON schema of a stack's file: our settings, and no secret in clear."""
    settings = schema_of(Settings)
    sealed = schema_of(Sealed)
    config = {
        "type": "object",
        "properties": {
            SETTINGS_KEY: {key: value for key, value in settings.items() if key != "$defs"},
            MADE_KEY: {"type": "object", "additionalProperties": {"type": "string"}},
            **{key: sealed for key in SECRET_KEYS if ":" in key},
        },
        "patternProperties": {f"^{PROJECT}:(?!(settings|made)$)": sealed},
        "required": [SETTINGS_KEY],
    }
    return {"$defs": settings["$defs"], "type": "object", "properties": {"config": config}, "required": ["config"]}


def rendered() -> dict[Path, str]:
    """Return every file that is made from the typed tree, by its path in the repository."""
    schemas = {"stack": stack_schema(), "inventory": schema_of(Inventory), "versions": schema_of(Versions)}
    dialect = {"$schema": GenerateJsonSchema.schema_dialect}
    return {
        PAGE: _page(),
        **{SCHEMAS / f"{name}.json": json.dumps(dialect | schema, indent=1) + "\n" for name, schema in schemas.items()},
    }


def _page() -> str:
    stack = _load("Pulumi.production.yaml")["config"][SETTINGS_KEY]
    parts = [
        _file(f"`Pulumi.<stack>.yaml`, below `{SETTINGS_KEY}`", Settings, stack),
        _file("`inventory.yaml`", Inventory, _load("inventory.yaml")),
        _file("`versions.yaml`", Versions, _load("versions.yaml")),
    ]
    return "\n".join([HEAD, *parts])


def _load(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text())


def _file(title: str, model: type[BaseModel], data: Any) -> str:
    schema = schema_of(model)
    lines = [f"## {title}", ""]
    for prefix, section, examples in _sections(schema, schema.get("$defs", {}), [data]):
        heading = [f"### `{prefix.removesuffix('.')}`", ""] if prefix else []
        lines += [*heading, section["description"].partition("\n")[0], ""]
        lines += ["| key | type | rule | meaning | example |", "| --- | --- | --- | --- | --- |"]
        required = section.get("required", ())
        lines += [_row(prefix, key, field, key in required, examples) for key, field in section["properties"].items()]
        lines.append("")
    return "\n".join(lines)


def _sections(
    section: Schema, known: Schema, examples: list[Any], prefix: str = ""
) -> Iterator[tuple[str, Schema, list[Any]]]:
    """Yield a section and those inside it, with the prefix of their keys and examples of their values."""
    yield prefix, section, examples
    for key, field in section["properties"].items():
        values = [each[key] for each in examples if key in each]
        path, inner = _below(field)
        for step in re.findall(r"\[\]|\.<name>", path):
            values = [each for value in values for each in (value if step == "[]" else value.values())]
        if "$ref" in inner:
            found = known[inner["$ref"].rpartition("/")[2]]
            yield from _sections(found, known, values, f"{prefix}{key}{path}.")


def _below(field: Schema) -> tuple[str, Schema]:
    """Return what a list or a mapping is made of, and the path to it; of anything else the field itself."""
    field = _given(field)
    for path, inner in (("[]", field.get("items")), (".<name>", _values(field))):
        if inner:
            deeper, found = _below(inner)
            return path + deeper, found
    return "", field


def _given(field: Schema) -> Schema:
    """Return the schema of a field that is given, where it may be left empty as well."""
    choices = [each for each in field.get("anyOf", ()) if each.get("type") != "null"]
    if len(choices) != 1:
        return field
    return {key: value for key, value in (field | choices[0]).items() if key != "anyOf"}


def _values(field: Schema) -> Schema | None:
    values = field.get("additionalProperties") or next(iter(field.get("patternProperties", {}).values()), None)
    return values if isinstance(values, dict) else None


def _row(prefix: str, key: str, field: Schema, required: bool, examples: list[Any]) -> str:
    rules = list(dict.fromkeys([*_rules(_given(field)), *_rules(_below(field)[1])]))
    if not required:
        rules.append("may be left out" if field.get("default") in (None, []) else f"default {_shown(field['default'])}")
    values = [each[key] for each in examples if key in each]
    is_section = "$ref" in _below(field)[1]
    example = "" if is_section or not values else _shown(values[0])
    meaning = field.get("description", "see below" if is_section else "")
    cells = (f"`{prefix}{key}`", _type(field), "; ".join(rules), meaning, example)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _rules(field: Schema) -> Iterator[str]:
    if choices := field.get("enum", [field["const"]] if "const" in field else []):
        yield "one of: " + ", ".join(f"`{choice}`" for choice in choices)
    if "minimum" in field:
        yield f"{field['minimum']} to {field['maximum']}"
    if "minItems" in field:
        yield "at least one"
    if "uniqueItems" in field:
        yield "none twice"
    if "patternErrorMessage" in field:
        yield field["patternErrorMessage"]


def _type(field: Schema) -> str:
    field = _given(field)
    if "anyOf" in field:
        return " or ".join(map(_type, field["anyOf"]))
    if "items" in field:
        return f"list of {_plural(_type(field['items']))}"
    if values := _values(field):
        return f"mapping of {_plural(_type(values))} by name"
    return "section" if "$ref" in field else FORMATS.get(field.get("format", ""), PLAIN[field["type"]])


def _plural(name: str) -> str:
    return " or ".join(f"{each}s" for each in name.split(" or "))


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("\n").removesuffix("\n...")
    if len(text) > EXAMPLE_WIDTH and isinstance(value, list):
        text = f"[{value[0]}, ...]"
    if len(text) > EXAMPLE_WIDTH and isinstance(value, dict):
        text = next(f"{{{name}: {item}, ...}}" for name, item in value.items())
    return f"`{text}`"


def described(section: BaseModel, prefix: str = "") -> Iterator[tuple[str, object, str]]:
    """Yield key, value and meaning of each field that is not a section, in the order of the fields."""
    for name, value in section:
        if isinstance(value, BaseModel):
            yield from described(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value, type(section).model_fields[name].description or ""


def main() -> None:
    """Write the files."""
    for path, text in rendered().items():
        (ROOT / path).write_text(text)
        print(f"settings_doc: wrote {path}")  # noqa: T201 - its output is its interface


if __name__ == "__main__":
    main()
