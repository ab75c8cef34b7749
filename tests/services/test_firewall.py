"""`apply-firewall.sh` with the real UFW, in a network and with files of the test's own: whatever a hand added goes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from basec.hosts.firewall import PROBE, compare, declared, found
from components.remote import read_script
from tests.unit.topology_support import ADDRESSES, project
from topology.firewall import docker_user_rules, rule_table, ufw_rules

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a network of its own")

OWN_PLACE = """set -euo pipefail
mount -t tmpfs none /run
mkdir /run/lock /run/etc /run/default
cp -a /etc/ufw/. /run/etc && mount --bind /run/etc /etc/ufw
cp -a /etc/default/. /run/default && mount --bind /run/default /etc/default
ip link set lo up
iptables -N DOCKER-USER && ip6tables -N DOCKER-USER && iptables -I FORWARD -j DOCKER-USER
mkdir -p /etc/ufw/applications.d
printf '[My App]\\ntitle=one\\ndescription=two\\nports=7777/tcp\\n' >/etc/ufw/applications.d/mine
ufw default deny incoming
ufw allow proto tcp from 10.81.0.0/20 to any port 22 comment first-boot
ufw --force enable
"""
BY_HAND = (
    "route allow proto tcp from any to any port 9999",
    "route deny in on eth0 out on eth1 from 10.1.0.0/16 comment 'a note'",
    "allow 'My App'",
    "route allow 'My App'",
    "allow 8080",
    "limit 2222/tcp",
    "deny out 25/tcp",
    "allow in on lo to any port 77 proto udp",
    "allow log 23/tcp",
    "reject from 192.0.2.7",
    "allow proto tcp from 2001:db8::/32 to any port 443",
)
"""In each form that UFW has."""


def _run(*steps: str, code: int = 0) -> str:
    """Run scripts one after the other in a network that is gone in the end."""
    text = OWN_PLACE + "\n".join(f"(\n{step}\n)" for step in steps)
    command = ["unshare", "--net", "--mount", "bash", "-c", text]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def _apply(host: str) -> str:
    loaded = project()
    table = rule_table(ufw_rules(loaded, host, ADDRESSES), docker_user_rules(loaded, host, ADDRESSES), ADDRESSES, host)
    script = read_script("lib.sh", "apply-firewall.sh")
    return script.replace("\nread_table\n", f"\nread_table <<'TABLE'\n{table}TABLE\n")


def _differences(host: str, output: str) -> list[tuple[str, str]]:
    lines = compare(host, declared(project(), host, ADDRESSES), found(output.partition("== probe\n")[2]))
    return [(line.rule, line.state) for line in lines if line.state != "same"]


@pytest.mark.parametrize("host", ADDRESSES)
def test_the_kernel_has_the_table_and_no_rule_that_a_hand_added(host: str) -> None:
    by_hand = "\n".join(f"ufw {rule}" for rule in BY_HAND)
    output = _run(by_hand, "echo '== probe'", PROBE, "echo '== applied'", _apply(host), "echo '== probe'", PROBE)
    before, _, after = output.partition("== applied\n")
    extra = [rule for rule, state in _differences(host, before) if state == "extra"]
    assert len(extra) >= len(BY_HAND), "each is seen"
    assert _differences(host, after) == []
    assert "firewall equals its table" in after


def test_a_rule_that_ufw_will_not_let_go_stops_neither_the_others_nor_dockers_chain(tmp_path: Path) -> None:
    fake = 'ufw() { [[ $* != *delete*9999* ]] || { echo "ERROR: no" >&2; return 1; }; command ufw "$@"; }\n'
    by_hand = "ufw route allow 9999/tcp\nufw allow 8080"
    kept = tmp_path / "kernel"
    probe = f"probe() (\n{PROBE}) >{kept}\ntrap probe EXIT\n"
    said = _run(by_hand, f"{probe}{fake}{_apply('vertical')}", code=1)
    assert "error: UFW does not delete: ufw route allow 9999/tcp; " in said
    lines = compare("vertical", declared(project(), "vertical", ADDRESSES), found(kept.read_text()))
    wrong = {line.rule.partition(" -p ")[0] for line in lines if line.state != "same"}
    assert wrong == {"-A ufw-user-forward", "== 6 -A ufw6-user-forward"}
