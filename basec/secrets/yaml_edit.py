"""Edit a YAML file that people wrote: comments, order, quotes and blank lines of everything else stay as they are.

ruamel.yaml keeps a comment with the value ABOVE it. A value added below, or in its place, would separate the
two: so the lines below a value are moved along here. docs/adr/0015 explains the choice of this library.
"""

from __future__ import annotations

import re
import stat
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import CommentMark
from ruamel.yaml.tokens import CommentToken

from basec.io.files import write_private
from topology.errors import ConfigurationError, Problem
from topology.files import NO_FOLD, parse_yaml


class _NoTableError(Exception):
    """Keys would be added to something other than a block of `key: value` lines: its path and its line."""


def edit_yaml(path: Path, change: Callable[[CommentedMap], None]) -> None:
    """Change a YAML file by rename, with the mode that it had. Raises ConfigurationError, with nothing changed."""
    write_private(path, edited(path.name, path.read_text(), change), stat.S_IMODE(path.stat().st_mode))


def edited(file: str, text: str, change: Callable[[CommentedMap], None]) -> str:
    """Return the changed text; `file` is its name in messages. Raises ConfigurationError."""
    parse_yaml(file, text)  # its messages are ours, and it refuses what two parsers read differently
    library = YAML()
    library.preserve_quotes = True
    library.width = NO_FOLD
    library.indent(mapping=2, sequence=4, offset=2)  # as Pulumi writes these files
    document = library.load(text)
    library.dump(document, same := StringIO())
    before, after = list(_comments(text)), _comments(same.getvalue())
    if lost := Counter(comment for _, comment in before) - Counter(comment for _, comment in after):
        line = next(line for line, comment in before if comment in lost)
        raise _refused(file, line, "this comment would be lost: it stands inside brackets, or above a `---`")
    try:
        change(document)
    except _NoTableError as error:
        path, line = error.args
        raise _refused(file, line, "is not a mapping with one `key: value` per line", path) from None
    library.dump(document, changed := StringIO())
    parse_yaml(file, changed.getvalue())
    return changed.getvalue()


def put(table: CommentedMap, path: Sequence[str], value: str | Mapping[str, str]) -> None:
    """Set the value at a path, e.g. `["config", "basecommerce:token_key"]`; missing mappings are created."""
    new: Any = CommentedMap(value) if isinstance(value, Mapping) else value
    *parents, key = path
    for depth, name in enumerate(parents):
        found = table.get(name)
        if found is None or found == {}:
            for missing in reversed(path[depth + 1 :]):
                new = CommentedMap({missing: new})
            key = name
            break
        if not isinstance(found, CommentedMap) or found.fa.flow_style():
            raise _NoTableError(".".join(path[: depth + 1]), table.lc.key(name)[0] + 1)
        table = found
    old = table.get(key)
    if isinstance(old, CommentedMap) and isinstance(new, CommentedMap) and set(old) == set(new):
        old.update(new)  # in place, so that a comment inside stays
        return
    below = _take_below(table, key if key in table else next(reversed(table))) if table else ""
    table[key] = new
    _put_below(table, key, below)


def replace_items(items: CommentedSeq, wanted: Collection[str]) -> None:
    """Remove the items that are not in `wanted` and append the missing ones; the others stay on their lines."""
    below = _take_below(items, len(items) - 1)
    items.extend([item for item in wanted if item not in items])
    _put_below(items, len(items) - 1, below)
    for index in reversed([index for index, item in enumerate(items) if item not in wanted]):
        below = _take_below(items, index)
        del items[index]
        if index:
            _put_below(items, index - 1, below)
        elif below:
            items.ca.items.setdefault(0, [None] * 4)[1] = [CommentToken(below, CommentMark(0))]


def _place(node: Any, key: Any) -> tuple[list[CommentToken | None], int]:
    """Return where the library keeps the comments after and below the last value of `node[key]`."""
    child = node[key]
    while isinstance(child, CommentedMap | CommentedSeq) and child and not child.fa.flow_style():
        node, key = child, len(child) - 1 if isinstance(child, CommentedSeq) else next(reversed(child))
        child = node[key]
    return node.ca.items.setdefault(key, [None] * 4), 0 if isinstance(node, CommentedSeq) else 2


def _take_below(node: Any, key: Any) -> str:
    """Remove the comments and blank lines below a value, and return them; a comment on its line stays."""
    tokens, slot = _place(node, key)
    if (token := tokens[slot]) is None:
        return ""
    behind, _, below = token.value.partition("\n")
    tokens[slot] = CommentToken(f"{behind}\n", token.start_mark) if behind else None
    return below


def _put_below(node: Any, key: Any, lines: str) -> None:
    if lines:
        tokens, slot = _place(node, key)
        token = tokens[slot] or CommentToken("\n", CommentMark(0))
        tokens[slot] = CommentToken(token.value + lines, token.start_mark)


def _comments(text: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of each comment: all that is neither a token of YAML nor white space."""
    end = 0
    for token in yaml.scan(text):
        for found in re.finditer("#.*", text[end : token.start_mark.index]):
            yield text.count("\n", 0, end + found.start()) + 1, found.group().rstrip()
        end = token.end_mark.index


def _refused(file: str, line: int, message: str, path: str = "") -> ConfigurationError:
    hint = "write one `key: value` per line, as in Pulumi.production.yaml, and comments above or behind it"
    return ConfigurationError(
        [Problem(file=file, path=path, message=f"cannot be edited: line {line}: {message}", hint=hint)]
    )
