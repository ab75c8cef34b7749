"""Each component alone: two instances never collide, and pure parts by value."""

from __future__ import annotations

import ast
import base64
import json
import re
import subprocess
from collections.abc import Callable
from ipaddress import IPv4Network
from pathlib import Path, PurePosixPath

import pulumi
import pytest

from components.account_project import AccountProject, AccountProjectArgs
from components.cloud_firewall import CloudFirewall, CloudFirewallArgs, DropletRules
from components.compose_stack import ComposeStack, ComposeStackArgs, payload
from components.dns import Dns, DnsArgs
from components.droplet import Droplet, DropletArgs, VolumeArgs
from components.host import Host, HostArgs, MountArgs, sshd_peers, swap_mib
from components.image_pull import ImagePull, ImagePullArgs
from components.machine import Endpoint, Machine
from components.monitoring import Monitoring, MonitoringArgs
from components.network import Network, NetworkArgs
from components.old_logins import OldLogins, OldLoginsArgs
from components.origin_http import OriginHttp, OriginHttpArgs
from components.origin_tls import OriginTls, OriginTlsArgs
from components.remote import command_text
from components.ufw_firewall import UfwFirewall, UfwFirewallArgs
from components.zone_settings import ZoneSettings, ZoneSettingsArgs
from tests.program.recording import ROOT, run
from topology.bundle import Bundle, pack
from topology.cloud_init import SSHD_ALGORITHMS, SSHD_LIMITS
from topology.firewall import CloudRules, HostRule, rule_table
from topology.monitoring import DropletAlert, HealthAlert

ADDRESSES = {"infra": "10.80.0.2", "edge": "10.80.0.4"}
FILES = {"compose.yaml": "services: {}\n", ".env": "DOMAIN=x\n"}
TAR = pack({PurePosixPath(name): (text.encode(), False) for name, text in FILES.items()})
BUNDLE = Bundle(tier="infra", digest="ab" * 32, tar=TAR, images=("postgres:17", "redis:7"))
RULE = HostRule(name="postgres", protocol="tcp", port="5432", sources=("10.80.0.4/32",))


def machine() -> Machine:
    return Machine(
        name="infra",
        droplet_id="1",
        user="basec",
        private_key=pulumi.Output.secret("key"),
        addresses=ADDRESSES,
        target=Endpoint(address="10.80.0.2", host_key="ssh-ed25519 A"),
        bastion=Endpoint(address="198.51.100.24", host_key="ssh-ed25519 B"),
    )


def network(name: str) -> pulumi.Resource:
    return Network(name, NetworkArgs(vpc_name=name, region="nyc3", ip_range=IPv4Network("10.80.0.0/20")))


def cloud_firewall(name: str) -> pulumi.Resource:
    plan = DropletRules(firewall_name=name, tag=name, rules=CloudRules(inbound=(), outbound=()))
    return CloudFirewall(name, CloudFirewallArgs(droplets={"edge": plan}))


def droplet(name: str) -> pulumi.Resource:
    args = DropletArgs(
        droplet_name=name, region="nyc3", size="s-1vcpu-1gb", image="debian-13-x64", tags=(name,), vpc_id="vpc",
        ssh_key_id="1", user_data=pulumi.Output.secret("#cloud-config"), protect=True, reserved_ip=True,
        volume=VolumeArgs(name="data", size_gib=10),
    )  # fmt: skip
    return Droplet(name, args)


def host(name: str) -> pulumi.Resource:
    args = HostArgs(
        machine=machine(), authorized_key="ssh-ed25519 L",
        bastion_address="10.80.0.4", memory_mib=2048, tier="infra", size="s-1vcpu-2gb",
        mount=MountArgs(volume_name="data", size_gib=10, label="bc-data", mount="/mnt/data"),
    )  # fmt: skip
    return Host(name, args)


def ufw_firewall(name: str) -> pulumi.Resource:
    args = UfwFirewallArgs(
        machine=machine(), machine_rules=lambda _: (RULE,), container_rules=lambda _: (RULE,),
    )  # fmt: skip
    return UfwFirewall(name, args)


def compose_stack(name: str) -> pulumi.Resource:
    args = ComposeStackArgs(
        machine=machine(), bundle=BUNDLE, hosts=dict,
        secrets={"token_key": pulumi.Output.secret("canary")},
        secret_files=lambda values: {"a.env": {"content": values["token_key"], "uid": 1, "gid": 1}},
    )  # fmt: skip
    return ComposeStack(name, args)


def image_pull(name: str) -> pulumi.Resource:
    args = ImagePullArgs(machine=machine(), images=BUNDLE.images)
    return ImagePull(name, args)


def dns(name: str) -> pulumi.Resource:
    return Dns(name, DnsArgs(zone_id="0" * 32, domain="example.org", address="198.51.100.24"))


def origin_tls(name: str) -> pulumi.Resource:
    args = OriginTlsArgs(
        zone_id="0" * 32, hostnames=("example.org", "*.example.org"), csr=pulumi.Output.from_input("request"),
        client_certificate=pulumi.Output.from_input("leaf"), client_private_key=pulumi.Output.secret("canary"),
        client_authorities=pulumi.Output.from_input("authority"),
    )  # fmt: skip
    return OriginTls(name, args)


def zone_settings(name: str) -> pulumi.Resource:
    return ZoneSettings(name, ZoneSettingsArgs(zone_id="0" * 32, values={"ssl": "strict", "min_tls_version": "1.2"}))


def origin_http(name: str) -> pulumi.Resource:
    return OriginHttp(name, OriginHttpArgs(machine=machine(), serves=True))


def account_project(name: str) -> pulumi.Resource:
    args = AccountProjectArgs(project_name=name, description="shop", environment="Staging", urns=["do:droplet:1"])
    return AccountProject(name, args)


def monitoring(name: str) -> pulumi.Resource:
    args = MonitoringArgs(
        prefix=f"{name}-", emails=("ops@example.com",), tags=["edge"], health_url="https://example.org/health",
        on_droplets=(DropletAlert(name="cpu", type="v1/insights/droplet/cpu", percent=80),),
        on_health=(HealthAlert(name="down", type="down_global", period="2m", comparison="less_than", threshold=1),),
    )  # fmt: skip
    return Monitoring(name, args)


def old_logins(name: str) -> pulumi.Resource:
    args = OldLoginsArgs(machine=machine(), logins=pulumi.Output.from_input(["auth_1f3a9c02"]), release=BUNDLE.digest)
    return OldLogins(name, args)


MAKERS = (
    network, cloud_firewall, droplet, host, image_pull, ufw_firewall, compose_stack, old_logins, dns,
    origin_tls, zone_settings, origin_http, account_project, monitoring,
)  # fmt: skip


@pytest.mark.parametrize("make", MAKERS)
def test_two_instances_share_no_urn(make: Callable[[str], pulumi.Resource]) -> None:
    recorder = run(lambda: [make("one"), make("two")])
    urns = [item.urn for item in recorder.registered]
    assert len(urns) == len(set(urns))
    assert len(urns) % 2 == 0


@pytest.mark.parametrize("make", MAKERS)
def test_every_public_attribute_of_a_component_is_registered(make: Callable[[str], pulumi.Resource]) -> None:
    made: list[pulumi.Resource] = []
    recorder = run(lambda: made.append(make("one")))
    (component,) = made
    of_every_resource = {"id", "urn"}
    public = {name for name in vars(component) if not name.startswith("_")} - of_every_resource
    declared = set(type(component).__annotations__)
    assert public <= declared, "what callers may use is declared in the class"
    (item,) = (entry for entry in recorder.registered if not entry.custom)
    assert set(recorder.outputs[item.urn]) == declared


def test_every_component_of_the_program_is_tried_alone() -> None:
    classes = {
        name
        for path in sorted((ROOT / "components").glob("*.py"))
        for name in re.findall(r"^class (\w+)\(pulumi\.ComponentResource\)", path.read_text(), re.MULTILINE)
    }
    assert {make.__name__.title().replace("_", "") for make in MAKERS} == classes


def test_images_are_named_in_the_command_so_that_a_new_tag_pulls() -> None:
    recorder = run(lambda: image_pull("infra-images"))
    (pull,) = recorder.of("command:remote:Command")
    assert pull.plain("create").endswith("pull-images postgres:17 redis:7\n")


def test_the_payload_of_a_tier_is_secret_and_complete() -> None:
    recorder = run(lambda: compose_stack("infra-stack"))
    (activation,) = recorder.of("command:remote:Command")
    assert activation.secret("stdin")
    assert json.loads(activation.plain("stdin")) == {
        "bundle": base64.b64encode(TAR).decode(),
        "digest": "ab" * 32,
        "hosts": ADDRESSES,
        "secrets": {"a.env": {"content": "canary", "uid": 1, "gid": 1}},
    }


def test_the_payload_is_the_same_for_the_same_inputs_in_any_order() -> None:
    hosts = {"PRIVATE_ADDRESS": "10.80.0.2"}
    assert payload(BUNDLE, hosts, {}) == payload(BUNDLE, dict(reversed(hosts.items())), {})


def test_only_the_bastion_forwards_and_only_to_its_peers() -> None:
    assert "AllowTcpForwarding no" in sshd_peers("10.80.0.4", ())
    assert "PermitOpen" not in sshd_peers("10.80.0.4", ())
    edge = sshd_peers("10.80.0.4", ("10.80.0.2", "10.80.0.3"))
    assert "PermitOpen 10.80.0.2:22 10.80.0.3:22\n" in edge
    assert "AllowTcpForwarding local\n" in edge
    assert "PerSourcePenaltyExemptList 10.80.0.4,127.0.0.1\n" in edge


def test_droplets_that_exist_get_the_algorithms_of_new_ones() -> None:
    assert sshd_peers("10.80.0.4", ()).endswith("\n".join([*SSHD_LIMITS, *SSHD_ALGORITHMS]))


def test_small_droplets_get_swap_and_bigger_ones_none() -> None:
    assert (swap_mib(1024), swap_mib(2048)) == (1024, 0)


def test_only_container_ports_for_peers_are_bound_to_the_private_address() -> None:
    public = HostRule(name="edge-http", protocol="tcp", port="80", sources=("173.245.48.0/20",))
    table = rule_table((RULE,), (RULE, public), ADDRESSES, "infra")
    assert table.splitlines() == [
        "ufw allow tcp 5432 10.80.0.4/32 postgres",
        "docker tcp 5432 10.80.0.4/32 10.80.0.2",
        "docker tcp 80 173.245.48.0/20 any",
    ]


def test_a_value_with_quotes_reaches_the_script_as_it_is(tmp_path: Path) -> None:
    value = 'a\'b "c" $(d)'
    text = command_text(droplet_id="7", title="say it", script='printf %s "$VALUE"', variables={"VALUE": value})
    assert text.startswith("# droplet 7\n# say it\nexec sudo -n bash -c ")
    sudo = tmp_path / "sudo"
    sudo.write_text('#!/bin/sh\nshift\nexec "$@"\n')
    sudo.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(["sh", "-c", text], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == (value, 0), done.stderr


def test_settings_are_read_in_one_place() -> None:
    readers = [
        path.name
        for path in (ROOT / "__main__.py", *sorted((ROOT / "components").glob("*.py")))
        if any(word in path.read_text() for word in ("pulumi.Config(", "get_config(", "os.environ"))
    ]
    assert readers == ["stack_config.py"]


def test_no_undecorated_test_asserts_inside_apply() -> None:
    """Such an assertion never runs to a failure: only `@pulumi.runtime.test` waits for outputs."""
    for path in sorted(Path(__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and not node.decorator_list:
                applies = [
                    call for call in ast.walk(node)
                    if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "apply"
                ]  # fmt: skip
                asserts = [call for call in applies if any(isinstance(part, ast.Assert) for part in ast.walk(call))]
                assert not asserts, f"{path.name}: {node.name} asserts inside apply"
