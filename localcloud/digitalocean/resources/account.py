"""What a DigitalOcean account has besides machines: Tag and SshKey."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from typing_extensions import override

from localcloud.backend import Documents
from localcloud.digitalocean import rules
from localcloud.digitalocean.backend import Backend
from localcloud.provider.document import Document
from localcloud.provider.handler import Job, Values
from localcloud.provider.plain import text
from localcloud.provider.schema import Kind, Property
from localcloud.provider.values import Value


class Tag(Document[Backend]):
    """A tag; its id is its name."""

    type_name = "digitalocean:index/tag:Tag"
    kind = "tag"
    properties: ClassVar[Mapping[str, Property]] = {
        "name": Property(kind=Kind.STRING, required=True, replace=True, check=rules.check_tag)
    }

    @override
    def key(self, inputs: Values) -> str:
        return text(inputs, "name")

    @override
    async def outputs(self, job: Job[Backend], key: str, document: Mapping[str, Value], state: Values) -> Values:
        kinds = ("databases", "droplets", "images", "totalResource", "volumeSnapshots", "volumes")
        return dict.fromkeys((f"{kind}Count" for kind in kinds), 0)


class SshKey(Document[Backend]):
    """A public key that new droplets get."""

    type_name = "digitalocean:index/sshKey:SshKey"
    kind = "ssh_key"
    properties: ClassVar[Mapping[str, Property]] = {
        "name": Property(kind=Kind.STRING, required=True),
        "publicKey": Property(kind=Kind.STRING, required=True, replace=True, check=rules.check_public_key),
    }

    @override
    def documents(self, backend: Backend) -> Documents:
        return backend.ssh_keys

    @override
    def document(self, inputs: Values) -> dict[str, Value]:
        return {"name": text(inputs, "name"), "publicKey": text(inputs, "publicKey").strip()}

    @override
    async def outputs(self, job: Job[Backend], key: str, document: Mapping[str, Value], state: Values) -> Values:
        return {"fingerprint": rules.key_fingerprint(text(document, "publicKey"))}
