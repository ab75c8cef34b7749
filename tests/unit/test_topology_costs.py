"""The monthly price: whole cents, item by item, by one dated list."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.topology_support import ROOT, raw_file
from topology.costs import Billed, Item, bill, billed_machines, compare, dollars, total
from topology.inventory import Inventory, load_inventory


@pytest.fixture
def inventory() -> Inventory:
    return load_inventory(ROOT / "inventory.yaml")


def test_the_tracked_inventory_costs_what_the_design_says(inventory: Inventory) -> None:
    items = bill(billed_machines(inventory), inventory)
    assert [item.text for item in items] == [
        "infra droplet s-1vcpu-2gb 12.00",
        "infra volume 10 GiB 1.00",
        "vertical droplet s-1vcpu-1gb 6.00",
        "edge droplet s-1vcpu-1gb 6.00",
        "edge reserved IP assigned 0.00",
        "uptime check 1 1.00",
    ]
    assert total(items) == 2600


def test_every_price_comes_from_the_list(inventory: Inventory) -> None:
    prices = inventory.prices.model_copy(update={"volume_gib_cents": 11, "reserved_ip_cents": 500})
    dearer = inventory.model_copy(update={"prices": prices})
    machine = Billed(size="s-1vcpu-1gb", volume_gib=3, reserved_ip=True)
    assert [item.cents for item in bill({"one": machine}, dearer)] == [600, 33, 500, 100]


def test_a_size_that_left_the_list_has_no_price_and_neither_has_the_sum(inventory: Inventory) -> None:
    items = bill({"old": Billed(size="s-gone")}, inventory)
    assert items[0] == Item(name="old droplet", what="s-gone", cents=None)
    assert total(items) is None
    change, check = compare(items, bill({"old": Billed(size="s-1vcpu-1gb")}, inventory))
    assert (change.is_change, change.difference, dollars(change.difference)) == (True, None, "unknown")
    assert not check.is_change


def test_two_bills_are_compared_item_by_item_with_what_came_and_what_went(inventory: Inventory) -> None:
    before = bill({"a": Billed(size="s-1vcpu-1gb", volume_gib=10), "b": Billed(size="s-1vcpu-1gb")}, inventory)
    after = bill({"a": Billed(size="s-1vcpu-2gb"), "b": Billed(size="s-1vcpu-1gb")}, inventory)
    found = [(change.name, change.is_change, change.difference) for change in compare(before, after)]
    assert found == [
        ("a droplet", True, 600),
        ("b droplet", False, 0),
        ("uptime check", False, 0),
        ("a volume", True, -100),
    ]


@pytest.mark.parametrize(
    ("document", "machine"),
    [
        ({"id": "1"}, None),
        ({"size": "s-1vcpu-1gb"}, Billed(size="s-1vcpu-1gb")),
        (
            {"size": "s-1vcpu-2gb", "volume_gib": 10.0, "reserved_ip": True},
            Billed(size="s-1vcpu-2gb", volume_gib=10, reserved_ip=True),
        ),
    ],
)
def test_what_an_older_up_did_not_export_is_unknown_and_not_free(
    document: dict[str, object], machine: Billed | None
) -> None:
    assert Billed.read(document) == machine


@pytest.mark.parametrize(
    ("cents", "signed", "text"),
    [(0, False, "0.00"), (1205, False, "12.05"), (600, True, "+6.00"), (-5, True, "-0.05"), (None, True, "unknown")],
)
def test_amounts_are_written_with_two_digits(cents: int | None, signed: bool, text: str) -> None:
    assert dollars(cents, signed=signed) == text


def test_the_prices_have_a_day_and_sources() -> None:
    text = Path(ROOT / "inventory.yaml").read_text()
    assert raw_file("inventory.yaml")["prices"]["date"] == "2026-11-01"
    assert "details/pricing/" in text
