"""Read what a command on a droplet printed before it failed: `compose/release.py`, or one of `components/scripts/`.

The only place that knows how they print. `release.py` writes `release: <tier>: ...` for each step and each error, and
below it the output of programs and services, two spaces in; that of services begins with `health: ` or `log: `.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

HEAD = "release: "
QUOTED = re.compile(r"^(health|log): ")
OF_SERVICES = re.compile(r"\bup -d\b|^health: ")
"""Errors about services as a whole; what those print explains more."""
WORTH = (
    re.compile(r"\b(emerg|alert|crit|fatal|panic)\b", re.IGNORECASE),
    re.compile(r"^[\w.]*(Error|Exception)\b"),
    re.compile(r"\berror\b", re.IGNORECASE),
    re.compile(
        r"failed|denied|refused|unknown|invalid|cannot|could not|not found|no such|unhealthy|no space", re.IGNORECASE
    ),
)
"""Patterns of decisive lines of a log, the best first."""
RUNS = ": running"
SAYS_LITTLE = re.compile(r"Traceback|exit code|exited with code|errors? found in|is DOWN\b|has no server available")
"""The last two are HAProxy's, about another service."""
PLACE = re.compile(r"\S:\d+\b")
"""A file and its line number: such a line shows where to look."""
STAMP = re.compile(r"^\S*\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d\S*( UTC)?\s+")
NUMBERS = re.compile(r"\[\d+\]|\(\d+\)|\b\d+#\d+:|^\w+: (?=\[)")
"""Process numbers, and nginx's own name: what makes equal lines of a log differ."""


Tiers = Mapping[str, Sequence[str]]
"""The services of each tier, also those that run once."""


@dataclass(frozen=True, kw_only=True)
class Words:
    """The decisive parts of the output."""

    what: str
    service: str = ""
    """Empty if it is about the host itself."""
    line: str = ""
    """The decisive line of a log, once."""
    count: int = 1
    """How often the log has it."""
    serves: str = ""
    """What serves on that host now; empty if unknown."""
    hint: str = ""
    is_release: bool = False
    """Whether `release.py` printed it."""


@dataclass(frozen=True)
class _Entry:
    text: str
    details: Sequence[str] = ()


def read(lines: Sequence[str], ended: str, tiers: Tiers) -> Words:
    """Find the decisive parts of an output; `ended` is how the command ended, if nothing explains more."""
    entries = list(_entries(lines))
    return _release(entries, ended, tiers) if entries else _script(lines, ended)


def decisive(lines: Iterable[str]) -> tuple[str, int]:
    """Return the most decisive line, and the number of lines that differ from it only in times and process numbers."""
    told = [line for line in (" ".join(STAMP.sub("", line.strip()).split()) for line in lines) if line]
    if not told:
        return "", 0
    best = min(told, key=_rank)  # the first of several: later ones follow from it
    return best, sum(_key(line) == _key(best) for line in told)


def _rank(line: str) -> tuple[bool, int, bool]:
    worth = next((rank for rank, words in enumerate(WORTH) if words.search(line)), len(WORTH))
    return (SAYS_LITTLE.search(line) is not None, worth, PLACE.search(line) is None)


def _key(line: str) -> str:
    return " ".join(NUMBERS.sub("", line).split())  # without the gaps that numbers leave


def _script(lines: Sequence[str], ended: str) -> Words:
    """Read a script's output: `error: ...`, or that of a program that it ran."""
    failed = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    if failed:
        return Words(what=failed[-1])
    line, count = decisive(lines)
    return Words(what=ended, line=line, count=count)


def _entries(lines: Iterable[str]) -> Iterable[_Entry]:
    """Split at each `release: `; if the start of the text was cut off, the first entry has no head."""
    text, details, seen = "", list[str](), False
    for line in lines:
        if line.startswith(HEAD):
            if text or (seen and details):
                yield _Entry(text, details)
            text, details, seen = line.removeprefix(HEAD), [], True
        else:
            details.append(line.strip())
            seen = seen or QUOTED.match(line.strip()) is not None
    if seen:
        yield _Entry(text, details)


def _release(entries: Sequence[_Entry], ended: str, tiers: Tiers) -> Words:
    known = re.compile(rf"\b({'|'.join(name for names in tiers.values() for name in names)})\b")
    steps = [_Entry(_without_tier(each.text, tiers), each.details) for each in entries]
    hints = [each.text.removeprefix("hint: ") for each in steps if each.text.startswith("hint: ")]
    steps = [each for each in steps if not each.text.startswith("hint: ")]
    serves = _serves([each.text for each in steps])
    failed, service, quoted = _failed(steps)
    line, count = decisive(quoted or failed.details)
    if not service and (found := known.search(failed.text) or known.search(line)):
        service = found[1]
    what = failed.text.removeprefix(f"{service}: ") if service else failed.text
    said_above = ("above" in hint for hint in hints)
    hint = "" if any(said_above) else next(iter(hints), "")
    return Words(
        what=what or ended, service=service, line=line, count=count or 1, serves=serves, hint=hint, is_release=True
    )


def _failed(steps: Sequence[_Entry]) -> tuple[_Entry, str, list[str]]:
    """Return the step that failed, its service, if known, and what that service printed."""
    quoting = [each for each in steps if any(QUOTED.match(line) for line in each.details)]
    back = next((at for at, each in enumerate(steps) if _goes_back(each.text)), len(steps))
    plain = [each for each in steps[:back] if each not in quoting and not each.text.endswith(": not activated")]
    failed = plain[-1] if plain else _Entry("")
    if quoting and (not plain or OF_SERVICES.search(failed.text)):
        logs = {each.text: _of_log(each.details) for each in quoting}
        # One that does not run is the cause; one that runs and is unhealthy may only need it.
        worst = min(quoting, key=lambda each: (RUNS in each.text, _rank(decisive(logs[each.text])[0])))
        return worst, worst.text.partition(": ")[0], logs[worst.text]
    return failed, "", []


def _of_log(details: Sequence[str]) -> list[str]:
    """Return a service's log, or its last health check if the log shows nothing: the check only reports a symptom."""
    log = [line.removeprefix("log: ") for line in details if line.startswith("log: ")]
    if any(words.search(line) for line in log for words in WORTH):
        return log
    return [*log, *(line.removeprefix("health: ") for line in details if line.startswith("health: "))]


def _goes_back(text: str) -> bool:
    return re.match(r"brings \w+ back$|there is no earlier release", text) is not None


def _serves(texts: Sequence[str]) -> str:
    for text in texts:
        if again := re.match(r"(\w+) serves again$", text):
            return f"the previous release serves again ({again[1]})"
        if text.startswith("there is no earlier release"):
            return "nothing serves there: this was its first release"
    if any(map(_goes_back, texts)):
        return "the previous release could not be restored: the host may serve nothing"
    if any(text.endswith(": not activated") for text in texts):
        return ""
    return "nothing that runs there was touched"


def _without_tier(text: str, tiers: Tiers) -> str:
    tier, _, rest = text.partition(": ")
    return rest if tier in tiers else text
