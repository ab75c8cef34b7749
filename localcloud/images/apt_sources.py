"""The machine's own apt settings, changed to the release of the droplets.

The images are built from the mirror that this machine already uses: the project names no mirror, and a machine
behind a proxy or with a private certificate authority builds like any other. A machine whose apt has no Debian archive,
such as Ubuntu, has a mirror in a separate file, which its apt does not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from localcloud.errors import CloudError
from localcloud.naming import NAMESPACE

SUITE = "trixie"
"""Debian 13, the release of the droplets (`debian-13-x64`)."""
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
"""Of the package debian-archive-keyring, on this machine and in the images."""
OWN_SOURCES = f"/etc/{NAMESPACE}/debian.sources"
"""Debian's archives in the form of deb822-style sources (man 5 sources.list); if it exists, nothing else is read."""
_SUITES = re.compile(
    r"(?:bullseye|bookworm|trixie|forky|sid|oldstable|stable|testing|unstable)(?P<pocket>|-updates|-security)"
)
"""A mirror of one of these has `SUITE` too. Source: https://www.debian.org/releases/"""
_ONE_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)")


@dataclass(frozen=True)
class Source:
    """One archive: where it is and which of its suites is used."""

    uri: str
    suite: str

    def stanza(self) -> str:
        return f"Types: deb\nURIs: {self.uri}\nSuites: {self.suite}\nComponents: main\nSigned-By: {KEYRING}\n"


def machine_sources(root: Path = Path("/")) -> tuple[Source, ...]:
    """Read the Debian archives that this machine's apt uses, as sources of `SUITE`.

    Archives of other vendors are left out: they have their own key, component or origin.
    Raises CloudError when no Debian archive is found.
    """
    own = root / OWN_SOURCES.lstrip("/")
    entries = _stanzas(own) if own.is_file() else _entries(root / "etc/apt")
    found: list[Source] = []
    for uri, suite, components, signed_by in entries:
        known = _SUITES.fullmatch(suite)
        if known is None or "main" not in components or (signed_by and "debian-archive" not in signed_by):
            continue
        source = Source(uri.rstrip("/"), SUITE + known["pocket"])
        if source not in found and _origin(root, uri, suite) in (None, "Debian"):
            found.append(source)
    if not any(source.suite == SUITE for source in found):
        place = OWN_SOURCES if own.is_file() else "/etc/apt"
        raise CloudError(
            f"{place}: no Debian archive with component main, which the images are made from\n"
            f"hint: name a Debian mirror in {OWN_SOURCES}: docs/hosts.md#a-debian-mirror"
        )
    return tuple(found)


def apt_options(dump: str) -> tuple[str, ...]:
    """Pick the proxy and certificate settings out of `apt-config dump`, as apt.conf lines."""
    wanted = re.compile(r'Acquire::(?:http|https)::(?:\S+::)?(?:Proxy|CaInfo|Verify-Peer)\S* "[^"]+";')
    return tuple(line for line in dump.splitlines() if wanted.fullmatch(line) and "Auto-Detect" not in line)


def _origin(root: Path, uri: str, suite: str) -> str | None:
    """Return the origin of an archive from apt's downloaded lists; None before the first `apt-get update`."""
    name = re.sub(r"^\w+://(?:[^/@]*@)?", "", uri).rstrip("/").replace("/", "_")
    for file in ("InRelease", "Release"):
        listed = root / "var/lib/apt/lists" / f"{name}_dists_{suite}_{file}"
        if listed.is_file():
            match = re.search(r"^Origin: *(.+?) *$", listed.read_text(errors="replace"), re.MULTILINE)
            return match[1] if match else ""
    return None


def _entries(apt: Path) -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    """Yield (URI, suite, components, Signed-By) of every enabled binary source."""
    lists = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))]
    for path in lists:
        if path.is_file():
            yield from _one_line_entries(path.read_text().splitlines())
    for path in sorted((apt / "sources.list.d").glob("*.sources")):
        yield from _stanzas(path)


def _stanzas(path: Path) -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    for stanza in re.split(r"\n\s*\n", path.read_text()):
        yield from _stanza_entries(_fields(stanza))


def _one_line_entries(lines: Iterable[str]) -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    for line in lines:
        match = _ONE_LINE.fullmatch(line.partition("#")[0].strip())
        if match is not None:
            signed_by = re.search(r"signed-by=(\S+)", match["options"] or "")
            components = tuple(match["components"].split())
            yield match["uri"], match["suite"], components, signed_by[1] if signed_by else ""


def _fields(stanza: str) -> Mapping[str, str]:
    """Parse one deb822 stanza; a continuation line begins with white space, a comment with `#`."""
    fields: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line.startswith("#"):
            continue
        if line[:1].isspace():
            fields[name] = f"{fields.get(name, '')} {line.strip()}"
        elif ":" in line:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.strip()
    return fields


def _stanza_entries(fields: Mapping[str, str]) -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in {"no", "false", "0"}:
        return
    for uri in fields.get("uris", "").split():
        for suite in fields.get("suites", "").split():
            yield uri, suite, tuple(fields.get("components", "").split()), fields.get("signed-by", "")
