"""The model of a preview and what is shown of it: properties, files, effects, and no secret."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from basec.engine.review import document, effects, screen
from basec.engine.review.changes import Review, review
from basec.engine.review.releases import compare_releases
from basec.engine.review.sentences import by_host
from basec.engine.review.values import LATER, SECRET, PropertyChange, compare, line_diff
from tests.cli.conftest import REPOSITORY
from topology.dangerous_edits import Step
from topology.fleet import load_tier, service_of, tiers
from topology.names import UNKNOWN_TEXT

HEAD = "urn:pulumi:staging::basecommerce::"
DROPLET = HEAD + "basecommerce:droplet:Droplet$digitalocean:index/droplet:Droplet::infra-droplet"
VOLUME = HEAD + "basecommerce:droplet:Droplet$digitalocean:index/volume:Volume::infra-volume"
FIREWALL = HEAD + "basecommerce:firewall:CloudFirewall$digitalocean:index/firewall:Firewall::cloud-firewall-infra"
STACK = HEAD + "basecommerce:compose:ComposeStack::edge-stack"
ACTIVATION = HEAD + "basecommerce:compose:ComposeStack$command:remote:Command::edge-stack-activation"
RECORD = HEAD + "basecommerce:dns:Dns$cloudflare:index/dnsRecord:DnsRecord::dns-wildcard"
HOSTS = ("infra", "vertical", "edge")

COMPOSE = """\
x-service: &service
  restart: unless-stopped
services:
  nginx:
    <<: *service
    image: ${IMAGE_NGINX:?}
    x-live: {folder: nginx, signal: HUP}
    volumes: ["${NGINX_LIVE:?}:/etc/nginx:ro"]
  auth:
    <<: *service
    image: ${IMAGE_AUTH:?}
    volumes: ["${AUTH_DIR:-./auth}:/etc/basecommerce:ro"]
  migrate:
    image: ${IMAGE_AUTH:?}
    profiles: [migrate]
"""
FILES = {
    "compose.yaml": COMPOSE,
    ".env": "IMAGE_AUTH='ghcr.io/x/auth:sha-1111111'\nIMAGE_NGINX='docker.io/nginx:1.29@sha256:" + "ab" * 32 + "'\n",
    "nginx/nginx.conf": "one\ntwo\nthree\n",
    "auth/health.py": "print()\n",
    "release.py": "print()\n",
}


def told(urn: str, op: str, old: Mapping[str, Any] | None = None, new: Mapping[str, Any] | None = None) -> Step:
    return Step(op=op, urn=urn, old_inputs=old or {}, new_inputs=new or {})


def activation(old: str = "1" * 12, new: str = "2" * 12) -> Step:
    inputs = ({"create": f"# droplet 1\n# activate edge {digest}\n", "stdin": SECRET} for digest in (old, new))
    return told(ACTIVATION, "update", *inputs)


def drawn(found: Review, width: int = 120) -> str:
    text = io.StringIO()
    console = Console(file=text, width=width)
    console.print(screen.hosts(found))
    for each in screen.resources(found):
        console.print(each, soft_wrap=True)
    return text.getvalue()


# ---- values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "path", "kind", "values"),
    [
        ({"size": "a"}, {"size": "b"}, "size", "changed", ("a", "b")),
        ({"connection": {"host": "a"}}, {"connection": {"host": "b"}}, "connection.host", "changed", ("a", "b")),
        ({}, {"tags": ["x"]}, "tags", "added", (None, ["x"])),
        ({"size": "a"}, {}, "size", "removed", ("a", None)),
        ({"tags": ["x"]}, {"tags": ["x", "y"]}, "tags", "added", (None, "y")),
        ({"tags": ["x", "y"]}, {"tags": ["y"]}, "tags", "removed", ("x", None)),
        ({"tags": ["x", "y"]}, {"tags": ["y", "x"]}, "tags", "changed", (["x", "y"], ["y", "x"])),
        ({"ip": "a"}, {"ip": UNKNOWN_TEXT}, "ip", "changed", ("a", LATER)),
        ({"key": SECRET}, {"key": "a"}, "key", "changed", (SECRET, "a")),
        ({"a": 1, "__defaults": []}, {"a": 2, "__defaults": ["a"]}, "a", "changed", (1, 2)),
    ],
)
def test_each_property_that_differs_is_told_from_what_to_what(
    old: dict[str, object], new: dict[str, object], path: str, kind: str, values: tuple[object, object]
) -> None:
    (found,) = compare(old, new)
    assert (found.path, found.kind, (found.old, found.new)) == (path, kind, values)


def test_a_secret_that_changes_is_known_from_the_engine_alone() -> None:
    same = {"key": SECRET, "size": "a"}
    assert compare(same, same) == []
    assert compare(same, same, ["key"]) == [PropertyChange(path="key", kind="changed", old=SECRET, new=SECRET)]
    assert compare(same, {**same, "size": "b"}, ["size"]) == [
        PropertyChange(path="size", kind="changed", old="a", new="b")
    ]


def test_long_texts_are_told_as_lines_that_go_and_come_with_two_around_them() -> None:
    old = "".join(f"{number}\n" for number in range(20))
    assert line_diff(old, old.replace("5\n", "five\n", 1)) == (" 3", " 4", "-5", "+five", " 6", " 7")
    (found,) = compare({"stdin": old}, {"stdin": old.replace("5\n", "", 1).replace("9\n", "", 1)})
    assert (found.old, found.new) == (None, None)
    assert "-5" in found.diff
    two = line_diff(old, old.replace("2\n", "", 1).replace("17\n", "", 1))
    assert "..." in two


# ---- releases --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("new", "changed", "services"),
    [
        ({**FILES, "nginx/nginx.conf": "one\n2\nthree\n"}, ["nginx/nginx.conf +1 -1"], ()),
        ({**FILES, "auth/health.py": "print(1)\n"}, ["auth/health.py +1 -1"], ("auth",)),
        ({**FILES, "auth/more.py": "x\n"}, ["auth/more.py +1 -0"], ("auth",)),
        ({**FILES, "release.py": "print(1)\n"}, ["release.py +1 -1"], ()),
        (
            {**FILES, "compose.yaml": COMPOSE.replace("unless-stopped", "always")},
            ["compose.yaml +1 -1"],
            ("auth", "nginx"),
        ),
        (
            {**FILES, "compose.yaml": COMPOSE.replace("  auth:", "  auth:\n    x-watchdog: report")},
            ["compose.yaml +1 -0"],
            (),
        ),
        ({**FILES, ".env": FILES[".env"].replace("sha-1111111", "sha-2222222")}, [".env +1 -1"], ("auth",)),
        ({name: text for name, text in FILES.items() if name != "release.py"}, ["release.py +0 -1"], ()),
        (
            {**FILES, "compose.yaml": COMPOSE.replace("unless-stopped", "${RESTART:-unless-stopped}")},
            ["compose.yaml +1 -1"],
            (),
        ),
        (
            {
                **FILES,
                "compose.yaml": COMPOSE.replace("unless-stopped", "${RESTART:?}"),
                ".env": FILES[".env"] + "RESTART='unless-stopped'\n",
            },
            [".env +1 -0", "compose.yaml +1 -1"],
            (),
        ),
        (FILES, [], ()),
    ],
)
def test_only_services_whose_definition_image_or_mounted_files_differ_get_a_new_container(
    new: dict[str, str], changed: list[str], services: tuple[str, ...]
) -> None:
    found = compare_releases(FILES, new)
    assert [f"{file.name} +{file.added} -{file.removed}" for file in found.files] == changed
    assert found.services == services


@pytest.mark.parametrize(
    ("new", "reloads", "kind"),
    [
        ({**FILES, "nginx/nginx.conf": "one\n2\nthree\n"}, ("nginx",), "reload"),
        ({**FILES, "nginx/more.conf": "x\n"}, ("nginx",), "reload"),
        ({**FILES, "auth/health.py": "print(1)\n"}, (), "restart"),
        (
            {**FILES, "nginx/more.conf": "x\n", "compose.yaml": COMPOSE.replace("IMAGE_NGINX:?", "IMAGE_OTHER:?")},
            (),
            "restart",
        ),
        ({**FILES, "release.py": "print(1)\n"}, (), "none"),
    ],
)
def test_a_service_that_reads_its_files_again_keeps_its_container(
    new: dict[str, str], reloads: tuple[str, ...], kind: str
) -> None:
    assert compare_releases(FILES, new).reloads == reloads
    (change,) = review([activation()], {STACK: (FILES, new)}, HOSTS).changes
    assert change.effect.kind == kind


def test_images_are_told_by_what_changes_in_their_names() -> None:
    text = FILES[".env"].replace("sha-1111111", "sha-2222222").replace("ab" * 32, "cd" * 32)
    found = compare_releases(FILES, {**FILES, ".env": text})
    assert [(image.service, image.old, image.new) for image in found.images] == [
        ("auth", "sha-1111111", "sha-2222222"),
        ("nginx", "ab" * 6, "cd" * 6),
    ]


# ---- effects ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (told(DROPLET, "update", {"size": "a"}, {"size": "b"}), "power cut"),
        (told(DROPLET, "update", {"tags": ["a"]}, {"tags": ["b"]}), "none"),
        (told(DROPLET, "create-replacement", {"region": "a"}, {"region": "b"}), "replaced"),
        (told(DROPLET, "create"), "none"),
        (told(VOLUME, "delete"), "data lost"),
        (told(VOLUME, "replace", {"name": "a"}, {"name": "b"}), "data lost"),
        (told(VOLUME, "update", {"size": 10}, {"size": 20}), "none"),
        (told(RECORD, "delete"), "none"),
        (told(RECORD, "something-of-tomorrow"), "unknown"),
    ],
)
def test_the_effect_of_each_kind_of_change(step: Step, kind: str) -> None:
    (change,) = review([step], {}, HOSTS).changes
    assert change.effect.kind == kind
    assert bool(change.effect.text) == (kind != "none")


def test_a_release_restarts_what_it_changes_and_the_worst_effect_stands_for_the_host() -> None:
    files = {STACK: (FILES, {**FILES, "auth/health.py": "print(1)\n", "nginx/nginx.conf": "one\n"})}
    found = review([activation(), told(RECORD, "update", {"ttl": 1}, {"ttl": 2})], files, HOSTS)
    (edge, account) = by_host(found)
    assert (edge.host, edge.effect.kind) == ("edge", "restart")
    assert edge.effect.text.startswith("auth: ")
    assert edge.sentences == ("release 111111 to 222222: auth/health.py +1 -1, nginx/nginx.conf +0 -2",)
    assert (account.host, account.sentences) == ("account", ("dns-wildcard: ttl 1 to 2",))


def test_every_service_has_its_words() -> None:
    """Of those with two colours nobody notices that a container is new."""
    lasting = [
        name
        for tier in tiers(REPOSITORY)
        for name, service in load_tier(REPOSITORY, tier).services.items()
        if service.is_lasting
    ]
    plain = {name for name in lasting if service_of(name) == name}
    coloured = set(map(service_of, lasting)) - plain
    assert set(effects.GAPS) == plain == {"nginx", "haproxy", "postgres", "redis", "relay", "engines"}
    assert coloured == {"auth", "construction"}
    assert set(effects.KEPT) <= coloured


def test_the_effects_are_ranked_from_nothing_to_the_unknown() -> None:
    assert effects.worst([]) == effects.NONE
    kinds = [effects.Effect(kind=kind) for kind in effects.KINDS]
    assert effects.worst(kinds).kind == "unknown"
    assert effects.worst(kinds[:-1]).kind == "data lost"
    page = (REPOSITORY / "docs/preview.md").read_text()
    rows = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")]
    assert rows == ["effect", "---", *(kind for kind in effects.KINDS if kind != "reboot")]


# ---- the review as a whole -------------------------------------------------------------------------


def test_a_replacement_that_is_told_in_three_steps_is_one_change() -> None:
    steps = [
        told(DROPLET, "delete-replaced", {"region": "a"}),
        told(DROPLET, "replace", {"region": "a"}, {"region": "b"}),
        told(DROPLET, "create-replacement", {}, {"region": "b"}),
    ]
    (change,) = review(steps, {}, HOSTS).changes
    assert (change.sign, change.order) == ("+-", 1)
    assert [each.path for each in change.properties] == ["region"]
    (host,) = by_host(review(steps, {}, HOSTS))
    assert host.sentences == ("infra-droplet is replaced: region a to b",)


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ({"protocol": "tcp", "portRange": "6380", "sourceTags": ["t"]}, "admits tcp 6380 from t"),
        ({"protocol": "icmp", "sourceAddresses": ["10.0.0.0/8", "x"]}, "admits icmp from 10.0.0.0/8, x"),
    ],
)
def test_a_rule_of_the_cloud_firewall_is_a_sentence(rule: dict[str, object], sentence: str) -> None:
    more = told(FIREWALL, "update", {"inboundRules": []}, {"inboundRules": [rule]})
    (host,) = by_host(review([more], {}, HOSTS))
    assert (host.host, host.sentences) == ("infra", (f"cloud-firewall-infra: {sentence}",))
    less = told(FIREWALL, "update", more.new_inputs, more.old_inputs)
    (host,) = by_host(review([less], {}, HOSTS))
    assert host.sentences == (f"cloud-firewall-infra: no longer {sentence}",)


def test_hosts_come_in_the_order_of_the_work_and_many_new_things_are_counted() -> None:
    steps = [told(RECORD, "create"), told(DROPLET, "create"), told(VOLUME, "create"), activation()]
    found = by_host(review(steps, {}, HOSTS))
    assert [(each.host, each.sentences) for each in found] == [
        ("infra", ("2 resources are made",)),
        ("edge", ("release 111111 to 222222: its previous files are not known",)),
        ("account", ("dns-wildcard is made",)),
    ]


def test_the_same_release_with_another_secret_says_so() -> None:
    step = replace(activation("1" * 12, "1" * 12), differs=("stdin",))
    found = review([step], {STACK: (FILES, FILES)}, HOSTS)
    (host,) = by_host(found)
    assert host.sentences == ("release 111111 again, with changed secrets or addresses",)
    assert (host.effect.kind, host.effect.text) == ("restart", effects.OF_SECRETS.text)
    assert "     stdin: [secret], changed\n" in drawn(found)


def test_a_release_on_a_machine_that_is_not_made_yet_is_activated_anew() -> None:
    step = replace(activation(), new_inputs={"create": LATER, "stdin": LATER}, differs=("create", "stdin"))
    (host,) = by_host(review([step], {STACK: (FILES, FILES)}, HOSTS))
    assert host.sentences == ("release 111111 is activated again",)


def test_the_screen_shows_values_and_lines_at_80_and_120_columns_without_a_trailing_space() -> None:
    files = {STACK: (FILES, {**FILES, "nginx/nginx.conf": "one\n2\nthree\n"})}
    steps = [
        told(FIREWALL, "update", {"name": "a", "tags": ["x"]}, {"name": "b", "tags": ["x", "y"]}),
        told(DROPLET, "create"),
        activation(),
    ]
    found = review(steps, files, HOSTS)
    for width in (80, 120):
        lines = drawn(found, width).splitlines()
        resources = lines[next(n for n, line in enumerate(lines) if " 1. " in line) :]
        assert resources == [
            " ~  1. cloud-firewall-infra (Firewall)",
            "     name: a to b",
            "     tags: + y",
            " +  2. infra-droplet (Droplet)",
            " ~  3. edge-stack-activation (Command)",
            "     nginx/nginx.conf (changed)",
            "        one",
            "       -two",
            "       +2",
            "        three",
        ]
        assert max(map(len, lines)) <= width


def test_a_long_diff_and_a_long_value_are_cut_and_counted_on_the_screen_alone() -> None:
    old = "".join(f"{number}\n" for number in range(100))
    found = review([told(RECORD, "update", {"text": old, "data": "x" * 900}, {"text": "", "data": "y"})], {}, HOSTS)
    text = drawn(found)
    assert "(60 lines more: --json)" in text
    assert "... (900 characters)" in text
    properties = {each["path"]: each for each in document.of(found)["resources"][0]["properties"]}
    assert len(properties["text"]["diff"]) == 100
    assert properties["data"]["old"] == "x" * 900


def test_the_document_is_one_of_plain_values_and_says_what_is_secret() -> None:
    files = {STACK: (FILES, {**FILES, "nginx/nginx.conf": "one\n"})}
    step = replace(activation(), differs=("create", "stdin"))
    found = json.loads(json.dumps(document.of(review([step], files, HOSTS))))
    (resource,) = found["resources"]
    assert {each["path"]: each["secret"] for each in resource["properties"]} == {"create": False, "stdin": True}
    assert (resource["release"]["services"], resource["release"]["reloads"]) == ([], ["nginx"])
    page = (REPOSITORY / "docs/preview.md").read_text()
    assert [key for key in resource["release"] if f'"{key}":' not in page] == []
    assert resource["release"]["files"] == [
        {"name": "nginx/nginx.conf", "kind": "changed", "diff": [" one", "-two", "-three"]}
    ]
    assert (resource["op"], resource["host"], resource["effect"]["kind"]) == ("update", "edge", "reload")
    assert [each["host"] for each in found["hosts"]] == ["edge"]


def test_a_change_knows_its_sign_and_name() -> None:
    found = review([told(f"{DROPLET}{op}", op) for op in ("create", "update", "delete", "replace")], {}, HOSTS)
    signs = {change.step.op: change.sign for change in found.changes}
    assert signs == {"create": "+", "update": "~", "delete": "-", "replace": "+-"}
