"""DNS records of a local cloud, with a machine that only writes down what it is asked."""

from __future__ import annotations

import asyncio

import pytest

from localcloud.cloudflare.backend import RecordSpec
from localcloud.cloudflare.real import backend, edge
from localcloud.config import CloudConfig
from localcloud.tests.machines.fake_host import FakeHost


async def test_the_stand_in_is_reloaded_for_one_record_at_a_time(
    config: CloudConfig, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = 0
    most = 0

    async def slow_reload(*_: object) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1

    monkeypatch.setattr(edge, "reload", slow_reload)
    cloud = backend(config, host=host)

    def record(name: str) -> RecordSpec:
        return RecordSpec(zone_id="0" * 32, name=name, type="A", content="198.51.100.24", proxied=True, ttl=1)

    ids = await asyncio.gather(*(cloud.records.put(name, None, record(name)) for name in ("localhost", "*.localhost")))
    await asyncio.gather(*(cloud.records.delete(record_id) for record_id in ids))
    assert most == 1
