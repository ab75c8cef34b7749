"""Which names of images always mean one build."""

from __future__ import annotations

import pytest

from tests.unit.topology_support import ROOT, raw_settings, with_value
from topology.image_names import image_fault, major_version, moves
from topology.project import load_project
from topology.settings import SECRET_KEYS

DIGEST = "@sha256:" + "0a" * 32
MOVING = (
    "latest Latest latest-production latest-1234567 main develop stable nightly edge stable-1.28 master-x lts 8 v1 8.0 "
    "build2-latest 1.2.3-latest branch2 branch2-shop main2 release2026 node22 feature1-shop"
)
FIXED = (
    "sha-1234567 1234567 v1.2.3 8.0.6-bookworm 2026.11.30 2026-11-30 20261130-2 main-abc1234 dev-1 own-1 build-42 "
    "reference reference-v2 reference-69fc385b509d"
)


@pytest.mark.parametrize("tag", MOVING.split())
def test_a_word_or_a_part_of_a_version_moves(tag: str) -> None:
    assert moves(tag)


@pytest.mark.parametrize("tag", FIXED.split())
def test_a_commit_a_day_a_count_or_a_whole_version_stays(tag: str) -> None:
    assert not moves(tag)


def test_two_numbers_are_a_whole_version_of_postgresql_alone() -> None:
    assert image_fault("docker.io/library/postgres:17.10-trixie") == ""
    assert image_fault("docker.io/library/redis:8.0-bookworm") == "has a tag that moves: 8.0-bookworm"


@pytest.mark.parametrize("tag", ["", ":8.0", ":8.0.6-bookworm", ":latest"])
def test_a_digest_is_accepted_with_any_tag_and_without_one(tag: str) -> None:
    image = f"docker.io/library/redis{tag}{DIGEST}"
    assert image_fault(image) == ""
    settings = with_value(raw_settings(), "images.services", {"redis": image})
    assert load_project(ROOT, "staging", settings, SECRET_KEYS).image("redis") == image


def test_half_a_digest_is_none() -> None:
    assert image_fault("docker.io/library/redis:8.0.6@sha256:abc") == "is not an image with registry and name"
    assert image_fault("docker.io/library/redis") == "has neither tag nor digest"


def test_the_major_version_is_the_first_number_of_the_tag() -> None:
    assert major_version("docker.io/library/postgres:18.1") == 18
    assert major_version(f"docker.io/library/postgres:17.10-trixie{DIGEST}") == 17
    assert major_version("registry.localcloud.internal:80/postgres:0db8") is None
