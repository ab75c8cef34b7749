"""Declared rules against the kernel's: what is missing, extra, or stands too late is seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from basec.hosts.firewall import compare, declared, found
from basec.session import Session
from tests.cli import fake_droplets
from tests.cli.conftest import Run
from tests.unit.topology_support import ADDRESSES, project

FRAME = """:INPUT DROP [12:640]
-A FORWARD -j DOCKER-USER
-A DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN
-A DOCKER-USER -i docker0 -j RETURN
-A DOCKER-USER -i br-+ -j RETURN
-A DOCKER-USER -i bc-+ -j RETURN
"""
VERTICAL = (
    "-A DOCKER-USER -s 10.81.0.4/32 -p tcp -m conntrack --ctstate DNAT --ctorigdst 10.81.0.3 --ctorigdstport 8000"
    " --ctdir ORIGINAL -j RETURN\n"
)
END = """-A DOCKER-USER -j DROP
-A DOCKER-USER -j RETURN
-A ufw-before-input -j ufw-user-input
"""
MACHINE = """-A ufw-user-input -s 10.81.0.4/32 -p tcp -m tcp --dport 22 -j ACCEPT
-A ufw-user-input -s 10.81.0.4/32 -p tcp -m tcp --dport 8000 -j ACCEPT
"""
SIX = "== 6\n:INPUT DROP [0:0]\n"
KERNEL = FRAME + VERTICAL + END + MACHINE + SIX


def differences(kernel: str, host: str = "vertical") -> set[tuple[str, str, str]]:
    lines = compare(host, declared(project(), host, ADDRESSES), found(kernel))
    return {(line.chain, line.rule, line.state) for line in lines if line.state != "same"}


def test_a_kernel_with_the_tables_rules_has_no_difference() -> None:
    assert differences(KERNEL) == set()


@pytest.mark.parametrize(
    ("added", "chain", "rule"),
    [
        ("-A ufw-user-input -p tcp -m tcp --dport 9999 -j ACCEPT\n", "ufw", "allow tcp 9999 from 0.0.0.0/0"),
        (
            "-A ufw-user-input -p tcp -m multiport --dports 8000:8010 -j ACCEPT\n",
            "ufw",
            "allow tcp 8000:8010 from 0.0.0.0/0",
        ),
        *(
            (f"{rule}\n", "ufw", rule)
            for rule in (
                "-A ufw-user-input -i eth0 -j ACCEPT",
                "-A ufw-user-forward -p tcp -m tcp --dport 9999 -j ACCEPT",
                "-A ufw-user-output -p tcp -m tcp --dport 25 -j DROP",
            )
        ),
    ],
)
def test_a_rule_added_by_hand_is_extra_also_in_an_unknown_form(added: str, chain: str, rule: str) -> None:
    assert differences(KERNEL.replace("== 6", added + "== 6")) == {(chain, rule, "extra")}


@pytest.mark.parametrize("chain", ["input", "forward", "output"])
def test_a_rule_that_is_for_ipv6_alone_is_extra(chain: str) -> None:
    rule = f"-A ufw6-user-{chain} -s 2001:db8::/32 -p tcp -m tcp --dport 443 -j ACCEPT"
    assert differences(f"{KERNEL}{rule}\n") == {("ufw", f"== 6 {rule}", "extra")}


def test_a_rule_of_dockers_chain_that_is_gone_is_missing() -> None:
    rule = "allow tcp 8000 from 10.81.0.4/32 to 10.81.0.3"
    assert differences(KERNEL.replace(VERTICAL, "")) == {("docker", rule, "missing")}


def test_rules_below_the_final_drop_do_not_count() -> None:
    moved = KERNEL.replace(VERTICAL, "").replace("-A DOCKER-USER -j RETURN\n", VERTICAL)
    assert {state for _, _, state in differences(moved)} == {"missing"}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (":INPUT DROP [12:640]\n", "what no rule names is dropped"),
        ("-A DOCKER-USER -j DROP\n", "what no rule names does not reach a container"),
        ("-A ufw-before-input -j ufw-user-input\n", "UFW is on"),
        ("-A FORWARD -j DOCKER-USER\n", "Docker's traffic passes our chain"),
        (SIX, "IPv6: what no rule names is dropped"),
    ],
)
def test_what_holds_the_rules_is_compared_as_well(line: str, why: str) -> None:
    assert ("frame", why, "missing") in differences(KERNEL.replace(line, ""))


def test_a_refusal_below_the_admission_of_the_same_port_is_missing() -> None:
    # The first rule that fits decides: below, it refuses nobody.
    kernel = FRAME + END + SIX
    admit = "-A ufw-user-input -p tcp -m tcp --dport 22 -j ACCEPT\n"
    refuse = f"-A ufw-user-input -s {project().settings.vpc_ip_range} -p tcp -m tcp --dport 22 -j DROP\n"
    rule = ("ufw", f"deny tcp 22 from {project().settings.vpc_ip_range}", "missing")
    assert rule in differences(kernel.replace("== 6", admit + refuse + "== 6"), "edge")
    assert rule not in differences(kernel.replace("== 6", refuse + admit + "== 6"), "edge")


def test_a_host_that_does_not_answer_is_named_and_hides_no_other_host(
    basec: Run, tmp_path: Path, clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    droplets = fake_droplets.install(tmp_path / "droplets", clone, monkeypatch)
    monkeypatch.setattr(Session, "project", project())
    for host in ("edge", "infra"):
        (droplets / f"{host}.json").write_text(KERNEL)
    (droplets / "vertical.down").touch()
    outcome = basec("firewall", "status", "--env", "local")
    assert outcome.code == 4
    assert {line.split()[0] for line in outcome.stdout.splitlines()[1:] if "allow" in line} == {"edge", "infra"}
    assert "vertical: cannot be reached by SSH: ssh: connect to host vertical port 22: Connection refused\nhint: " in (
        outcome.stderr
    )
    told = json.loads(basec("firewall", "status", "--env", "local", "--json").stdout)
    assert {rule["host"] for rule in told["rules"]} == {"edge", "infra"}
    assert [said.partition(":")[0] for said in told["no_answer"]] == ["vertical"]
