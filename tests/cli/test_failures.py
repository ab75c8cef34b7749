"""The screen of a failed operation: at most ten lines, hosts by name, each cause once, one hint."""

from __future__ import annotations

import pytest

from basec.engine.failures import REFRESH, STATE, Names, failures_of, screen
from basec.engine.progress import ProgressView
from tests.cli.conftest import REPOSITORY
from tests.cli.test_progress import HEAD, diagnostic, shown, step
from topology.fleet import tiers

STACK_URN = HEAD + "pulumi:pulumi:Stack::basecommerce-local"
ACTIVATION = HEAD + "basecommerce:compose:ComposeStack$command:remote:Command::edge-stack-activation"
READY = HEAD + "basecommerce:host:Host$command:remote:Command::{}-host-ready"
VOLUME = HEAD + "basecommerce:droplet:Droplet$digitalocean:index/volume:Volume::infra-volume"
DROPLET = HEAD + "basecommerce:droplet:Droplet$digitalocean:index/droplet:Droplet::edge-droplet"
ZONE = HEAD + "basecommerce:tls:ZoneSettings$cloudflare:index/zoneSetting:ZoneSetting::zone-ssl"
NAMES = Names(
    hosts=("infra", "vertical", "edge"),
    addresses={"198.51.100.56": "edge", "10.77.0.2": "infra"},
    tiers=tiers(REPOSITORY),
)
SAID = """\
release: edge: activates 2f0b182b5df5
release: edge: docker compose up -d --wait --wait-timeout 180 --remove-orphans: exit code 1
  container edge-nginx-1 is unhealthy
release: edge: nginx: restarting
  log: nginx: [emerg] host not found in upstream "10.77.0.2" in /etc/nginx/nginx.conf:12
  log: nginx: [emerg] host not found in upstream "10.77.0.2" in /etc/nginx/nginx.conf:12
release: edge: brings 60b719302a98 back
release: edge: 60b719302a98 serves again
release: edge: 2f0b182b5df5: not activated
release: hint: the reason is above"""
CUT = "198.51.100.56: the command ended with exit code 1; last lines of its standard error:"
LOCAL = f"{CUT}\n{SAID}\ndetails: /x/command.log"
OFFICIAL = f'Process exited with status 1: running "# droplet 4\\n# activate edge 2f0b182b5df5\\nexec sudo": \n{SAID}\n'
BRIDGED = (
    "sdk-v2/provider2.go:572: sdk.helper_schema: Error creating droplet: 422 size is invalid"
    ": provider=digitalocean@4.84.1",
    "1 error occurred:\n\t* Error creating droplet: 422 size is invalid\n\n",
)


def echo(urn: str) -> str:
    return f"expected resource operations for {urn} but none were seen"


@pytest.mark.parametrize("text", [LOCAL, OFFICIAL], ids=["local cloud", "pulumi-command"])
def test_a_failed_release_is_four_lines(text: str) -> None:
    (failure,) = failures_of({ACTIVATION: [text], STACK_URN: ["update failed"]}, NAMES)
    assert failure.lines == [
        "edge: nginx: restarting",
        '  nginx: [emerg] host not found in upstream "infra" in /etc/nginx/nginx.conf:12 (2 times)',
        "  the previous release serves again (60b719302a98)",
    ]
    assert failure.hint == "", "what points to the lines above is none"


@pytest.mark.parametrize(
    "text",
    [
        "basec@198.51.100.56:22: no connection after 4 dials: timed out\nhint: check that the droplet runs",
        "after 4 failed attempts: dial tcp 198.51.100.56:22: i/o timeout",
    ],
    ids=["local cloud", "pulumi-command"],
)
def test_hosts_behind_a_bastion_that_is_away_are_one_failure_of_the_bastion(text: str) -> None:
    said = {READY.format(host): [text] for host in ("infra", "vertical", "edge")}
    (failure,) = failures_of(said, NAMES)
    assert failure.where == "edge"
    assert failure.what.startswith("cannot be reached by SSH: ")
    assert "198.51" not in failure.what
    assert (failure.unreachable, REFRESH in failure.hint) == (True, True)


def test_an_error_that_the_bridge_tells_twice_is_told_once() -> None:
    (failure,) = failures_of({DROPLET: list(BRIDGED)}, NAMES)
    assert failure.lines == ["edge: droplet: Error creating droplet: 422 size is invalid"]


CRASHES = (
    "rpc error: code = Unavailable desc = error reading from server: EOF",
    "could not load plugin for digitalocean provider 'urn:x': plugin exited prematurely",
)


@pytest.mark.parametrize("text", CRASHES)
def test_a_provider_that_crashed_is_the_one_failure_and_the_hint_is_a_refresh(text: str) -> None:
    (failure,) = failures_of({DROPLET: [text], VOLUME: [text]}, NAMES)
    assert failure.lines == ["the provider digitalocean: crashed while it worked; what it had begun may be done or not"]
    assert failure.hint.startswith(f"{STATE} asks the cloud what exists, then run the same command again")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("Error creating Alert Policy: POST https://x: 422 invalid email", "verify that address in the account first"),
        (
            '400 Bad Request {"errors":[{"code":81053,"message":"An A, AAAA or CNAME"}]}',
            "the zone has a record of that",
        ),
        ("A CNAME record with that host already exists. (81054)", "the zone has a record of that name"),
        ("Error creating SSH Key: 422 SSH Key is already in use on your account", "the account has this login key"),
        ("Error resizing volume: Droplet already has a pending event.", "the droplet is being switched off or on"),
        ("403 Can not delete default VPCs", "DigitalOcean never deletes a region's default VPC: make another"),
    ],
)
def test_what_an_api_refuses_has_its_hint(text: str, hint: str) -> None:
    told = [f"sdk-v2/provider2.go:571: sdk.helper_schema: {text}: provider=digitalocean@4.84.1"]
    (failure,) = failures_of({ZONE: [*told, f"1 error occurred:\n\t* {text}\n\n"]}, NAMES)
    assert (len(failure.lines), failure.count) == (1, 1), "told twice by the bridge, shown once"
    assert failure.hint.startswith(hint)


def test_what_the_local_cloud_says_keeps_its_hint_and_loses_its_log() -> None:
    text = "losetup: exit code 1: losetup: cannot find an unused loop device\nhint: modprobe loop\ndetails: /x/y.log"
    (failure,) = failures_of({VOLUME: [text]}, NAMES)
    assert failure.lines == ["infra: volume: losetup: exit code 1: losetup: cannot find an unused loop device"]
    assert failure.hint == "modprobe loop"


def test_the_same_failure_in_several_places_is_told_once_with_all_of_them() -> None:
    said = {READY.format(host): ["Cannot connect to the Docker daemon"] for host in ("infra", "edge")}
    (failure,) = failures_of({**said, ZONE: ["10000: Authentication error"]}, NAMES)[:1]
    assert failure.lines == ["infra: host-ready, edge: host-ready: Cannot connect to the Docker daemon"]


def test_no_urn_and_no_address_of_a_host_is_shown() -> None:
    (failure,) = failures_of({ZONE: [f"{ACTIVATION} refers to 10.77.0.2, not to 10.77.0.21"]}, NAMES)
    assert failure.lines == [
        "zone-ssl (ZoneSetting): edge-stack-activation (Command) refers to infra, not to 10.77.0.21"
    ]


def test_an_error_of_the_program_is_its_exception() -> None:
    text = "Program failed with an unhandled exception:\nTraceback (most recent call last):\n  File x\nValueError: no\n"
    (failure,) = failures_of({STACK_URN: [text]}, NAMES)
    assert failure.lines == ["the program: ValueError: no"]


def test_the_screen_never_has_more_than_ten_lines_with_its_hint() -> None:
    said = {
        **{
            ACTIVATION.replace("edge", host): [LOCAL.replace("edge", host).replace("60b7", host)]
            for host in ("edge", "vertical", "infra")
        },
        ZONE: ["10000: Authentication error"],
    }
    text = screen("basec: local: up failed", failures_of(said, NAMES), "log: .basec/local/failed-run.log")
    lines = text.splitlines()
    assert len(lines) + 1 <= 10
    assert lines[-2] == "also failed: infra: nginx, zone-ssl (ZoneSetting)"


def failed_view() -> ProgressView:
    events = [
        step("resource_pre_event", ACTIVATION, "update"),
        diagnostic(ACTIVATION, LOCAL),
        step("res_op_failed_event", ACTIVATION, "update"),
        diagnostic(ZONE, echo(ZONE)),
        diagnostic(ZONE, f"resource {ZONE} violates plan: properties changed: ++value[x]"),
    ]
    return shown(*events)[1]


def test_what_the_plan_misses_after_a_failure_is_counted_and_is_no_failure() -> None:
    view = failed_view()
    assert set(view.failures) == {ACTIVATION}
    assert view.unreached == {ZONE}
    assert view.plan_mismatch == "", "what does not fit after a failure is no edit of somebody's"


def test_what_a_refresh_does_not_find_is_gone_and_what_is_deleted_is_not() -> None:
    events = [step("resource_pre_event", DROPLET, "refresh"), step("res_outputs_event", DROPLET, "refresh")]
    view = shown(*events, step("resource_pre_event", VOLUME, "delete"), step("res_outputs_event", VOLUME, "delete"))[1]
    assert [each.urn for each in view.gone] == [DROPLET]
