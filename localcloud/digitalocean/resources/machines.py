"""DigitalOcean's machines and what is put on them: Droplet, Volume, ReservedIp and the two assignments."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from typing import ClassVar, NoReturn

from typing_extensions import override

from localcloud.digitalocean import rules
from localcloud.digitalocean.backend import Backend, DropletSpec, DropletState, VolumeSpec
from localcloud.digitalocean.resources.account import SshKey
from localcloud.digitalocean.rules import NAME, REGION
from localcloud.errors import CloudError
from localcloud.provider.handler import Created, Found, Handler, Job, Values
from localcloud.provider.plain import integer, now, text, texts
from localcloud.provider.schema import Failure, Kind, Property, each, only

_TAGS = Property(kind=Kind.LIST, unordered=True, check=each(rules.check_tag))
_DROPLET_ID = Property(kind=Kind.INTEGER, required=True, replace=True)


class Droplet(Handler[Backend]):
    """A machine. A replacement deletes the old one first: name, private address and volume are free only then."""

    type_name = "digitalocean:index/droplet:Droplet"
    timeout_s = 300.0
    properties: ClassVar[Mapping[str, Property]] = {
        "name": NAME,
        "region": Property(kind=Kind.STRING, required=True, replace=True, check=rules.check_droplet_region),
        "size": Property(kind=Kind.STRING, required=True, check=rules.check_size),
        "image": Property(kind=Kind.STRING, required=True, replace=True, check=rules.check_image),
        "vpcUuid": Property(kind=Kind.STRING, required=True, replace=True),
        "sshKeys": Property(kind=Kind.LIST, replace=True, unordered=True, check=each(rules.check_key_id)),
        "userData": Property(kind=Kind.STRING, replace=True),
        "tags": _TAGS,
        "monitoring": Property(kind=Kind.BOOLEAN, replace=True, default=False),
        "dropletAgent": Property(kind=Kind.BOOLEAN, replace=True),
        "publicNetworking": Property(kind=Kind.BOOLEAN, replace=True, default=True, check=only(True)),
        "ipv6": Property(kind=Kind.BOOLEAN, default=False, check=only(False)),
        "backups": Property(kind=Kind.BOOLEAN, default=False, check=only(False)),
        "resizeDisk": Property(kind=Kind.BOOLEAN, default=True),
        "gracefulShutdown": Property(kind=Kind.BOOLEAN, default=False),
    }

    @override
    def volatile_outputs(self, changed: Iterable[str]) -> Iterable[str]:
        return ("memory", "vcpus", "disk", "priceHourly", "priceMonthly") if "size" in set(changed) else ()

    @override
    async def create(self, job: Job[Backend], inputs: Values) -> Created:
        state = await job.backend.droplets.create(job.urn, await _droplet_spec(job.backend, inputs), job.progress)
        return Created(id=state.id, outputs=self._outputs(inputs, state, now()))

    @override
    async def update(self, job: Job[Backend], resource_id: str, old: Values, new: Values, state: Values) -> Values:
        spec = await _droplet_spec(job.backend, new)
        found = await job.backend.droplets.update(resource_id, spec, job.progress)
        outputs = dict(self._outputs(new, found, text(state, "createdAt")))
        if new.get("resizeDisk") is False and "disk" in state:
            outputs["disk"] = state["disk"]
        return outputs

    @override
    async def read(self, job: Job[Backend], resource_id: str, inputs: Values, state: Values) -> Found | None:
        found = await job.backend.droplets.read(resource_id)
        if found is None:
            return None
        if not inputs:
            raise CloudError("the local cloud does not implement import of droplets\nhint: let `up` create it")
        outputs = {**self._outputs(inputs, found, text(state, "createdAt"))}
        return Found(inputs=inputs, outputs={**outputs, **{k: state[k] for k in ("disk",) if k in state}})

    @override
    async def delete(self, job: Job[Backend], resource_id: str, inputs: Values, state: Values) -> None:
        await job.backend.droplets.delete(resource_id)

    @staticmethod
    def _outputs(inputs: Values, state: DropletState, created_at: str) -> Values:
        size = rules.SIZES[text(inputs, "size")]
        return {
            "dropletUrn": f"do:droplet:{state.id}",
            "ipv4Address": state.ipv4_address,
            "ipv4AddressPrivate": state.ipv4_address_private,
            "ipv6Address": "",
            "privateNetworking": True,
            "publicNetworking": True,
            "status": state.status,
            "locked": False,
            "memory": size.memory_mib,
            "vcpus": size.vcpus,
            "disk": size.disk_gib,
            "priceMonthly": size.price_monthly,
            "priceHourly": size.price_hourly,
            "volumeIds": [],
            "createdAt": created_at,
        }


class Volume(Handler[Backend]):
    """Block storage; it only grows."""

    type_name = "digitalocean:index/volume:Volume"
    properties: ClassVar[Mapping[str, Property]] = {
        "name": Property(kind=Kind.STRING, required=True, replace=True, check=rules.check_volume_name),
        "region": Property(kind=Kind.STRING, required=True, replace=True, check=rules.check_volume_region),
        "size": Property(kind=Kind.INTEGER, required=True, check=rules.check_volume_size),
        "description": Property(kind=Kind.STRING, replace=True),
        "tags": _TAGS,
    }

    @override
    def check(self, inputs: Values, old: Values) -> Iterable[Failure]:
        before, after = old.get("size"), inputs.get("size")
        if isinstance(before, int) and isinstance(after, int) and after < before:
            reason = f"volumes `size` can only be expanded and not shrunk: {before} -> {after} GiB"
            yield Failure(property="size", reason=reason)

    @override
    async def create(self, job: Job[Backend], inputs: Values) -> Created:
        spec = VolumeSpec(name=text(inputs, "name"), region=text(inputs, "region"), size_gib=integer(inputs, "size"))
        volume_id = await job.backend.volumes.create(job.urn, spec)
        return Created(id=volume_id, outputs=self._outputs(volume_id))

    @override
    async def update(self, job: Job[Backend], resource_id: str, old: Values, new: Values, state: Values) -> Values:
        if old.get("size") != new.get("size"):
            await job.backend.volumes.resize(resource_id, integer(new, "size"))
        return self._outputs(resource_id)

    @override
    async def read(self, job: Job[Backend], resource_id: str, inputs: Values, state: Values) -> Found | None:
        spec = await job.backend.volumes.read(resource_id)
        if spec is None:
            return None
        real = {"name": spec.name, "region": spec.region, "size": spec.size_gib}
        return Found(inputs={**inputs, **real}, outputs=self._outputs(resource_id))

    @override
    async def delete(self, job: Job[Backend], resource_id: str, inputs: Values, state: Values) -> None:
        await job.backend.volumes.delete(resource_id)

    @staticmethod
    def _outputs(volume_id: str) -> Values:
        return {"volumeUrn": f"do:volume:{volume_id}", "dropletIds": [], "filesystemLabel": "", "filesystemType": ""}


class VolumeAttachment(Handler[Backend]):
    """A volume on a droplet."""

    type_name = "digitalocean:index/volumeAttachment:VolumeAttachment"
    properties: ClassVar[Mapping[str, Property]] = {
        "dropletId": _DROPLET_ID,
        "volumeId": Property(kind=Kind.STRING, required=True, replace=True),
    }

    @override
    async def create(self, job: Job[Backend], inputs: Values) -> Created:
        volume, droplet = text(inputs, "volumeId"), str(integer(inputs, "dropletId"))
        await job.backend.volumes.attach(volume, droplet)
        return Created(id=f"{droplet}-{volume}", outputs={})

    @override
    async def read(self, job: Job[Backend], resource_id: str, inputs: Values, state: Values) -> Found | None:
        droplet = await job.backend.volumes.attached(text(state, "volumeId"))
        return Found(inputs=inputs or state, outputs={}) if droplet == str(state.get("dropletId")) else None

    @override
    async def delete(self, job: Job[Backend], resource_id: str, inputs: Values, state: Values) -> None:
        await job.backend.volumes.detach(text(state, "volumeId"), str(integer(state, "dropletId")))


class ReservedIp(Handler[Backend]):
    """A public address that outlives droplets. Only `ReservedIpAssignment` puts it on one."""

    type_name = "digitalocean:index/reservedIp:ReservedIp"
    properties: ClassVar[Mapping[str, Property]] = {"region": REGION}

    @override
    async def create(self, job: Job[Backend], inputs: Values) -> Created:
        address = await job.backend.reserved_ips.create(job.urn, text(inputs, "region"))
        return Created(id=address, outputs=self._outputs(address))

    @override
    async def read(self, job: Job[Backend], resource_id: str, inputs: Values, state: Values) -> Found | None:
        region = await job.backend.reserved_ips.read(resource_id)
        return Found(inputs={"region": region}, outputs=self._outputs(resource_id)) if region else None

    @override
    async def delete(self, job: Job[Backend], resource_id: str, inputs: Values, state: Values) -> None:
        await job.backend.reserved_ips.delete(resource_id)

    @staticmethod
    def _outputs(address: str) -> Values:
        return {"ipAddress": address, "reservedIpUrn": f"do:reservedip:{address}"}


class ReservedIpAssignment(Handler[Backend]):
    """A reserved address on a droplet."""

    type_name = "digitalocean:index/reservedIpAssignment:ReservedIpAssignment"
    properties: ClassVar[Mapping[str, Property]] = {
        "dropletId": _DROPLET_ID,
        "ipAddress": Property(kind=Kind.STRING, required=True, replace=True),
    }

    @override
    async def create(self, job: Job[Backend], inputs: Values) -> Created:
        address, droplet = text(inputs, "ipAddress"), str(integer(inputs, "dropletId"))
        await job.backend.reserved_ips.assign(address, droplet)
        return Created(id=f"{droplet}-{address}", outputs={})

    @override
    async def read(self, job: Job[Backend], resource_id: str, inputs: Values, state: Values) -> Found | None:
        droplet = await job.backend.reserved_ips.assigned(text(state, "ipAddress"))
        return Found(inputs=inputs or state, outputs={}) if droplet == str(state.get("dropletId")) else None

    @override
    async def delete(self, job: Job[Backend], resource_id: str, inputs: Values, state: Values) -> None:
        address = text(state, "ipAddress")
        if await job.backend.reserved_ips.read(address) and await job.backend.reserved_ips.assigned(address) is None:
            crash()
        await job.backend.reserved_ips.unassign(address, str(integer(state, "dropletId")))


def crash() -> NoReturn:
    """End the plugin as the official one does (v2.96.0 to v2.99.1), reading the droplet of an address without one."""
    sys.stderr.write("panic: runtime error: invalid memory address or nil pointer dereference\n")
    sys.stderr.flush()
    os._exit(2)


async def _droplet_spec(backend: Backend, inputs: Values) -> DropletSpec:
    keys = []
    for key_id in texts(inputs, "sshKeys"):
        document = await backend.ssh_keys.read(SshKey.kind, key_id)
        if document is None:
            raise CloudError(
                f"{key_id} are invalid key identifiers for Droplet creation\nhint: run `up` with a refresh"
            )
        keys.append(str(document["publicKey"]))
    size = text(inputs, "size")
    return DropletSpec(
        name=text(inputs, "name"),
        region=text(inputs, "region"),
        image=text(inputs, "image"),
        size=size,
        memory_mib=rules.SIZES[size].memory_mib,
        vpc_id=text(inputs, "vpcUuid"),
        tags=tuple(texts(inputs, "tags")),
        user_data=text(inputs, "userData"),
        ssh_public_keys=tuple(keys),
    )
