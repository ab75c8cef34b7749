"""Write docs/settings.md from the typed tree: `python -m topology.settings_doc`.

Nothing is listed by hand: keys, types and defaults are the models' own, rules are the validators' words
(`topology/rules.py`), meanings are the texts below the fields, and examples are what the tracked files hold.
"""

from __future__ import annotations

import ast
import datetime
import inspect
import itertools
import re
import textwrap
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from topology.inventory import Inventory
from topology.project import SETTINGS_KEY
from topology.settings import Settings
from topology.versions import Versions

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "settings.md"
EXAMPLE_WIDTH = 60
"""Characters of an example; a longer list is cut."""

PLAIN = {str: "text", int: "whole number", bool: "true or false", IPv4Network: "IPv4 range", datetime.date: "day"}
HEAD = """# Settings

Every key of the three files that describe the platform. Made from the code by `python -m topology.settings_doc`: do not
edit this page. [Topology](topology.md) says how the files play together, and lists the secrets. A key that is not here
is an error, and so is a missing one without a default. `<name>` is a key of your choice, `[]` an entry of a list;
examples are from the tracked files.
"""


def render() -> str:
    """Give the whole document."""
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
    lines = [f"## {title}", ""]
    for prefix, section, example in _sections(model, data):
        words = _without_source((inspect.getdoc(section) or "").splitlines()[0])
        heading = [f"### `{prefix.removesuffix('.')}`", ""] if prefix else []
        lines += [*heading, words, "", "| key | type | rule | meaning | example |", "| --- | --- | --- | --- | --- |"]
        lines += [_row(prefix, name, field, section, example) for name, field in section.model_fields.items()]
        lines.append("")
    return "\n".join(lines)


def _sections(model: type[BaseModel], data: Any, prefix: str = "") -> Iterator[tuple[str, type[BaseModel], Any]]:
    """List a model and those inside it, with the prefix of their keys and an example of their values."""
    yield prefix, model, data
    for name, field in model.model_fields.items():
        key = field.alias or name
        for path, section in _models(field.annotation):
            values = [item[key] for item in _examples(data) if isinstance(item, Mapping) and key in item]
            yield from _sections(section, _merged(values, path), f"{prefix}{key}{path}.")


def _models(annotation: Any, path: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield path, annotation
        return
    step = {tuple: "[]", Mapping: ".<name>"}.get(_origin(annotation), "")
    for argument in get_args(annotation):
        yield from _models(argument, path + step)


def _origin(annotation: Any) -> Any:
    origin = get_origin(annotation)
    return Mapping if isinstance(origin, type) and issubclass(origin, Mapping) else origin


def _examples(data: Any) -> list[Any]:
    return data if isinstance(data, list) else [data]


def _merged(values: list[Any], path: str) -> list[Any]:
    """Flatten the entries of tables and lists, so that a key of a later entry has an example, too."""
    for step in re.findall(r"\[\]|\.<name>", path):
        values = [item for value in values for item in (value if step == "[]" else value.values())]
    return values


def _row(prefix: str, name: str, field: FieldInfo, section: type[BaseModel], data: Any) -> str:
    key = field.alias or name
    words = [text for text in (_validator_words(item) for item in _validators(field)) if text]
    rules = list(dict.fromkeys(rule for _, rule in words if rule))
    if not field.is_required():
        rules.append(f"default {_shown(field.default)}" if field.default not in (None, ()) else "may be left out")
    values = [item[key] for item in _examples(data) if isinstance(item, Mapping) and key in item]
    is_section = any(True for _ in _models(field.annotation))
    example = "" if is_section or not values else _shown(values[0])
    meaning = meaning_of(section, name)
    if is_section:
        meaning = meaning or "see below"
    cells = (f"`{prefix}{key}`", _type_name(field.annotation), "; ".join(rules), meaning, example)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def described(section: BaseModel, prefix: str = "") -> Iterator[tuple[str, object, str]]:
    """Give key, value and meaning of each field that is no section, in the order of the fields."""
    for name, value in section:
        if isinstance(value, BaseModel):
            yield from described(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value, meaning_of(type(section), name)


def meaning_of(section: type[BaseModel], name: str) -> str:
    """Give the text below a field, else what its validator says that it is."""
    told = (_validator_words(item) for item in _validators(section.model_fields[name]))
    return docstrings(section).get(name) or next((_sentence(words[0]) for words in told if words), "")


def _type_name(annotation: Any) -> str:
    if isinstance(annotation, type):
        return "section" if issubclass(annotation, BaseModel) else PLAIN[annotation]
    arguments = [item for item in get_args(annotation) if item is not type(None) and item is not Ellipsis]
    origin = _origin(annotation)
    if origin is tuple:
        return f"list of {_plural(_type_name(arguments[0]))}"
    if origin is Mapping:
        return f"table of {_plural(_type_name(arguments[1]))} by name"
    return _type_name(arguments[0])


def _plural(name: str) -> str:
    return name if name.startswith(("list", "table", "true")) else f"{name}s"


def _validators(field: FieldInfo) -> Iterator[Any]:
    """Give the rules of a field, then those of its elements."""
    yield from field.metadata
    yield from _inner(field.annotation)


def _inner(annotation: Any) -> Iterator[Any]:
    yield from getattr(annotation, "__metadata__", ())
    arguments = get_args(annotation)
    # A table's keys have rules as well, but they are those of every name.
    for argument in arguments[1:] if _origin(annotation) is Mapping else arguments:
        if not (isinstance(argument, type) and issubclass(argument, BaseModel)):
            yield from _inner(argument)


def _validator_words(item: Any) -> tuple[str, str] | None:
    """Give what a validator wants and by which rule: the `what: rule` of its docstring."""
    if not isinstance(item, BeforeValidator | AfterValidator):
        return None
    first = (inspect.getdoc(item.func) or "").partition("\n")[0]
    what, colon, rule = first.partition(": ")
    return (what, rule.rstrip(".")) if colon else None


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("\n").removesuffix("\n...")
    if len(text) > EXAMPLE_WIDTH and isinstance(value, list):
        text = f"[{value[0]}, ...]"
    if len(text) > EXAMPLE_WIDTH and isinstance(value, dict):
        text = next(f"{{{name}: {item}, ...}}" for name, item in value.items())
    return f"`{text}`"


def docstrings(section: type[BaseModel]) -> dict[str, str]:
    """Read the texts below a model's fields. Links at their end are for readers of the code."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(section))).body
    body = tree.body if isinstance(tree, ast.ClassDef) else []
    found: dict[str, str] = {}
    for field, text in itertools.pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            words = " ".join(str(text.value.value).split())
            found[ast.unparse(field.target)] = _without_source(words)
    return found


def _without_source(words: str) -> str:
    return re.sub(r" ?Source: .*$", "", words)


def main() -> None:
    """Write the document."""
    TARGET.write_text(render())
    print(f"settings_doc: wrote {TARGET.relative_to(ROOT)}")  # noqa: T201 - its output is its interface


if __name__ == "__main__":
    main()
