"""The local cloud has what the inventory may name, with the same figures."""

from __future__ import annotations

from pathlib import Path

import yaml

from localcloud.digitalocean import rules
from topology import settings

ROOT = Path(__file__).resolve().parents[2]


def test_program_and_local_cloud_have_the_same_sizes_regions_images_and_ranges() -> None:
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
