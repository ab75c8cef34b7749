"""Add entries to a YAML file as text: comments, order and spelling of everything else stay as people wrote them.

Why not a library that keeps comments: it would rewrite the whole file in its own style, and be one more dependency,
while all that is ever done to a tracked settings file is to add keys.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

import yaml

INDENT = 2


def add_entries(text: str, path: Sequence[str], entries: Sequence[str]) -> str:
    """Add whole lines below the mapping at `path`, e.g. `["config"]`; tables on the way to it are made if need be.

    `entries` are indented relative to that mapping. Raises ValueError when something else than a table is in the way.
    """
    if not entries:
        return text
    lines = text.splitlines()
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    if node is None:
        node = yaml.MappingNode("tag:yaml.org,2002:map", [])
    column, at = 0, _line_after(node) if node.value else len(lines)
    for depth, key in enumerate(path):
        found = _child(node, key)
        if found is None or not found[1].value:
            if found is not None:  # `config:` or `config: {}`
                line = found[0].start_mark.line
                lines[line] = lines[line][: found[0].end_mark.column] + ":"
                at, column = line + 1, found[0].start_mark.column + INDENT
                rest = path[depth + 1 :]
            else:
                rest = path[depth:]
            entries = _wrapped(rest, entries)
            break
        node = found[1]
        if not isinstance(node, yaml.MappingNode) or node.flow_style:
            raise ValueError(f"{'.'.join(path[: depth + 1])}: is no table with one `key: value` a line")
        column, at = node.value[0][0].start_mark.column, _line_after(node)
    lines[at:at] = [" " * column + entry for entry in entries]
    return "\n".join(lines) + "\n"


def drop_entries(text: str, path: Sequence[str], keys: Container[str]) -> str:
    """Remove entries of the mapping at `path`, e.g. `["config"]`; what is not there is no error."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    for key in path:
        found = _child(node, key) if isinstance(node, yaml.MappingNode) else None
        if found is None:
            return text
        node = found[1]
    lines = text.splitlines()
    pairs = node.value if isinstance(node, yaml.MappingNode) and not node.flow_style else []
    for key_node, value in reversed(pairs):
        if key_node.value in keys:
            del lines[key_node.start_mark.line : _line_after(value)]
    return "\n".join(lines) + "\n"


def _child(node: yaml.Node, key: str) -> tuple[yaml.Node, yaml.Node] | None:
    return next((pair for pair in node.value if pair[0].value == key), None)


def _line_after(node: yaml.Node) -> int:
    """Number the line below a node's last leaf. A block's own end lies behind the comments that follow it."""
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    mark = node.end_mark
    return int(mark.line) if mark.column == 0 else int(mark.line) + 1


def _wrapped(path: Sequence[str], entries: Sequence[str]) -> list[str]:
    lines = list(entries)
    for key in reversed(path):
        lines = [f"{key}:", *(" " * INDENT + line for line in lines)]
    return lines
