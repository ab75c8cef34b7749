"""What a stack costs a month, item by item, from the dated prices of `inventory.yaml`.

Whole cents, so that sums are exact. Free, or made by no stack, and so not listed: VPC, firewalls, monitoring, the DNS
and TLS of Cloudflare's free plan, backups and snapshots. Not counted: traffic beyond what the droplets include.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from topology.inventory import Inventory

CENTS = 100


@dataclass(frozen=True, kw_only=True)
class Billed:
    """What is billed for a droplet; exported by each `up`, so that the next one knows what was there."""

    size: str
    volume_gib: int = 0
    reserved_ip: bool = False

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self | None:
        """Read it from an export or the facts; None where an older `up` did not write it."""
        if "size" not in document:
            return None
        return cls(
            size=str(document["size"]),
            volume_gib=int(document.get("volume_gib") or 0),
            reserved_ip=bool(document.get("reserved_ip")),
        )


@dataclass(frozen=True, kw_only=True)
class Item:
    """One line of the bill."""

    name: str
    """What for, e.g. `infra volume`: the same before and after an edit."""
    what: str
    cents: int | None
    """USD cents a month; None for a size that is no longer in the table of sizes."""

    @property
    def text(self) -> str:
        return f"{self.name} {self.what} {dollars(self.cents)}"


@dataclass(frozen=True, kw_only=True)
class PriceChange:
    """One line of two bills side by side; an absent item is one that is made or removed."""

    name: str
    before: Item | None
    after: Item | None

    @property
    def is_change(self) -> bool:
        return self.before != self.after

    @property
    def difference(self) -> int | None:
        """Cents a month more; None when either price is unknown."""
        old = self.before.cents if self.before else 0
        new = self.after.cents if self.after else 0
        return None if old is None or new is None else new - old


def billed_machines(inventory: Inventory) -> dict[str, Billed]:
    """Return what is billed for each droplet of the inventory."""
    return {
        name: Billed(
            size=spec.size,
            volume_gib=spec.volume.size_gib if spec.volume else 0,
            reserved_ip=spec.reserved_ip,
        )
        for name, spec in inventory.droplets.items()
    }


def bill(machines: Mapping[str, Billed], inventory: Inventory) -> tuple[Item, ...]:
    """Price machines by the inventory's list."""
    items = tuple(item for name, machine in machines.items() for item in _items(name, machine, inventory))
    return (*items, _uptime_check(inventory)) if items else ()


def _items(name: str, machine: Billed, inventory: Inventory) -> Iterator[Item]:
    size = inventory.sizes.get(machine.size)
    yield Item(name=f"{name} droplet", what=machine.size, cents=size.price_usd * CENTS if size else None)
    if machine.volume_gib:
        cents = machine.volume_gib * inventory.prices.volume_gib_cents
        yield Item(name=f"{name} volume", what=f"{machine.volume_gib} GiB", cents=cents)
    if machine.reserved_ip:
        yield Item(name=f"{name} reserved IP", what="assigned", cents=inventory.prices.reserved_ip_cents)


def _uptime_check(inventory: Inventory) -> Item:
    """Price the one check of `components/monitoring.py`; alerts cost nothing."""
    return Item(name="uptime check", what="1", cents=inventory.prices.uptime_check_cents)


def total(items: tuple[Item, ...]) -> int | None:
    """Sum the cents of a bill; None when one of its prices is unknown."""
    cents = [item.cents for item in items]
    return None if None in cents else sum(each for each in cents if each is not None)


def compare(before: tuple[Item, ...], after: tuple[Item, ...]) -> tuple[PriceChange, ...]:
    """Put two bills side by side, in the order of the new one, what is gone last."""
    old, new = ({item.name: item for item in items} for items in (before, after))
    names = dict.fromkeys([*new, *old])
    return tuple(PriceChange(name=name, before=old.get(name), after=new.get(name)) for name in names)


def dollars(cents: int | None, *, signed: bool = False) -> str:
    """Format an amount in USD, e.g. `12.00`, or `+6.00` for a difference."""
    if cents is None:
        return "unknown"
    sign = "-" if cents < 0 else "+" if signed and cents else ""
    return f"{sign}{abs(cents) // CENTS}.{abs(cents) % CENTS:02}"
