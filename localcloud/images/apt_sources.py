"""What the machine's own apt settings say, turned to the release of the droplets.

The images are made from the mirror that this machine already uses: no mirror is named in the project, and a machine
behind a proxy or with a private certificate authority builds like any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from localcloud.backend import CloudError

SUITE = "trixie"
"""Debian 13, the release of the droplets (`debian-13-x64`)."""
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
"""Of the package debian-archive-keyring, on this machine and in the images."""
_POCKETS = ("", "-updates", "-security")
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

    Archives of other vendors are left out: they have a key or a component of their own.
    Raises CloudError when no Debian archive is found.
    """
    codename = _codename(root / "etc/os-release")
    found: list[Source] = []
    for uri, suite, components, signed_by in _entries(root / "etc/apt"):
        pocket = suite.removeprefix(codename)
        if not suite.startswith(codename) or pocket not in _POCKETS or "main" not in components:
            continue
        if signed_by and "debian-archive" not in signed_by:
            continue
        source = Source(uri.rstrip("/"), SUITE + pocket)
        if source not in found:
            found.append(source)
    if not any(source.suite == SUITE for source in found):
        raise CloudError(
            f"/etc/apt: no Debian archive of suite {codename!r} with component main is configured\n"
            "hint: the images are made from the machine's own Debian mirror; add it to /etc/apt/sources.list.d"
        )
    return tuple(found)


def apt_options(dump: str) -> tuple[str, ...]:
    """Pick the proxy and certificate settings out of `apt-config dump`, as apt.conf lines."""
    wanted = re.compile(r'Acquire::(?:http|https)::(?:\S+::)?(?:Proxy|CaInfo|Verify-Peer)\S* "[^"]+";')
    return tuple(line for line in dump.splitlines() if wanted.fullmatch(line) and "Auto-Detect" not in line)


def _codename(os_release: Path) -> str:
    match = re.search(r'^VERSION_CODENAME="?([a-z]+)"?$', os_release.read_text(), re.MULTILINE)
    if match is None:
        raise CloudError(f"{os_release}: VERSION_CODENAME: not set\nhint: the local cloud runs on Debian 12 or 13")
    return match.group(1)


def _entries(apt: Path) -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    """Yield (URI, suite, components, Signed-By) of every enabled binary source."""
    lists = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))]
    for path in lists:
        if path.is_file():
            yield from _one_line_entries(path.read_text().splitlines())
    for path in sorted((apt / "sources.list.d").glob("*.sources")):
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
