"""Each dangerous edit is refused by preview and by up with nothing changed, and done when it is named.

With the real engine and dry plugins, on one stack that most tests of this file share: each leaves it as it found it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.cli.dry import LOCAL, DryStack, local_stack_that_is_up

pytestmark = pytest.mark.engine

SETTINGS = "Pulumi.local.yaml"
CLOUD = f".local/{LOCAL}/cloud.json"
Edits = tuple[tuple[str, str, str], ...]

IMAGE: Edits = (
    ("inventory.yaml", "images: [debian-13-x64]", "images: [debian-13-x64, debian-14-x64]"),
    ("inventory.yaml", "    image: debian-13-x64\n    reserved_ip", "    image: debian-14-x64\n    reserved_ip"),
)
REGION: Edits = ((SETTINGS, "region: nyc3", "region: fra1"),)
RANGE: Edits = ((CLOUD, '"vpc_range": "10.77.', '"vpc_range": "10.78.'),)
VOLUME_NAME: Edits = (("inventory.yaml", "name: data", "name: store"),)
SMALLER: Edits = (("inventory.yaml", "size_gib: 10", "size_gib: 5"),)
RENAME: Edits = (
    ("inventory.yaml", "  vertical: # one application\n", "  shop: # one application\n"),
    ("inventory.yaml", "droplet: vertical,", "droplet: shop,"),
    ("inventory.yaml", "from: [vertical", "from: [shop"),
)

EVERYTHING = ["edge-droplet", "edge-reserved-ip", "infra-droplet", "infra-volume", "network-vpc", "vertical-droplet"]
MACHINES = ["edge-droplet", "infra-droplet", "network-vpc", "vertical-droplet"]
DANGEROUS = {
    "image": (IMAGE, ["edge-droplet"], "the image would change ('debian-13-x64' -> 'debian-14-x64')"),
    "region": (REGION, EVERYTHING, "region 'nyc3' -> 'fra1'"),
    "range": (RANGE, MACHINES, "the private network is destroyed"),
    "volume name": (VOLUME_NAME, ["infra-volume"], "the data of PostgreSQL and Redis"),
    "smaller volume": (SMALLER, ["infra-volume"], "the volume would shrink (10 -> 5 GiB)"),
    "rename": (RENAME, ["vertical-droplet"], "is no longer declared"),
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DryStack]:
    with local_stack_that_is_up(tmp_path_factory) as made:
        yield made


@pytest.fixture
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DryStack]:
    """Yield a stack that the test may leave as it likes."""
    with local_stack_that_is_up(tmp_path_factory) as made:
        yield made


class Edited:
    """Several edits of several files, all undone in the end."""

    def __init__(self, stack: DryStack, edits: Edits) -> None:
        self._stack = stack
        self._edits = edits
        self._kept: dict[str, str] = {}

    def __enter__(self) -> None:
        for file, old, new in self._edits:
            path = self._stack.root / file
            text = path.read_text()
            assert old in text, f"{file} has no {old!r}"
            self._kept.setdefault(file, text)
            path.write_text(text.replace(old, new))

    def __exit__(self, *_: object) -> None:
        for file, text in self._kept.items():
            (self._stack.root / file).write_text(text)


@pytest.mark.parametrize("name", DANGEROUS)
def test_a_dangerous_edit_is_refused_and_nothing_is_changed(stack: DryStack, name: str) -> None:
    edits, resources, words = DANGEROUS[name]
    before, state = stack.journal(), stack.resources()
    with Edited(stack, edits):
        if name == "rename":
            stack.basec("init")  # a host key for the new name
        outcome = stack.basec("up" if name in ("image", "smaller volume") else "preview", code=5)
    assert words in outcome.stderr
    assert sorted(re.findall(r"--allow-replace (\S+)", outcome.stderr)) == resources, outcome.stderr
    assert outcome.stderr.count("BC07") == outcome.stderr.count("hint: ") == 1, "one edit, one refusal"
    assert "Traceback" not in outcome.stderr
    assert stack.journal() == before
    assert stack.resources() == state


def test_a_misspelt_urn_allows_nothing(stack: DryStack) -> None:
    before = stack.journal()
    outcome = stack.basec("up", "--allow-replace", "urn:pulumi:local-dry::basecommerce::edge-droplet", code=2)
    assert "basec: --allow-replace: local-dry: no such resource: urn:pulumi:local-dry::" in outcome.stderr
    assert "edge-droplet" in outcome.stderr.split("hint: one of ")[1]
    assert stack.journal() == before


def test_an_edited_template_is_told_and_replaces_no_machine(stack: DryStack) -> None:
    stack.basec("up")
    droplets = stack.records("droplet")
    with stack.edited("cloud-init/base.yaml.j2", ("#cloud-config", "#cloud-config\n# edited")):
        for text in (stack.basec("preview").stdout, stack.basec("up").stderr):
            told = [line for line in text.splitlines() if line.startswith("host ")]
            assert sorted(line.split()[1] for line in told) == ["edge", "infra", "vertical"]
            assert all("runs template" in line and "new machines get" in line for line in told)
        assert stack.records("droplet") == droplets


def test_a_bigger_volume_is_no_danger_and_the_last_line_has_its_price(stack: DryStack) -> None:
    with stack.edited("inventory.yaml", ("size_gib: 10", "size_gib: 20")):
        looked = stack.basec("preview")
        assert looked.stdout.splitlines()[-1] == (
            "price: 26.00 USD a month before, 27.00 USD after (+1.00); limit 40; on this machine it costs nothing"
        )
        price = json.loads(stack.basec("preview", "--json").stdout)["price"]
        assert (price["before_usd"], price["after_usd"], price["limit_usd"]) == (26.0, 27.0, 40)


@pytest.mark.parametrize("name", ["smaller volume", "rename", "range"])
def test_a_dangerous_edit_that_is_named_is_done(own_stack: DryStack, name: str) -> None:
    stack = own_stack
    edits, resources, _ = DANGEROUS[name]
    before = len(stack.journal().splitlines())
    with Edited(stack, edits):
        if name == "rename":
            stack.basec("init")
        stack.basec("up", *allowing(resources))
    done = [json.loads(line) for line in stack.journal().splitlines()[before:]]
    assert sorted(each["name"] for each in done if each["op"] == "delete" and each["name"] in resources) == resources
    assert len(stack.records("droplet")) == 3
    (volume,) = stack.records("volume").values()
    assert volume["spec"]["size_gib"] == (5 if name == "smaller volume" else 10)


def allowing(resources: list[str]) -> list[str]:
    return [word for each in resources for word in ("--allow-replace", each)]
