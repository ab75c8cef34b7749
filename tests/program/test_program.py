"""The whole program for each stack: order, parents, secrets, exposure, and what previews with unknown values."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping
from typing import Any

import pulumi
import pytest

from tests.program.recording import (
    RESERVED_IP,
    ROOT,
    SECRETS,
    STACKS,
    Recorder,
    Registration,
    configuration,
    main,
    run,
    settings_of,
    unwrap,
)

COMMAND = "command:remote:Command"
PULL_CERTIFICATE = "cloudflare:index/authenticatedOriginPullsCertificate:AuthenticatedOriginPullsCertificate"
TOKENS = {
    "basecommerce:network:Network",
    "basecommerce:firewall:CloudFirewall",
    "basecommerce:droplet:Droplet",
    "basecommerce:host:Host",
    "basecommerce:images:ImagePull",
    "basecommerce:database:OldLogins",
    "basecommerce:firewall:UfwFirewall",
    "basecommerce:compose:ComposeStack",
    "basecommerce:tls:OriginTls",
    "basecommerce:tls:ZoneSettings",
    "basecommerce:tls:OriginHttp",
    "basecommerce:dns:Dns",
    "basecommerce:project:AccountProject",
    "basecommerce:monitoring:Monitoring",
}
ORDER = (
    ("basecommerce:droplet:Droplet", "infra"),
    ("basecommerce:droplet:Droplet", "vertical"),
    ("basecommerce:droplet:Droplet", "edge"),
    ("basecommerce:host:Host", "edge-host"),
    ("basecommerce:host:Host", "infra-host"),
    ("basecommerce:compose:ComposeStack", "infra-stack"),
    ("basecommerce:compose:ComposeStack", "vertical-stack"),
    ("basecommerce:compose:ComposeStack", "edge-stack"),
    ("basecommerce:tls:ZoneSettings", "zone"),
    ("basecommerce:tls:OriginHttp", "edge-http"),
    ("basecommerce:dns:Dns", "dns"),
    ("basecommerce:monitoring:Monitoring", "monitoring"),
)
SCRIPT_WAIT = re.compile(r"(?:wait_until|timeout|WAIT_SECONDS=) ?(\d{2,})\b")
RELEASE_LIMIT = re.compile(r"^([A-Z_]+(?:WAIT|DEADLINE)) = (\d+)", re.MULTILINE)
CANARIES = [value for key, value in SECRETS.items() if "key_" not in key and "login" not in key] + [
    line for value in SECRETS.values() if "PRIVATE KEY" in value for line in value.splitlines()[2:4]
]


@pytest.fixture(scope="module", params=STACKS)
def program(request: pytest.FixtureRequest) -> tuple[str, Recorder]:
    """Each stack's program, run once; the tests only look at what was recorded."""
    return request.param, run(main, stack=request.param, config=configuration(request.param))


@pytest.fixture(scope="module")
def staging() -> Recorder:
    return run(main, stack="staging", config=configuration("staging"))


def seconds_of(timeout: str) -> int:
    return int(timeout.removesuffix("m")) * 60


def children(recorder: Recorder, component: Registration) -> list[Registration]:
    return [item for item in recorder.registered if item.parent == component.urn]


def test_every_step_waits_for_all_resources_of_the_step_before(program: tuple[str, Recorder]) -> None:
    _, recorder = program
    for earlier, later in itertools.pairwise(ORDER):
        before = {item.urn for item in children(recorder, recorder.one(*earlier))}
        for item in children(recorder, recorder.one(*later)):
            assert before <= recorder.after(item), f"{item.name} does not wait for {earlier}"


def test_old_logins_end_when_every_tier_runs_with_the_new_ones(program: tuple[str, Recorder]) -> None:
    _, recorder = program
    (retired,) = children(recorder, recorder.one("basecommerce:database:OldLogins", "infra-old-logins"))
    stacks = {each.urn for each in recorder.registered if each.name.endswith("-stack-activation")}
    assert len(stacks) == 3
    assert stacks <= recorder.after(retired)


def test_a_new_password_of_the_database_ends_the_old_logins_anew(program: tuple[str, Recorder]) -> None:
    stack, recorder = program
    config = configuration(stack)
    config["basecommerce:database_password_auth"] = "canary-another-0123456789abcdef"
    again = run(main, stack=stack, config=config)
    texts = [each.one(COMMAND, "infra-old-logins-retired").plain("create") for each in (recorder, again)]
    assert texts[0] != texts[1]
    assert "canary" not in texts[1]


@pytest.mark.parametrize("name", ["infra", "vertical", "edge"])
@pytest.mark.parametrize(
    ("component", "kind"), [("basecommerce:firewall:UfwFirewall", "ufw"), ("basecommerce:images:ImagePull", "images")]
)
def test_rules_and_images_come_before_their_tier_and_wait_only_for_their_machine(
    program: tuple[str, Recorder], component: str, kind: str, name: str
) -> None:
    _, recorder = program
    (item,) = children(recorder, recorder.one(component, f"{name}-{kind}"))
    ready = {each.urn for each in children(recorder, recorder.one("basecommerce:host:Host", f"{name}-host"))}
    assert ready <= recorder.after(item)
    (activation,) = children(recorder, recorder.one("basecommerce:compose:ComposeStack", f"{name}-stack"))
    assert item.urn in recorder.after(activation)
    stacks = {each.urn for each in recorder.registered if each.name.endswith("-stack-activation")}
    assert len(stacks) == 3
    assert not stacks & recorder.after(item), "it waits for no tier"


def test_network_and_firewalls_are_there_before_the_first_droplet(program: tuple[str, Recorder]) -> None:
    _, recorder = program
    (droplet,) = (item for item in recorder.of("digitalocean:index/droplet:Droplet") if item.name == "infra-droplet")
    firewalls = recorder.of("digitalocean:index/firewall:Firewall")
    assert len(firewalls) == 3
    assert {item.urn for item in firewalls} <= recorder.after(droplet)


def test_the_bastion_is_prepared_after_all_three_droplets(program: tuple[str, Recorder]) -> None:
    _, recorder = program
    host = recorder.one("basecommerce:host:Host", "edge-host")
    droplets = {item.urn for item in recorder.of("digitalocean:index/droplet:Droplet")}
    assert len(droplets) == 3
    assert droplets <= host.dependencies


def test_machines_behind_the_bastion_are_prepared_after_it_and_side_by_side(program: tuple[str, Recorder]) -> None:
    _, recorder = program
    urns = {
        name: {each.urn for each in children(recorder, recorder.one("basecommerce:host:Host", f"{name}-host"))}
        for name in ("edge", "infra", "vertical")
    }
    for name, other in (("infra", "vertical"), ("vertical", "infra")):
        for item in children(recorder, recorder.one("basecommerce:host:Host", f"{name}-host")):
            assert urns["edge"] <= recorder.after(item)
            assert not urns[other] & recorder.after(item)


def test_a_peer_is_waited_for_on_the_bastion_before_it_is_dialled_through_it(staging: Recorder) -> None:
    for name in ("infra", "vertical"):
        wait = staging.one(COMMAND, f"{name}-host-reachable")
        ready = staging.one(COMMAND, f"{name}-host-ready")
        assert wait.urn in ready.dependencies
        assert "proxy" not in wait.plain("connection")
        assert wait.plain("connection")["host"] == RESERVED_IP
        assert ready.plain("connection")["proxy"]["host"] == RESERVED_IP


def test_a_bigger_volume_runs_the_command_that_grows_its_file_system(staging: Recorder) -> None:
    size = staging.one("digitalocean:index/volume:Volume", "infra-volume").plain("size")
    assert f"\nVOLUME_SIZE_GIB={size:.0f}\n" in staging.one(COMMAND, "infra-host-ready").plain("create")
    volume = staging.one("digitalocean:index/volume:Volume", "infra-volume").urn
    assert volume in staging.after(staging.one(COMMAND, "infra-host-ready")), "which waits for the volume"


def test_a_new_size_which_reboots_the_machine_runs_the_command_that_waits_for_it(staging: Recorder) -> None:
    for name in ("infra", "vertical", "edge"):
        size = staging.one("digitalocean:index/droplet:Droplet", f"{name}-droplet").plain("size")
        assert f"\nDROPLET_SIZE={size}\n" in staging.one(COMMAND, f"{name}-host-ready").plain("create")


def test_components_are_the_fourteen_known_ones(program: tuple[str, Recorder]) -> None:
    _, recorder = program
    assert {item.type for item in recorder.registered if not item.custom} == TOKENS


def test_every_resource_but_the_login_key_has_a_component_as_parent(program: tuple[str, Recorder]) -> None:
    _, recorder = program
    components = {item.urn for item in recorder.registered if not item.custom}
    orphans = [item.name for item in recorder.registered if item.custom and item.parent not in components]
    assert orphans == ["login-key"]


def test_children_are_named_after_their_component(program: tuple[str, Recorder]) -> None:
    _, recorder = program
    for component in (item for item in recorder.registered if not item.custom):
        for child in children(recorder, component):
            assert child.name.startswith(f"{component.name}-")


def test_every_command_checks_host_keys_logs_nothing_and_hides_its_output(program: tuple[str, Recorder]) -> None:
    _, recorder = program
    commands = recorder.of(COMMAND)
    assert len(commands) == 5 + 3 + 3 + 3 + 1 + 1
    for item in commands:
        connection = item.plain("connection")
        assert connection["hostKey"].startswith("ssh-ed25519 "), item.name
        if "proxy" in connection:
            assert connection["proxy"]["hostKey"].startswith("ssh-ed25519 "), item.name
            assert connection["proxy"]["hostKey"] != connection["hostKey"], item.name
        assert connection["user"] == "basec"
        assert item.plain("logging") == "none"
        assert item.plain("addPreviousOutputInEnv") is False
        assert {"stdout", "stderr", "connection"} <= set(item.secret_outputs)
        assert not {"environment", "triggers", "delete", "update"} & set(item.inputs)
        assert item.create_timeout, f"{item.name} has no time-out"


def test_a_remote_script_reaches_its_own_deadline_before_the_engine_cuts_it_off(staging: Recorder) -> None:
    """Cut off from outside, a script names no reason and brings no earlier release back."""
    scripts = "".join(path.read_text() for path in sorted((ROOT / "compose").glob("*.py")))
    limits = {name: int(value) for name, value in RELEASE_LIMIT.findall(scripts)}
    up = limits["HEALTH_DEADLINE"] + 60 + limits["RECOVERY_WAIT"]
    # The database, the release, the earlier release; one image at its limit.
    activation = limits["LOCK_WAIT"] + limits["PULL_DEADLINE"] + limits["MIGRATE_DEADLINE"] + 3 * up
    for item in staging.of(COMMAND):
        connection = item.plain("connection")
        script = sum(int(seconds) for seconds in SCRIPT_WAIT.findall(item.plain("create")))
        if item.name.endswith("-activation"):
            script = activation
        assert script or item.name.endswith("-rules"), f"{item.name}: no wait found"
        dials = connection["dialErrorLimit"] * connection["perDialTimeout"]
        assert dials + script < seconds_of(item.create_timeout), item.name


def test_every_command_carries_the_identity_of_its_droplet(staging: Recorder) -> None:
    numbers = {name: staging.resources[staging.one("digitalocean:index/droplet:Droplet", f"{name}-droplet").urn].id
               for name in ("infra", "vertical", "edge")}  # fmt: skip
    for item in staging.of(COMMAND):
        assert item.plain("create").startswith(f"# droplet {numbers[item.name.split('-')[0]]}\n"), item.name


def test_secrets_are_flagged_wherever_they_go_and_nowhere_else(program: tuple[str, Recorder]) -> None:
    _, recorder = program
    for item in recorder.registered:
        for key, value in item.inputs.items():
            text = json.dumps(unwrap(value))
            if any(json.dumps(canary)[1:-1] in text for canary in CANARIES):
                assert (item.type, key) in {
                    (COMMAND, "connection"),
                    (COMMAND, "stdin"),
                    ("digitalocean:index/droplet:Droplet", "userData"),
                    ("cloudflare:index/originCaCertificate:OriginCaCertificate", "csr"),
                    (PULL_CERTIFICATE, "certificate"),
                    (PULL_CERTIFICATE, "privateKey"),
                }, f"{item.name}.{key} holds a secret"
                if key == "connection":  # its private keys are wrapped one by one, and all of it is a secret output
                    assert "connection" in item.secret_outputs
                else:
                    assert item.secret(key), f"{item.name}.{key} is not marked secret"
    exports = json.dumps(recorder.exports)
    assert not [canary for canary in CANARIES if canary in exports]


def test_nothing_but_the_edge_admits_the_public(program: tuple[str, Recorder]) -> None:
    stack, recorder = program
    cloudflare = settings_of(stack)["cloudflare"]["ranges"]
    for name in ("infra", "vertical", "edge"):
        rules = recorder.one("digitalocean:index/firewall:Firewall", f"cloud-firewall-{name}").plain("inboundRules")
        public = {rule["portRange"]: rule["sourceAddresses"] for rule in rules if "sourceAddresses" in rule}
        assert public.keys() == ({"80", "443", "22"} if name == "edge" else set())
        assert public.get("80", cloudflare) == public.get("443", cloudflare) == cloudflare
        tags = [tag for rule in rules for tag in rule.get("sourceTags", ())]
        assert all(tag.startswith(f"basecommerce-{stack}-") for tag in tags)


def test_firewalls_know_droplets_by_their_own_tag_only(program: tuple[str, Recorder]) -> None:
    stack, recorder = program
    for name in ("infra", "vertical", "edge"):
        firewall = recorder.one("digitalocean:index/firewall:Firewall", f"cloud-firewall-{name}")
        droplet = recorder.one("digitalocean:index/droplet:Droplet", f"{name}-droplet")
        assert firewall.plain("tags") == [f"basecommerce-{stack}-{name}"]
        assert set(firewall.plain("tags")) <= set(droplet.plain("tags"))
        assert "dropletIds" not in firewall.inputs


def test_droplets_are_born_with_all_that_would_replace_them_later(program: tuple[str, Recorder]) -> None:
    stack, recorder = program
    for item in recorder.of("digitalocean:index/droplet:Droplet"):
        wanted = {
            "monitoring": True,
            "ipv6": False,
            "resizeDisk": False,
            "gracefulShutdown": True,
        }
        assert {key: item.plain(key) for key in wanted} == wanted
        assert item.plain("image") == "debian-13-x64"
        assert item.plain("vpcUuid")
        assert "publicNetworking" not in item.inputs
        assert "dropletAgent" not in item.inputs, "asked for, a failure of its installation would be the droplet's"
        assert item.ignore_changes == ("userData", "sshKeys", "image", "dropletAgent")
        assert item.delete_before_replace
        assert item.protect == settings_of(stack)["protect"]


def test_what_holds_data_or_an_address_is_protected_where_the_setting_says_so(program: tuple[str, Recorder]) -> None:
    stack, recorder = program
    for type_ in ("digitalocean:index/volume:Volume", "digitalocean:index/reservedIp:ReservedIp"):
        (item,) = recorder.of(type_)
        assert item.protect == settings_of(stack)["protect"]


def test_attachments_get_the_droplet_id_as_a_number(staging: Recorder) -> None:
    (volume,) = staging.of("digitalocean:index/volumeAttachment:VolumeAttachment")
    (address,) = staging.of("digitalocean:index/reservedIpAssignment:ReservedIpAssignment")
    assert isinstance(volume.plain("dropletId"), float | int)
    assert isinstance(address.plain("dropletId"), float | int)


def test_names_of_the_shop_point_to_the_reserved_address_through_the_proxy(program: tuple[str, Recorder]) -> None:
    stack, recorder = program
    domain = settings_of(stack)["domain"]
    records = {item.plain("name"): item for item in recorder.of("cloudflare:index/dnsRecord:DnsRecord")}
    assert set(records) == {domain, f"*.{domain}"}
    for item in records.values():
        assert (item.plain("type"), item.plain("content")) == ("A", RESERVED_IP)
        assert (item.plain("proxied"), item.plain("ttl")) == (True, 1)


def test_the_exports_are_the_documented_ones(program: tuple[str, Recorder]) -> None:
    _, recorder = program
    exports: Mapping[str, Any] = recorder.exports
    assert set(exports) == {
        "domain", "edge_reserved_ip", "droplets", "host_public_keys", "ssh_user", "releases",
    }  # fmt: skip
    assert exports["edge_reserved_ip"] == RESERVED_IP
    assert set(exports["droplets"]) == {"infra", "vertical", "edge"}
    keys = {"id", "public_ip", "private_ip", "template_digest", "size", "volume_gib", "reserved_ip"}
    assert all(set(value) == keys for value in exports["droplets"].values())
    assert all(key.startswith("ssh-ed25519 ") for key in exports["host_public_keys"].values())
    assert set(exports["releases"]) == {"infra", "vertical", "edge"}


def test_no_text_holds_an_output_that_was_never_resolved(program: tuple[str, Recorder]) -> None:
    _, recorder = program
    for item in recorder.registered:
        text = json.dumps(unwrap(dict(item.inputs)))
        assert "__str__ on an Output" not in text, item.name
        assert "<pulumi.output" not in text, item.name


def test_the_preview_shows_the_same_resources_with_unknown_values() -> None:
    preview = run(main, stack="production", preview=True, config=configuration("production"))
    done = run(main, stack="production", config=configuration("production"))
    assert {item.urn for item in preview.registered} == {item.urn for item in done.registered}


@pytest.mark.parametrize("broken", ["settings", "text", "secret"])
def test_a_wrong_configuration_is_refused_before_any_resource(broken: str) -> None:
    config = configuration("staging")
    if broken == "settings":
        config["basecommerce:settings"] = json.dumps({**settings_of("staging"), "region": "Mars!"})
    elif broken == "text":
        config["basecommerce:settings"] = "region nyc3"
    else:
        config["basecommerce:database_password_auth"] = "short"
    recorders: list[Recorder] = []
    with pytest.raises(pulumi.RunError) as caught:
        run(main, stack="staging", config=config, started=recorders.append)
    assert "Pulumi.staging.yaml: basecommerce:" in str(caught.value)
    assert "hint:" in str(caught.value)
    assert "Traceback" not in str(caught.value)
    assert "short" not in str(caught.value)
    assert recorders[0].registered == []


def test_the_preview_does_not_know_what_the_cloud_will_choose() -> None:
    preview = run(main, stack="staging", preview=True, config=configuration("staging"))
    (record, _) = preview.of("cloudflare:index/dnsRecord:DnsRecord")
    assert record.plain("content") in (None, "04da6b54-80e4-46f7-96ec-b56ff0331ba9")
