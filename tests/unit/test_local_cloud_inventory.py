"""What the inventory may name is what the local cloud has, with the same figures."""

from __future__ import annotations

from pathlib import Path

import yaml

from localcloud.digitalocean import rules
from topology import settings

ROOT = Path(__file__).resolve().parents[2]


def test_sizes_regions_images_and_ranges_of_the_program_are_those_of_the_local_cloud() -> None:
    inventory = yaml.safe_load((ROOT / "inventory.yaml").read_text())
    for slug, figures in inventory["sizes"].items():
        size = rules.SIZES[slug]
        ours = {"memory_mib": size.memory_mib, "vcpus": size.vcpus, "disk_gib": size.disk_gib}
        assert {**ours, "price_usd": size.price_monthly} == figures, slug
    assert set(inventory["regions"]) <= set(rules.REGIONS)
    assert set(inventory["images"]) == set(rules.IMAGES)
    reserved = {network for network, why in settings.RESERVED_RANGES.items() if why == "reserved by DigitalOcean"}
    assert reserved == set(rules.RESERVED_RANGES)
    assert settings.PRIVATE_RANGES == rules.PRIVATE_RANGES
