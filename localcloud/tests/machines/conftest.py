"""One local cloud on a machine that only writes down what it is asked."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from localcloud.config import CloudConfig, Mode
from localcloud.tests.machines.fake_host import FakeHost


@pytest.fixture
def config(tmp_path: Path) -> CloudConfig:
    return CloudConfig(
        name="local-mt",
        mode=Mode.REAL,
        state=tmp_path / "state",
        cache=tmp_path / "cache",
        public_subnet=IPv4Network("198.51.100.0/27"),
        cloudflare_address=IPv4Address("198.51.100.2"),
        registry_address=IPv4Address("198.51.100.3"),
        vpc_range=IPv4Network("10.77.1.0/24"),
        http_port=8080,
    )


@pytest.fixture
def host() -> FakeHost:
    return FakeHost()
