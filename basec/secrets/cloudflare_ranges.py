"""The list of Cloudflare's addresses in a tracked stack file: read, compared with the published one, and replaced."""

from __future__ import annotations

import datetime
import http.client
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ruamel.yaml.comments import CommentedMap

from basec.environments import Environment
from basec.secrets.stack_file import read_mapping
from basec.secrets.yaml_edit import edit_yaml, replace_items
from topology.errors import BasecommerceError, UsageError
from topology.files import check_model
from topology.names import SETTINGS_KEY
from topology.settings import CloudflareSettings, Settings

PUBLISHED = "https://www.cloudflare.com/ips-v4"
"""One range a line. Source: https://www.cloudflare.com/ips/"""
TIMEOUT_S = 15
MAX_BYTES = 16_384
"""The list has some 250 bytes; a longer answer is some other page."""
MAX_LINE = 40


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """A list and its date."""

    networks: tuple[str, ...]
    day: datetime.date

    def age(self, today: datetime.date) -> int:
        """Return its age in days."""
        return (today - self.day).days


@dataclass(frozen=True, kw_only=True)
class RangesChange:
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
        """Follow no redirect: the list decides who reaches the edge, so it comes from its own address or not at all."""


def read(environment: Environment) -> Ranges:
    """Read the list of an environment. Raises ConfigurationError."""
    settings = check_model(environment.stack_file.name, _settings(environment), Settings, prefix=SETTINGS_KEY)
    return _ranges(settings.cloudflare)


def refresh(environment: Environment, today: datetime.date, url: str = PUBLISHED) -> RangesChange:
    """Put the published list and its date into the stack's file. Raises BasecommerceError, with nothing changed."""
    if environment.is_local:
        raise UsageError(
            f"basec: cloudflare ranges: {environment.name}: a local stack has the address of its stand-in, not a list",
            "basec cloudflare ranges --refresh --env production",
        )
    before = read(environment)
    after = Ranges(networks=_fit(url, fetch(url), _settings(environment)), day=today)

    def renew(document: CommentedMap) -> None:
        section = document["config"][SETTINGS_KEY]["cloudflare"]
        replace_items(section["ranges"], after.networks)
        section["ranges_date"] = str(after.day)

    edit_yaml(environment.stack_file, renew)
    return RangesChange(before=before, after=after)


def fetch(url: str) -> list[str]:
    """Get the published lines. Raises BasecommerceError."""
    opener = urllib.request.build_opener(_NoRedirects)
    request = urllib.request.Request(url, headers={"User-Agent": "basec"})  # noqa: S310 - a constant of ours, https
    try:
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            body: bytes = answer.read(MAX_BYTES + 1)
    except urllib.error.HTTPError as error:
        with error:
            raise _unavailable(url, f"returned {error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException) as error:
        raise _unavailable(url, str(getattr(error, "reason", "") or error or type(error).__name__)) from None
    if len(body) > MAX_BYTES:
        raise _unavailable(url, f"returned more than {MAX_BYTES} bytes, which is not a list of ranges")
    return [line.strip()[:MAX_LINE] for line in body.decode("utf-8", "replace").splitlines() if line.strip()]


def _settings(environment: Environment) -> Any:
    if environment.is_local and not environment.stack_file.exists():
        raise UsageError(
            f"basec: {environment.name}: this local stack is not initialised", f"basec init --env {environment.name}"
        )
    config = read_mapping(environment.stack_file).get("config")
    return config.get(SETTINGS_KEY) if isinstance(config, dict) else None


def _fit(url: str, lines: Sequence[str], settings: Any) -> tuple[str, ...]:
    """Check published lines by the rule of the settings. Raises ConfigurationError with the address."""
    checked = check_model(url, {**settings["cloudflare"], "ranges": list(lines)}, CloudflareSettings)
    return _ranges(checked).networks


def _ranges(settings: CloudflareSettings) -> Ranges:
    return Ranges(networks=tuple(map(str, settings.ranges)), day=settings.ranges_date)


def _unavailable(url: str, why: str) -> BasecommerceError:
    return BasecommerceError(
        f"basec: {url}: {why}", "nothing was changed; try again, or open the address and edit the file by hand"
    )
