"""The monthly price of an environment, as deployed and as the files define it: for `basec cost`, `preview` and `up`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from basec.environments import Environment
from basec.hosts import facts
from topology.costs import CENTS, Billed, Item, PriceChange, bill, billed_machines, compare, dollars, total
from topology.errors import UsageError
from topology.project import Project

FREE_HERE = "a local stack costs nothing: this is what it would cost in the cloud"


@dataclass(frozen=True, kw_only=True)
class Price:
    """Two bills side by side."""

    before: tuple[Item, ...] | None
    """None if it is unknown what is deployed; empty if nothing is."""
    after: tuple[Item, ...]
    limit_usd: int
    date: str
    local: bool

    @property
    def changes(self) -> tuple[PriceChange, ...]:
        """Every item, the unchanged too."""
        return compare(self.after if self.before is None else self.before, self.after)

    @property
    def lines(self) -> list[str]:
        """Return what changes, one line per item; the last line has the totals."""
        new = total(self.after)
        old = None if self.before is None else total(self.before)
        listed = [f"price: {_told(change)}" for change in self.changes if change.is_change]
        difference = None if old is None or new is None else new - old
        more = f" ({dollars(difference, signed=True)})" if difference else ""
        where = "; on this machine it costs nothing" if self.local else ""
        known = "an unknown amount" if old is None else f"{dollars(old)} USD"
        return [
            *listed,
            f"price: {known} a month before, {dollars(new)} USD after{more}; limit {self.limit_usd}{where}",
        ]

    def document(self) -> dict[str, Any]:
        """Return the JSON document; amounts in USD a month."""
        return {
            "before_usd": None if self.before is None else _usd(total(self.before)),
            "after_usd": _usd(total(self.after)),
            "limit_usd": self.limit_usd,
            "prices_of": self.date,
            "local": self.local,
            "items": [
                {
                    "name": change.name,
                    "before": None if self.before is None else _item(change.before),
                    "after": _item(change.after),
                }
                for change in self.changes
            ],
        }


def price_of(project: Project, deployed: Mapping[str, Billed | None] | None) -> Price:
    """Return the price of what the files define, and of what is deployed: None if that is unknown."""
    known = {name: machine for name, machine in (deployed or {}).items() if machine is not None}
    complete = deployed is not None and len(known) == len(deployed)
    return Price(
        before=bill(known, project.inventory) if complete else None,
        after=bill(billed_machines(project.inventory), project.inventory),
        limit_usd=project.settings.monthly_limit_usd,
        date=project.inventory.prices.date.isoformat(),
        local=project.local,
    )


def deployed_of(environment: Environment) -> Mapping[str, Billed | None] | None:
    """Return what the last `up` from this clone left; None where there was none."""
    try:
        return {name: host.machine for name, host in facts.load(environment).hosts.items()}
    except UsageError:
        return None


def _told(change: PriceChange) -> str:
    before = f"{change.before.what} {dollars(change.before.cents)}" if change.before else "none"
    after = f"{change.after.what} {dollars(change.after.cents)}" if change.after else "none"
    return f"{change.name}: {before} -> {after} ({dollars(change.difference, signed=True)})"


def _item(item: Item | None) -> dict[str, Any] | None:
    return {"what": item.what, "usd": _usd(item.cents)} if item else None


def _usd(cents: int | None) -> float | None:
    return None if cents is None else cents / CENTS
