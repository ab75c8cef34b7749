"""Block volumes: a sparse file on a loop device, seen by a droplet as /dev/disk/by-id/scsi-0DO_Volume_<name>.

The node is created in the directory that the droplet has as its /dev/disk, so it appears while the droplet runs. The
kernel is asked each time which loop device has a file: the number changes with a restart of the machine.
"""

from __future__ import annotations

import json
import os
import stat
import uuid
from dataclasses import dataclass
from pathlib import Path

from localcloud.digitalocean.backend import PENDING_EVENT, VolumeSpec
from localcloud.digitalocean.real.droplets import DROPLETS, has_pending_event
from localcloud.errors import CloudError
from localcloud.machine.context import Cloud
from localcloud.machine.store import Document

VOLUMES = "volumes"
_GIB = 1024**3


@dataclass(frozen=True)
class Volumes:
    """The block volumes of a cloud."""

    cloud: Cloud

    def image_path(self, volume_id: str) -> Path:
        """Return the file that holds the volume's bytes."""
        return self.cloud.store.folder(VOLUMES).resolve() / f"{volume_id}.img"

    def node_path(self, droplet_id: str, name: str) -> Path:
        """Return where the machine keeps the device node that the droplet sees."""
        return self.cloud.disk(droplet_id) / "by-id" / f"scsi-0DO_Volume_{name}"

    async def create(self, urn: str, spec: VolumeSpec) -> str:
        """Create a volume; one that an earlier run made under this URN is adopted."""
        async with self.cloud.store.lock():
            existing = self.cloud.store.find(VOLUMES, urn=urn, name=spec.name, region=spec.region)
            if existing is None and self.cloud.store.find(VOLUMES, name=spec.name, region=spec.region) is not None:
                raise CloudError(f"volume {spec.name}: a volume of that name already exists in {spec.region}")
            volume_id = existing or str(uuid.uuid4())
            document = self.cloud.store.read(VOLUMES, volume_id) or {"droplet_id": None}
            self.cloud.store.write(
                VOLUMES,
                volume_id,
                {**document, "urn": urn, "name": spec.name, "region": spec.region, "size_gib": spec.size_gib},
            )
            _grow_file(self.image_path(volume_id), spec.size_gib)
            return volume_id

    async def resize(self, volume_id: str, size_gib: int) -> None:
        """Resize a volume; a droplet that has it sees the new size at once. Raises CloudError for smaller."""
        document = self._require(volume_id)
        if size_gib < document["size_gib"]:
            raise CloudError(f"volume {document['name']}: size {size_gib} GiB is below its {document['size_gib']} GiB")
        holder = await self.attached(volume_id)
        if holder is not None and has_pending_event(self.cloud, holder):
            raise CloudError(PENDING_EVENT)
        _grow_file(self.image_path(volume_id), size_gib)
        loop = await self.loop_device(volume_id)
        if loop is not None:
            await self.cloud.host.run("losetup", "--set-capacity", loop)
        self.cloud.store.write(VOLUMES, volume_id, {**document, "size_gib": size_gib})

    async def read(self, volume_id: str) -> VolumeSpec | None:
        """Return a volume, None if its record or its file is gone."""
        document = self.cloud.store.read(VOLUMES, volume_id)
        if document is None or not self.image_path(volume_id).exists():
            return None
        return VolumeSpec(name=document["name"], region=document["region"], size_gib=document["size_gib"])

    async def delete(self, volume_id: str) -> None:
        """Remove a volume and its bytes. Raises CloudError while it is attached."""
        document = self.cloud.store.read(VOLUMES, volume_id)
        if document is None:
            return
        if await self.attached(volume_id) is not None:
            raise CloudError(
                f"volume {document['name']}: attached to droplet {document['droplet_id']}, cannot be deleted"
            )
        await self._release_loop(volume_id)
        self.image_path(volume_id).unlink(missing_ok=True)
        self.cloud.store.delete(VOLUMES, volume_id)

    async def attach(self, volume_id: str, droplet_id: str) -> None:
        """Attach a volume to a droplet. Raises CloudError if another droplet has it."""
        document = self._require(volume_id)
        if self.cloud.store.read(DROPLETS, droplet_id) is None:
            raise CloudError(f"droplet {droplet_id}: not found")
        holder = await self.attached(volume_id)
        if holder not in (None, droplet_id):
            raise CloudError(f"volume {document['name']}: already attached to droplet {holder}")
        self.cloud.store.write(VOLUMES, volume_id, {**document, "droplet_id": droplet_id})
        await self.connect(volume_id)

    async def connect(self, volume_id: str) -> bool:
        """Make sure that an attached volume has its loop device and node; return whether something was missing."""
        document = self._require(volume_id)
        loop = await self.loop_device(volume_id)
        fresh = loop is None
        if loop is None:
            found = await self.cloud.host.run(
                "losetup", "--find", "--show", "--nooverlap", str(self.image_path(volume_id))
            )
            loop = found.stdout.strip()
        node = self.node_path(document["droplet_id"], document["name"])
        return _make_node(node, os.stat(loop).st_rdev) or fresh  # noqa: PTH116 (a device number, for os.mknod)

    async def attached(self, volume_id: str) -> str | None:
        """Return the droplet that has the volume, None also when that droplet is gone."""
        document = self.cloud.store.read(VOLUMES, volume_id)
        if document is None or document["droplet_id"] is None:
            return None
        droplet_id: str = document["droplet_id"]
        return droplet_id if self.cloud.store.read(DROPLETS, droplet_id) is not None else None

    async def detach(self, volume_id: str, droplet_id: str) -> None:
        """Detach a volume from a droplet. A mount in the droplet lasts until it is unmounted or shut down."""
        document = self.cloud.store.read(VOLUMES, volume_id)
        if document is None or document["droplet_id"] != droplet_id:
            return
        self.node_path(droplet_id, document["name"]).unlink(missing_ok=True)
        await self._release_loop(volume_id)
        self.cloud.store.write(VOLUMES, volume_id, {**document, "droplet_id": None})

    async def loop_devices(self) -> dict[str, str]:
        """Return the machine's loop devices over files of this cloud's volumes, by file."""
        # `--associated FILE` would ask for one file, but does not know --json.
        result = await self.cloud.host.run("losetup", "--json", "--list")
        devices = json.loads(result.stdout)["loopdevices"] if result.stdout.strip() else []
        folder = f"{self.cloud.store.folder(VOLUMES).resolve()}/"
        files = {str(device["back-file"]).removesuffix(" (deleted)"): str(device["name"]) for device in devices}
        return {file: name for file, name in files.items() if file.startswith(folder)}

    async def loop_device(self, volume_id: str) -> str | None:
        """Return the loop device that carries the volume's file, None if there is none."""
        return (await self.loop_devices()).get(str(self.image_path(volume_id)))

    async def _release_loop(self, volume_id: str) -> None:
        loop = await self.loop_device(volume_id)
        if loop is not None:
            # The kernel keeps a device that is still mounted until its last user is gone.
            await self.cloud.host.run("losetup", "--detach", loop, check=False)

    def _require(self, volume_id: str) -> Document:
        document = self.cloud.store.read(VOLUMES, volume_id)
        if document is None:
            raise CloudError(f"volume {volume_id}: not found")
        return document


def _make_node(node: Path, device: int) -> bool:
    node.parent.mkdir(parents=True, exist_ok=True)
    if node.exists():
        found = node.stat()
        if stat.S_ISBLK(found.st_mode) and found.st_rdev == device:
            return False
        node.unlink()
    os.mknod(node, stat.S_IFBLK | 0o660, device)
    return True


def _grow_file(path: Path, size_gib: int) -> None:
    path.touch(mode=0o600)
    if path.stat().st_size < size_gib * _GIB:
        os.truncate(path, size_gib * _GIB)
