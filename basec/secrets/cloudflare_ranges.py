"""The list of Cloudflare's addresses in a tracked stack file: read, compared with the published one, and replaced.

The file is edited as text, and what it means is compared before it is written: YAML libraries that keep comments also
lay out anew what they did not change, and a tracked file's history should show the changed ranges alone.
"""

from __future__ import annotations

import datetime
import http.client
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from basec.environments import Environment
from basec.secrets.stack_file import SETTINGS_KEY, read_mapping
from topology.errors import BasecommerceError, ConfigurationError, Problem, UsageError
from topology.files import check_model
from topology.settings import CloudflareSettings, Settings

PUBLISHED = "https://www.cloudflare.com/ips-v4"
"""One range a line. Source: https://www.cloudflare.com/ips/"""
TIMEOUT_S = 15
MAX_BYTES = 16_384
"""The list has some 250 bytes; what is longer is a page that says something else."""
MAX_LINE = 40


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """A list and its day."""

    networks: tuple[str, ...]
    day: datetime.date

    def age(self, today: datetime.date) -> int:
        """Give the days since it was copied."""
        return (today - self.day).days


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a refresh does to a file."""

    before: Ranges
    after: Ranges

    @property
    def added(self) -> list[str]:
        return [network for network in self.after.networks if network not in self.before.networks]

    @property
    def removed(self) -> list[str]:
        return [network for network in self.before.networks if network not in self.after.networks]


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follow nothing: the list decides who reaches the edge, so it comes from its own place or not at all."""


def read(environment: Environment) -> Ranges:
    """Read the list of an environment. Raises ConfigurationError."""
    settings = check_model(environment.stack_file.name, _settings(environment), Settings, prefix=SETTINGS_KEY)
    return _ranges(settings.cloudflare)


def refresh(environment: Environment, today: datetime.date, url: str = PUBLISHED) -> Change:
    """Put the published list and its day into the stack's file. Raises BasecommerceError, with nothing changed."""
    if environment.is_local:
        raise UsageError(
            f"basec: cloudflare ranges: {environment.name}: a local stack has the address of its stand-in, not a list",
            "basec cloudflare ranges --refresh --env production",
        )
    before = read(environment)
    after = Ranges(networks=_fit(url, fetch(url), _settings(environment)), day=today)
    path = environment.stack_file
    _replace(path, edited(path.read_text(), path.name, after))
    return Change(before=before, after=after)


def fetch(url: str) -> list[str]:
    """Get the published lines. Raises BasecommerceError."""
    opener = urllib.request.build_opener(_NoRedirects)
    request = urllib.request.Request(url, headers={"User-Agent": "basec"})  # noqa: S310 - a constant of ours, https
    try:
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            body: bytes = answer.read(MAX_BYTES + 1)
    except urllib.error.HTTPError as error:
        with error:
            raise _unavailable(url, f"answers {error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException) as error:
        raise _unavailable(url, str(getattr(error, "reason", "") or error or type(error).__name__)) from None
    if len(body) > MAX_BYTES:
        raise _unavailable(url, f"answers more than {MAX_BYTES} bytes, which is no list of ranges")
    return [line.strip()[:MAX_LINE] for line in body.decode("utf-8", "replace").splitlines() if line.strip()]


def edited(text: str, file: str, ranges: Ranges) -> str:
    """Give the text with another list and day: lines of ranges that stay are kept, with their comments.

    Raises ConfigurationError for a file that is laid out in another way.
    """
    try:
        changed, wanted = _edit(text, ranges), _expected(text, ranges)
        fits = yaml.safe_load(changed) == wanted
    except (ValueError, KeyError, IndexError, AttributeError, TypeError, yaml.YAMLError):
        fits = False
    if not fits:
        problem = Problem(
            file=file,
            path=f"{SETTINGS_KEY}.cloudflare.ranges",
            message="is not laid out as one range a line, so that it cannot be edited without losing something",
            hint="write `ranges:`, and below it one `- 203.0.113.0/24` a line; then run the command again",
        )
        raise ConfigurationError([problem])
    return changed


def _edit(text: str, ranges: Ranges) -> str:
    section = _at(yaml.compose(text), "config", SETTINGS_KEY, "cloudflare")
    day, networks = section["ranges_date"], section["ranges"]
    text = text[: day.start_mark.index] + f'"{ranges.day}"' + text[day.end_mark.index :]
    # The day is on one line, so the lines of the list are still where they were.
    lines = text.splitlines(keepends=True)
    first, last = networks.value[0].start_mark.line, networks.value[-1].end_mark.line
    stays = {item.start_mark.line: item.value in ranges.networks for item in networks.value}
    new = _new(ranges, [item.value for item in networks.value])
    return "".join(
        [
            *(line for number, line in enumerate(lines[: last + 1]) if stays.get(number, True)),
            *(f"{lines[first].partition('-')[0]}- {network}\n" for network in new),
            *lines[last + 1 :],
        ]
    )


def _expected(text: str, ranges: Ranges) -> Any:
    """Give what the edited text must mean: nothing else may have changed."""
    document = yaml.safe_load(text)
    section = document["config"][SETTINGS_KEY]["cloudflare"]
    stay = [network for network in section["ranges"] if network in ranges.networks]
    section["ranges_date"], section["ranges"] = str(ranges.day), stay + _new(ranges, section["ranges"])
    return document


def _new(ranges: Ranges, present: Sequence[str]) -> list[str]:
    return [network for network in ranges.networks if network not in present]


def _at(node: Any, *keys: str) -> dict[str, Any]:
    """Give the nodes of the table that the keys lead to, by key. Raises KeyError."""
    for key in keys:
        node = {name.value: value for name, value in node.value}[key]
    return {name.value: value for name, value in node.value}


def _settings(environment: Environment) -> Any:
    if environment.is_local and not environment.stack_file.exists():
        raise UsageError(
            f"basec: {environment.name}: this local stack is not initialised", f"basec init --env {environment.name}"
        )
    config = read_mapping(environment.stack_file).get("config")
    return config.get(SETTINGS_KEY) if isinstance(config, dict) else None


def _fit(url: str, lines: Sequence[str], settings: Any) -> tuple[str, ...]:
    """Check published lines by the rule of the settings. Raises ConfigurationError, which names the address."""
    checked = check_model(url, {**settings["cloudflare"], "ranges": list(lines)}, CloudflareSettings)
    return _ranges(checked).networks


def _ranges(settings: CloudflareSettings) -> Ranges:
    return Ranges(networks=tuple(map(str, settings.ranges)), day=settings.ranges_date)


def _unavailable(url: str, why: str) -> BasecommerceError:
    return BasecommerceError(
        f"basec: {url}: {why}", "nothing was changed; try again, or open the address and edit the file by hand"
    )


def _replace(path: Path, text: str) -> None:
    """Write the file by rename, with the mode that it had."""
    if text == path.read_text():
        return
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text)
    temporary.chmod(path.stat().st_mode & 0o777)
    temporary.replace(path)
