"""A bigger volume and a bigger machine: one line of the inventory each, nothing lost, and no crash under PostgreSQL."""

from __future__ import annotations

import re

import pytest

from tests.e2e.stack import REUSED, STACK, LocalStack

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(REUSED, reason="a volume cannot shrink again, so the stack would not be left as it was found"),
]

SHOP = "SELECT (SELECT count(*) FROM cotacoes), (SELECT count(*) FROM pedidos), (SELECT count(*) FROM event_outbox)"
STARTS = re.compile(r"database system was (shut down|interrupted)")


def edit(stack: LocalStack, old: str, new: str) -> None:
    """Edit the inventory of this run's own tree; the stack keeps it until its `down`."""
    inventory = stack.root / "inventory.yaml"
    text = inventory.read_text()
    assert text.count(old) == 1
    inventory.write_text(text.replace(old, new))


def test_a_bigger_volume_shows_in_df_after_the_same_up(stack: LocalStack) -> None:
    size = "df --output=size --block-size=M /mnt/data | tail -n 1"
    before, shop = int(stack.inside("infra", size).strip(" M\n")), stack.sql(SHOP)
    edit(stack, "size_gib: 10", "size_gib: 12")
    stack.up()
    assert int(stack.inside("infra", size).strip(" M\n")) - before > 1900
    assert stack.sql(SHOP) == shop


def test_postgresql_is_shut_down_in_order_before_its_machine_loses_power(stack: LocalStack) -> None:
    shop, booted = stack.sql(SHOP), stack.inside("infra", "stat -c %Y /proc/1")
    edit(stack, "size: s-1vcpu-2gb", "size: s-2vcpu-2gb")
    output = stack.up()
    assert "infra: its tier is stopped cleanly" in output
    assert stack.inside("infra", "stat -c %Y /proc/1") != booted, "the machine was switched off and on"
    log = stack.inside("infra", "docker logs infra-postgres-1 2>&1")
    assert STARTS.findall(log)[-1] == "shut down"
    assert stack.sql(SHOP) == shop
    stack.smoke_until_green()
    stack.basec("status", "--env", STACK)
