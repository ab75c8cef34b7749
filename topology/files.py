"""Read our YAML files: strictly (no key twice), and with problems that name file, line and key."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from topology.errors import ConfigurationError, Problem
from topology.problems import problems_of
from topology.rules import Section

M = TypeVar("M", bound=Section)


class _StrictLoader(yaml.SafeLoader):
    """YAML's safe loader, but a key that is twice in a table is an error instead of the last one winning."""


def _mapping(loader: _StrictLoader, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
    seen: dict[Any, int] = {}
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        line = key_node.start_mark.line + 1
        if key in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key!r} is twice in this table, first in line {seen[key]}", key_node.start_mark
            )
        seen[key] = line
    return loader.construct_mapping(node, deep=deep)


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_yaml(path: Path) -> Any:
    """Read one YAML file. Raises ConfigurationError when it is missing, unreadable or not valid YAML."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictLoader)  # noqa: S506 - a subclass of SafeLoader
    except FileNotFoundError:
        problem = Problem(
            file=path.name,
            path="",
            message=f"there is no such file in {path.parent}",
            hint="restore it with `git checkout`",
        )
    except (OSError, UnicodeDecodeError) as error:
        problem = Problem(
            file=path.name,
            path="",
            message=f"cannot be read: {error}",
            hint="check its permissions and encoding (UTF-8)",
        )
    except yaml.YAMLError as error:
        problem = Problem(
            file=path.name,
            path="",
            message=f"is not valid YAML: {_where(error)}",
            hint="correct the line; indent with two spaces",
        )
    raise ConfigurationError([problem])


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
    """Turn raw data into a model; `prefix` is the key that the data stands under. Raises ConfigurationError."""
    if not isinstance(raw, dict):
        what = "is empty" if raw is None else f"holds {type(raw).__name__} {raw!r} instead of a table"
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
