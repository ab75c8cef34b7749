"""The variables of a tier's compose file: those that it requires, against those that are set on its droplet.

`compose/release.py` sets addresses of droplets and a path for each secret file and each mounted directory; the bundle
sets images and settings. A missing one would stop Docker only after every machine was paid for.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from topology.errors import Problem
from topology.fleet import DATA_DIR, LIVE, Live
from topology.inventory import Inventory

OWN_ADDRESS = "PRIVATE_ADDRESS"
_USE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>\w+)(?P<otherwise>:?[-?+])?|(?P<bare>[A-Za-z_]\w*))")
"""Source: https://docs.docker.com/reference/compose-file/interpolation/"""


def host_variables(inventory: Inventory, droplet: str, addresses: Mapping[str, str]) -> dict[str, str]:
    """Return private addresses, given by droplet, under the names that compose files use: by what runs there.

    Such as `INFRA_ADDRESS`; `PRIVATE_ADDRESS` is the droplet's own. A tier on several droplets has no single address.
    """
    named = {address_variable(tier): addresses[name] for tier, name in inventory.serving.items()}
    return {**named, OWN_ADDRESS: addresses[droplet]}


def address_variable(tier: str) -> str:
    """Return the name of the variable for the address of a tier, e.g. `INFRA_ADDRESS`."""
    return f"{_variable(tier)}_ADDRESS"


def required_variables(document: Any) -> set[str]:
    """Return the variables that a compose file uses without a default (`:-` or `:+` after the name)."""
    return {
        match["name"] or match["bare"]
        for text in _texts(document)
        for match in _USE.finditer(text)
        if not match["dollar"] and (match["otherwise"] or "?")[-1] == "?"
    }


def variable_problems(
    droplet: str,
    document: Any,
    inventory: Inventory,
    *,
    secret_files: Collection[str],
    directories: Collection[str],
    live: Mapping[str, Live],
    bundled: Collection[str],
) -> Iterator[Problem]:
    """Yield one problem for each variable that a tier's compose file requires and nothing sets.

    `live` is what services read again: its directories and secret files must be there as well.
    """
    tier = inventory.droplets[droplet].tier
    addresses = {address_variable(name) for name in inventory.serving} | {OWN_ADDRESS}
    secrets = {f"SECRET_{_variable(name)}": name for name in secret_files}
    folders = {f"{_variable(name)}_DIR" for name in directories} | {f"{_variable(name)}_LIVE" for name in live}
    given = addresses | secrets.keys() | folders | set(bundled)
    for name in sorted(required_variables(document) - given):
        if name.endswith("_ADDRESS"):
            message, hint = "no droplet of inventory.yaml sets it", _tier_hint(name, inventory)
        elif name.startswith("SECRET_"):
            message = f"{tier} has no such secret file; it has " + (", ".join(sorted(secrets)) or "none")
            hint = _secret_hint(name, droplet, inventory)
        elif name == DATA_DIR:
            message, hint = f"{droplet} has no data volume", f"add a `volume` to `droplets.{droplet}` in inventory.yaml"
        else:
            message = "no image, setting, directory or `x-live` sets it"
            hint = "correct its name; an image is IMAGE_<SERVICE>, by the services of versions.yaml"
        yield Problem(file=f"compose/{tier}/compose.yaml", path=name, message=message, hint=hint)
    for service, each in live.items():
        for key, names, there in (("folder", [each.folder], directories), ("secrets", each.secrets, secret_files)):
            for name in sorted(set(names) - set(there)):
                yield Problem(
                    file=f"compose/{tier}/compose.yaml",
                    path=f"services.{service}.{LIVE}.{key}",
                    message=f"{tier} has no {name}",
                    hint=f"use of: {', '.join(sorted(there)) or 'none'}",
                )


def _tier_hint(variable: str, inventory: Inventory) -> str:
    wanted = variable.removesuffix("_ADDRESS").lower().replace("_", "-")
    hint = f"let a droplet run the tier `{wanted}`, or use one of: "
    return hint + ", ".join(map(address_variable, inventory.serving))


def _secret_hint(variable: str, droplet: str, inventory: Inventory) -> str:
    hint = "correct its name; topology/secrets.py makes the files"
    named = re.fullmatch(r"SECRET_(\w+)_ENV", variable)
    if named and inventory.droplets[droplet].vertical:  # its secret file has the vertical's name
        wanted = named[1].lower().replace("_", "-")
        hint = f"write `vertical: {wanted}` at `droplets.{droplet}` of inventory.yaml, or {hint}"
    return hint


def _texts(document: Any) -> Iterator[str]:
    """Yield every string among the values: Docker fills in values, not keys."""
    if isinstance(document, str):
        yield document
    elif isinstance(document, Mapping | list):
        values: Iterable[Any] = document.values() if isinstance(document, Mapping) else document
        for value in values:
            yield from _texts(value)


def _variable(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", name.upper())
