"""Read our YAML files: strictly (each value has one meaning), and with errors that name file, line and key."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import yaml
from pydantic import ValidationError

from topology.errors import ConfigurationError, Problem
from topology.fields import Section
from topology.problems import got, problems_of

M = TypeVar("M", bound=Section)


BOTH_READ = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{0,15}[1-9])?")
"""Numbers that every reader of YAML takes for the same value: decimal, and not one digit more than needed."""
ENGINE_NUMBER = re.compile(
    r"[-+]?_*(?:0_*[xXoObB]\w+|(?:\._*[0-9]|[0-9])[0-9_]*(?:\.[0-9_]*)?(?:[eE]_*[-+]?_*[0-9][0-9_]*)?)"
)
ENGINE_DAY = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ]+[0-9]{1,2}:[0-9:.]+.*)?")
"""What the engine's reader takes for a number or a time, once it has dropped each `_`.

Source: gopkg.in/yaml.v3 (resolve.go).
"""
DAY_TAG = "tag:yaml.org,2002:timestamp"
NUMBER_TAG = "tag:yaml.org,2002:float"
NO_FOLD = 1 << 20
"""Columns: no line is broken, however long a sealed value is."""
WORDS = {"true": True, "false": False}
SWITCHES = {"yes": "true", "on": "true", "no": "false", "off": "false"}


class _Refused(yaml.constructor.ConstructorError):
    """Valid YAML that we do not accept, and what to write instead."""

    def __init__(self, node: yaml.Node, message: str, hint: str) -> None:
        super().__init__(None, None, message, node.start_mark)
        self.hint = hint


class _StrictLoader(yaml.SafeLoader):
    """YAML's safe loader, which also refuses what another reader would read differently.

    The engine reads a stack's file as well, and Docker a compose file. Of two equal keys in a mapping PyYAML would take
    the last; `010`, `22:22`, `yes` and dates mean something else to each reader.
    """


class _QuickLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The same over libyaml, which takes a sixth of the time and has words of its own for what is no YAML."""


QUICK_NESTING = 5_000
"""Brackets, dashes and question marks. Measured: libyaml reads 20,000 levels, and ends the process at 200,000."""
READ_DIFFERENTLY = re.compile(r"[\t!\ufeff\ud800-\udfff]|[|>][-+0-9]*#")
"""What libyaml takes in another way than PyYAML's own reader: tabs, tags, marks of the byte order, `|#`."""


class _Dumper(yaml.SafeDumper):
    """YAML's safe dumper, which also quotes strings that the engine would take for numbers or times.

    Lists are indented as in the files that people write, so that a later edit changes no other line.
    """

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        return super().increase_indent(flow, indentless=False)


for _reader in (_StrictLoader, _QuickLoader, _Dumper):
    _reader.add_implicit_resolver(NUMBER_TAG, re.compile(f"(?:{ENGINE_NUMBER.pattern})$"), list("+-.0123456789"))
    _reader.add_implicit_resolver(DAY_TAG, re.compile(f"(?:{ENGINE_DAY.pattern})$"), list("0123456789"))


def _mapping(loader: _StrictLoader, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
    seen: dict[str, int] = {}
    for key_node, _ in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise _Refused(key_node, "a key is a mapping or a list", "put a value that begins with { or [ in quotes")
        if key_node.value in seen:
            message = f"the key {key_node.value!r} is in this mapping twice, first in line {seen[key_node.value]}"
            raise yaml.constructor.ConstructorError(None, None, message, key_node.start_mark)
        seen[key_node.value] = line
    return loader.construct_mapping(node, deep=deep)


def _sequence(loader: _StrictLoader, node: yaml.SequenceNode) -> list[Any]:
    return loader.construct_sequence(node, deep=True)  # at once: a list that holds itself is refused


def _word(_loader: _StrictLoader, node: yaml.Node) -> bool:
    if not isinstance(node, yaml.ScalarNode):
        raise _not_a_scalar(node)
    if (word := node.value.lower()) not in WORDS:
        raise _ambiguous(node, f"write {SWITCHES.get(word, 'true or false')}, ")
    return WORDS[word]


def _number(_loader: _StrictLoader, node: yaml.Node) -> int | float:
    if not isinstance(node, yaml.ScalarNode):
        raise _not_a_scalar(node)
    text = node.value
    if not BOTH_READ.fullmatch(text):
        plain = _plainly(text)
        raise _ambiguous(node, f"write {plain}, " if plain else "")
    return float(text) if "." in text else int(text)


def _plainly(text: str) -> str:
    """Return a number in the form of `BOTH_READ`, leading zeros read as decimal; empty if it has no such form."""
    digits = text.replace("_", "")
    for read in (int, partial(int, base=0), float):
        try:
            number = read(digits)
        except (ValueError, OverflowError):
            continue
        plain = f"{number:.15g}"
        return plain if BOTH_READ.fullmatch(plain) else ""
    return ""


def _ambiguous(node: yaml.ScalarNode, instead: str = "") -> _Refused:
    quoted = f'"{node.value}" in quotes'
    hint = f"{instead}or {quoted} if a string is meant" if instead else f"write {quoted}"
    return _Refused(node, f"`{node.value}` is not the same value for every reader of YAML", hint)


def _not_a_scalar(node: yaml.Node) -> _Refused:
    return _Refused(node, f"{node.tag.rpartition(':')[2]} is the tag of a single value", "remove the tag")


def _refuse(_loader: _StrictLoader, node: yaml.ScalarNode) -> NoReturn:
    raise _ambiguous(node)


for _loader in (_StrictLoader, _QuickLoader):
    _loader.yaml_constructors = {
        tag: yaml.SafeLoader.yaml_constructors[tag] for tag in ("tag:yaml.org,2002:null", "tag:yaml.org,2002:str", None)
    }
    _loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_SEQUENCE_TAG, _sequence)
    _loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
    _loader.add_constructor("tag:yaml.org,2002:bool", _word)
    _loader.add_constructor("tag:yaml.org,2002:int", _number)
    _loader.add_constructor(NUMBER_TAG, _number)
    _loader.add_constructor(DAY_TAG, _refuse)
    _loader.add_constructor("tag:yaml.org,2002:value", _refuse)


def read_yaml(path: Path) -> Any:
    """Read one YAML file. Raises ConfigurationError when it is missing, unreadable or not valid YAML."""
    hint = "check its permissions and encoding (UTF-8)"
    try:
        data = path.read_bytes()
        return parse_yaml(path.name, data.decode("utf-8"))
    except FileNotFoundError:
        message, hint = f"there is no such file in {path.parent}", "restore it with `git checkout`"
    except UnicodeDecodeError as error:
        message = f"cannot be read: line {_line(data, error.start)}: {error}"
    except OSError as error:
        message = f"cannot be read: {error}"
    raise ConfigurationError([Problem(file=path.name, path="", message=message, hint=hint)])


def parse_yaml(file: str, text: str) -> Any:
    """Read the text of a YAML file; `file` is its name in messages. Raises ConfigurationError."""
    hint = "correct the line; indent with two spaces"
    if sum(map(text.count, "[{-?")) < QUICK_NESTING and not READ_DIFFERENTLY.search(text):
        with contextlib.suppress(yaml.YAMLError, RecursionError):  # the other reader says what is wrong
            return yaml.load(text, Loader=_QuickLoader)  # noqa: S506 - a subclass of SafeLoader
    try:
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a subclass of SafeLoader
    except _Refused as error:
        message, hint = _where(error), error.hint
    except yaml.reader.ReaderError as error:
        message = f"is not valid YAML: line {_line(text, error.position)}: {error.reason}: {error.character!r}"
    except yaml.YAMLError as error:
        message = f"is not valid YAML: {_where(error)}"
    except RecursionError:
        message, hint = "is nested too deeply to be read", "remove unneeded brackets"
    raise ConfigurationError([Problem(file=file, path="", message=message, hint=hint)]) from None


def dump_yaml(document: Any) -> str:
    """Return a document as YAML that the engine reads as it was meant."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=NO_FOLD, allow_unicode=True)


def _line(text: str | bytes, position: int) -> int:
    before = text[:position]
    return (before.count("\n") if isinstance(before, str) else before.count(b"\n")) + 1


def _where(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or str(error)
    return f"line {mark.line + 1}, column {mark.column + 1}: {what}" if mark else str(what)


def check_model(
    file: str,
    raw: Any,
    model: type[M],
    cross_check: Callable[[str, M], Sequence[Problem]] | None = None,
    prefix: str = "",
) -> M:
    """Turn raw data into a model; `prefix` is the key above the data. Raises ConfigurationError."""
    if not isinstance(raw, dict):
        what = "is empty" if raw is None else f"expected a mapping, got {got(raw)}"
        raise ConfigurationError([Problem(file=file, path=prefix, message=what, hint="write one `key: value` a line")])
    try:
        value = model.model_validate(raw)
    except ValidationError as error:
        raise ConfigurationError(problems_of(file, model, error, prefix)) from None
    problems = cross_check(file, value) if cross_check else ()
    if problems:
        raise ConfigurationError(problems)
    return value


def read_model(path: Path, model: type[M], cross_check: Callable[[str, M], Sequence[Problem]] | None = None) -> M:
    """Read a YAML file into a model. Raises ConfigurationError with every problem found."""
    return check_model(path.name, read_yaml(path), model, cross_check)
