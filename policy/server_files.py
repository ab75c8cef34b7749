"""Read the servers' configuration files as the servers do, as far as a rule asks."""

from __future__ import annotations

import fnmatch
import ipaddress
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from topology.fleet import LIVE
from topology.mounts import listed, mounts, table
from topology.project import Project

Fault = tuple[str, str, str]
"""Where in the tier's files, what was found, what was expected."""

TOKEN = re.compile(
    r"#[^\n]*|(?P<text>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')|(?P<mark>[{};])|(?P<word>(?:\$\{\w+\}|\\.|[^\s{};\"'])+)"
)


@dataclass(frozen=True, kw_only=True)
class Server:
    """A service of a tier, and the files that it is shipped with."""

    service: Mapping[str, Any]
    services: Mapping[str, Any]
    files: Mapping[str, str]
    project: Project


@dataclass(frozen=True, kw_only=True)
class Directive:
    """One directive of nginx; `block` is what stands between its braces."""

    name: str
    words: tuple[str, ...]
    file: str
    block: tuple[Directive, ...] = field(default=())

    @property
    def text(self) -> str:
        return " ".join((self.name, *self.words))

    @property
    def shown(self) -> str:
        """Name and value, as messages write them."""
        return f"{self.name}: {' '.join(self.words)}"

    def all(self, *names: str) -> Iterator[Directive]:
        """Yield the directives of these names, at any depth."""
        for inner in self.block:
            if inner.name in names:
                yield inner
            yield from inner.all(*names)

    def blocks(self) -> Iterator[Directive]:
        """Yield this block and every block inside it."""
        yield self
        for inner in self.block:
            if inner.block:
                yield from inner.blocks()

    def own(self, name: str) -> Iterator[Directive]:
        """Return the directives of this name in the block itself, not deeper."""
        return (inner for inner in self.block if inner.name == name)


def read_nginx(files: Mapping[str, str], start: str) -> Directive:
    """Read a configuration with all that it includes; `start` names the first of the files: `nginx/nginx.conf`."""
    return Directive(name="", words=(), file=start, block=tuple(_nginx(files, start, 0)))


def _nginx(files: Mapping[str, str], name: str, depth: int) -> Iterator[Directive]:
    tokens = [match for match in TOKEN.finditer(files.get(name, "")) if match.lastgroup]
    return _directives(files, name, iter(tokens), depth)


def _directives(
    files: Mapping[str, str], name: str, tokens: Iterator[re.Match[str]], depth: int
) -> Iterator[Directive]:
    words: list[str] = []
    for token in tokens:
        if token.lastgroup != "mark":
            words.append(token[0][1:-1] if token.lastgroup == "text" else token[0])
        elif token[0] == "}":
            return
        elif words:
            block = tuple(_directives(files, name, tokens, depth)) if token[0] == "{" else ()
            directive = Directive(name=words[0], words=tuple(words[1:]), file=name, block=block)
            words = []
            yield directive
            if directive.name == "include" and depth < 5:
                for included in _included(files, name, directive.words):
                    yield from _nginx(files, included, depth + 1)


def _included(files: Mapping[str, str], name: str, words: Sequence[str]) -> list[str]:
    folder = name.partition("/")[0]
    asked = [word.removeprefix("/etc/nginx/current/") for word in words]
    return sorted(file for word in asked for file in files if fnmatch.fnmatchcase(file, f"{folder}/{word}"))


def read_postgresql(text: str) -> dict[str, str]:
    """Read `postgresql.conf`: names in lower case, the last of two wins, quotes are taken off."""
    found = {}
    for line in text.splitlines():
        match = re.match(r"\s*([A-Za-z_.]+)\s*(?:=\s*|\s)\s*('(?:[^']|'')*'|[^\s#]+)", line)
        if match and not line.lstrip().startswith("#"):
            found[match[1].lower()] = match[2].strip("'").lower()
    return found


def read_redis(text: str) -> list[tuple[str, ...]]:
    """Read `redis.conf`: one tuple a line, the directive in lower case."""
    lines = []
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                name, *words = shlex.split(line)
            except ValueError:
                name, *words = line.split()
            lines.append((name.lower(), *words))
    return lines


def read_hba(text: str) -> list[tuple[str, ...]]:
    """Read `pg_hba.conf`: one tuple a line, without comments."""
    lines = (line.partition("#")[0].split() for line in text.splitlines())
    return [tuple(words) for words in lines if words]


def read_sshd(*texts: str) -> dict[str, str]:
    """Read files of sshd's configuration in their order: names in lower case, the FIRST of two wins."""
    found: dict[str, str] = {}
    for text in texts:
        for line in text.splitlines():
            match = re.match(r"\s*([A-Za-z]+)[\s=]+(.*?)\s*$", line)
            if match:
                found.setdefault(match[1].lower(), match[2].strip('"'))
    return found


def words_of(service: Mapping[str, Any], key: str) -> list[str]:
    """Return `command` or `entrypoint` as words."""
    value = service.get(key)
    return shlex.split(value) if isinstance(value, str) else [str(word) for word in listed(value)]


def shipped(service: Mapping[str, Any], path: str) -> str:
    """Return the file of the bundle that a service finds at a path; empty when it is not of the release."""
    folder_read_again = table(service.get(LIVE)).get("folder")
    for mount in mounts(service):
        if mount.source.endswith("_LIVE:?}") and path.startswith(f"{mount.target}/current/") and folder_read_again:
            return f"{folder_read_again}/{path.removeprefix(mount.target + '/current/')}"
        folder = re.fullmatch(r"(?:\$\{[A-Z][A-Z0-9_]*_DIR:-)?\./([\w./-]+?)\}?", mount.source)
        if folder and path.startswith(f"{mount.target}/"):
            return f"{folder[1]}/{path.removeprefix(mount.target + '/')}"
    return ""


def secret_at(service: Mapping[str, Any], path: str) -> bool:
    """Return whether a service finds a secret of the stack at a path."""
    return any(mount.target == path and mount.source.startswith("${SECRET_") for mount in mounts(service))


def network(text: str) -> ipaddress.IPv4Network | None:
    """Return the network of an address or a range; None for anything else."""
    try:
        return ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        return None
