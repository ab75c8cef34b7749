"""Every file that the local cloud reads back may be damaged: it is named, and rebuilt if possible."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from localcloud.allocate import allocate
from localcloud.cloudflare import certificates
from localcloud.cloudflare.backend import RecordSpec
from localcloud.cloudflare.real.zone import read_records
from localcloud.cloudflare.tls import KINDS as TLS_KINDS
from localcloud.cloudflare.tls import read_zones
from localcloud.config import CloudConfig, Mode
from localcloud.dry import DryStore
from localcloud.errors import CloudError
from localcloud.images.push import _identities, tag_link
from localcloud.machine.store import Store
from localcloud.tests.damaged import KINDS, damages

RECORD = RecordSpec(zone_id="z", name="a.example.com", type="A", content="203.0.113.1", proxied=False, ttl=1)


def cloud(directory: Path, cache: Path, name: str = "local") -> CloudConfig:
    return allocate(directory=directory / name, name=name, mode=Mode.DRY, cache=cache, http_port=None)


@pytest.fixture
def config(tmp_path: Path) -> CloudConfig:
    return cloud(tmp_path / "clone", tmp_path / "cache")


Read = Callable[[CloudConfig], object]
CASES: dict[str, tuple[str, bytes, Read]] = {
    "addresses": ("../cloud.json", b"", lambda config: CloudConfig.load(config.state.parent / "cloud.json")),
    "records of a dry cloud": ("dry.json", b'{"next_id": 400000001}', lambda config: DryStore(config.state).read()),
    "a record of the zone": (
        "records/one.json",
        json.dumps(asdict(RECORD)).encode(),
        lambda config: read_records(config.state / "records"),
    ),
    **{
        f"a document of kind {kind}": (
            f"documents-{kind}/one.json", b'{"document": {"zoneId": "z", "enabled": true}}',
            lambda config: read_zones(config.state),
        )
        for kind in TLS_KINDS
    },
    "an authority": ("ca/origin.pem", b"", lambda config: certificates.authority(config, certificates.ORIGIN)),
    "an authority's key": ("ca/origin.key", b"", lambda config: certificates.authority(config, certificates.ORIGIN)),
}  # fmt: skip
"""Files that cannot be rebuilt: the path, a whole one, and its reader."""


@pytest.mark.parametrize("damage", KINDS)
@pytest.mark.parametrize("case", CASES)
def test_a_damaged_file_is_named(config: CloudConfig, case: str, damage: str) -> None:
    place, whole, read = CASES[case]
    path = (config.state / place).resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    if whole:
        path.write_bytes(whole)
    elif not path.exists():
        certificates.authority(config, certificates.ORIGIN)
    path.write_bytes(damages(path.read_bytes())[damage])
    with pytest.raises(CloudError) as caught:
        read(config)
    assert path.with_suffix("").name in str(caught.value).partition(":")[0]


@pytest.mark.parametrize(
    "damage", [kind for kind in KINDS if kind not in ("an empty object", "an object of another kind")]
)
def test_a_damaged_record_is_set_aside_and_hides_no_other(
    tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path)
    for name in ("one", "two", "three"):
        store.write("droplets", name, {"name": name})
    path = tmp_path / "droplets/two.json"
    content = damages(path.read_bytes())[damage]
    path.write_bytes(content)
    assert list(store.all("droplets")) == ["one", "three"]
    assert f"{path}: damaged: " in capsys.readouterr().err
    assert path.with_name("two.json.damaged").read_bytes() == content
    assert (store.find("droplets", name="three"), store.read("droplets", "two")) == ("three", None)
    assert capsys.readouterr().err == ""
    store.write("droplets", "two", {"name": "two"})
    assert list(store.all("droplets")) == ["one", "three", "two"]


@pytest.mark.parametrize("damage", KINDS)
def test_another_stacks_damaged_addresses_keep_nobody_from_a_new_stack(
    config: CloudConfig, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config.state.parent / "cloud.json"
    path.write_bytes(damages(path.read_bytes())[damage])
    assert cloud(tmp_path / "clone", tmp_path / "cache", "local-two").name == "local-two"
    assert f"{path}: damaged: " in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"\0" * 100, b"caf\xe9\n", b""])
def test_a_damaged_list_of_stacks_is_read_for_what_it_is_worth(
    config: CloudConfig, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "cache/allocated").write_bytes(content)
    other = cloud(tmp_path / "clone", tmp_path / "cache", "local-two")
    assert not other.public_subnet.overlaps(config.public_subnet), "this clone's own stacks are found without it"


@pytest.mark.parametrize("damage", KINDS)
def test_a_damaged_certificate_of_visitors_is_made_anew(config: CloudConfig, damage: str) -> None:
    whole = certificates.visitors_bundle(config, ("localhost",))
    assert certificates.visitors_bundle(config, ("localhost",)) == whole
    path = config.state / "ca/visitors.pem"
    path.write_bytes(damages(whole.encode())[damage])
    made = certificates.visitors_bundle(config, ("localhost",))
    assert made != whole
    assert certificates.visitors_bundle(config, ("localhost",)) == made


@pytest.mark.parametrize("damage", KINDS)
def test_a_damaged_image_in_the_registry_is_as_none(tmp_path: Path, damage: str) -> None:
    digest = f"sha256:{'a' * 64}"
    link = tag_link(tmp_path, "auth", "one")
    link.parent.mkdir(parents=True)
    link.write_text(digest)
    blob = tmp_path / "docker/registry/v2/blobs/sha256/aa" / ("a" * 64) / "data"
    blob.parent.mkdir(parents=True)
    whole = b'{"config": {"digest": "sha256:b"}}'
    blob.write_bytes(whole)
    assert _identities(tmp_path, "auth", "one") == {digest, "sha256:b"}
    blob.write_bytes(damages(whole)[damage])
    assert "sha256:b" not in _identities(tmp_path, "auth", "one")
