"""The text that goes into the kernel, compared whole with files of `golden/`."""

from __future__ import annotations

import os
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from localcloud.digitalocean.backend import FirewallRule, FirewallSpec
from localcloud.digitalocean.real.packet_filter import Bridges, Member, prefix, render, render_ipv6, render_removal
from localcloud.errors import CloudError

GOLDEN = Path(__file__).parent / "golden"
BRIDGES = Bridges(
    public="bc-00000000-p",
    vpc="bc-00000000-v",
    public_subnet=IPv4Network("198.51.100.0/27"),
    vpc_subnet=IPv4Network("10.77.1.0/24"),
)
EMPTY = "*filter\n:DOCKER-USER - [0:0]\n-A DOCKER-USER -j RETURN\nCOMMIT\n"
EDGE = Member(
    number=8,
    public=(IPv4Address("198.51.100.8"), IPv4Address("198.51.100.24")),
    private=IPv4Address("10.77.1.2"),
    tags=frozenset({"edge"}),
)
INFRA = Member(
    number=9, public=(IPv4Address("198.51.100.9"),), private=IPv4Address("10.77.1.3"), tags=frozenset({"infra"})
)


def rule(protocol: str, ports: str, addresses: tuple[str, ...] = (), tags: tuple[str, ...] = ()) -> FirewallRule:
    return FirewallRule(protocol=protocol, ports=ports, addresses=addresses, tags=tags)


OUTBOUND = (rule("tcp", "53", ("0.0.0.0/0", "::/0")), rule("icmp", "", ("0.0.0.0/0",)))
FIREWALLS = (
    FirewallSpec(name="edge", tags=("edge",), inbound=(rule("tcp", "80", ("198.51.100.2/32",)),), outbound=OUTBOUND),
    FirewallSpec(name="infra", tags=("infra",), inbound=(rule("tcp", "5432-5433", tags=("edge",)),), outbound=()),
)


def check(name: str, text: str) -> None:
    """Compare with a golden file; `UPDATE_GOLDEN=1` rewrites it, for review as a diff."""
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


def chain(text: str, name: str) -> list[str]:
    return [line.removeprefix(f"-A {name} ") for line in text.splitlines() if line.startswith(f"-A {name} ")]


def test_two_droplets_with_two_firewalls_give_exactly_these_rules() -> None:
    check("two-droplets.rules", render("BC-local", BRIDGES, [EDGE, INFRA], FIREWALLS, EMPTY))


def test_ipv6_is_closed_on_both_bridges() -> None:
    check("ipv6.rules", render_ipv6("BC-local", BRIDGES, EMPTY))


def test_a_droplet_that_no_firewall_covers_is_closed_both_ways() -> None:
    text = render("BC-local", BRIDGES, [EDGE], (), EMPTY)
    assert chain(text, "BC-local-i8") == ["-j DROP"]
    assert chain(text, "BC-local-e8") == ["-j DROP"]


def test_every_bridge_ends_in_a_drop_for_addresses_nobody_gave() -> None:
    forward = chain(render("BC-local", BRIDGES, [EDGE], FIREWALLS, EMPTY), "BC-local-forward")
    assert forward[-4:] == [
        "-i bc-00000000-p -j DROP",
        "-i bc-00000000-v -j DROP",
        "-o bc-00000000-p -j DROP",
        "-o bc-00000000-v -j DROP",
    ]


def test_the_metadata_address_is_dropped_before_anything_is_let_through() -> None:
    forward = chain(render("BC-local", BRIDGES, [EDGE], FIREWALLS, EMPTY), "BC-local-forward")
    assert forward[:2] == [f"-i {name} -d 169.254.0.0/16 -j DROP" for name in ("bc-00000000-p", "bc-00000000-v")]


def test_a_reserved_address_is_guarded_like_the_droplet_s_own() -> None:
    text = render("BC-local", BRIDGES, [EDGE], FIREWALLS, EMPTY)
    assert "-o bc-00000000-p -d 198.51.100.24/32 -j BC-local-i8" in chain(text, "BC-local-forward")
    assert "-o bc-00000000-p -d 198.51.100.24/32 -j BC-local-i8" in chain(text, "BC-local-output")
    assert "-i bc-00000000-p -s 198.51.100.24/32 -g BC-local-e8" in chain(text, "BC-local-forward")


def test_a_private_address_on_the_public_bridge_is_a_lie() -> None:
    forward = chain(render("BC-local", BRIDGES, [EDGE], FIREWALLS, EMPTY), "BC-local-forward")
    lie = forward.index("-i bc-00000000-p ! -s 198.51.100.0/27 -j DROP")
    assert lie < forward.index("-o bc-00000000-p -d 198.51.100.8/32 -j BC-local-i8")


def test_the_machine_is_no_member_of_the_vpc() -> None:
    assert "-o bc-00000000-v -j DROP" in chain(render("BC-local", BRIDGES, [], (), EMPTY), "BC-local-output")


def test_a_jump_that_is_there_is_not_added_again() -> None:
    first = render("BC-local", BRIDGES, [], (), EMPTY)
    assert "-I DOCKER-USER -j BC-local-forward" in first
    current = EMPTY.replace("COMMIT", "-A DOCKER-USER -j BC-local-forward\nCOMMIT")
    assert "-I DOCKER-USER" not in render("BC-local", BRIDGES, [], (), current)


def test_the_chains_of_a_deleted_droplet_go() -> None:
    current = EMPTY.replace("*filter\n", "*filter\n:BC-local-i9 - [0:0]\n:BC-local-e9 - [0:0]\n")
    text = render("BC-local", BRIDGES, [EDGE], (), current)
    assert "-X BC-local-i9" in text
    assert "-X BC-local-e9" in text


def test_removal_takes_the_jumps_and_chains_of_this_cloud_only() -> None:
    current = (
        "*filter\n:INPUT ACCEPT [0:0]\n:BC-local-input - [0:0]\n:BC-local-e2e-input - [0:0]\n:BC-local-i8 - [0:0]\n"
        "-A INPUT -j BC-local-input\n-A INPUT -j BC-local-e2e-input\n-A BC-local-input -j BC-local-i8\nCOMMIT\n"
    )
    assert render_removal("BC-local", current) == (
        "*filter\n:BC-local-input - [0:0]\n:BC-local-i8 - [0:0]\n-D INPUT -j BC-local-input\n"
        "-X BC-local-input\n-X BC-local-i8\nCOMMIT\n"
    )


def test_removal_of_nothing_is_nothing() -> None:
    assert render_removal("BC-local", EMPTY) == ""


def test_a_long_name_still_fits_the_kernel_s_chain_names() -> None:
    longest = "a" * 21
    assert len(f"{prefix(longest)}-forward") <= 28
    assert prefix(longest) != prefix("a" * 20 + "b")


def test_an_unknown_protocol_is_refused() -> None:
    odd = FirewallSpec(name="odd", tags=("edge",), inbound=(rule("sctp", "1", ("0.0.0.0/0",)),), outbound=())
    with pytest.raises(CloudError, match="protocol 'sctp' is not one of tcp, udp, icmp"):
        render("BC-local", BRIDGES, [EDGE], (odd,), EMPTY)
