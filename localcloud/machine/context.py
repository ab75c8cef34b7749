"""What every part of a cloud uses: its settings, the machine, its records."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from localcloud.config import CloudConfig
from localcloud.machine.host import Host, LinuxHost
from localcloud.machine.store import Store


@dataclass(frozen=True)
class Cloud:
    config: CloudConfig
    host: Host
    store: Store

    @classmethod
    def of(cls, config: CloudConfig, host: Host | None = None) -> Cloud:
        """Open a cloud, on this machine unless a test passes another one."""
        return cls(config, host or LinuxHost(), Store(config.state))

    def disk(self, droplet_id: str) -> Path:
        """Return the directory that the droplet sees as /dev/disk."""
        return self.store.directory / "disk" / droplet_id
