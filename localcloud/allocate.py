"""Choose the addresses of one local cloud and keep them in its `cloud.json`.

The public network is a /27 of the documentation ranges TEST-NET-2 and TEST-NET-3 (RFC 5737): no real host has such an
address, so a leaked packet goes nowhere. TEST-NET-1 is left out, since some virtual machine hosts use it themselves.
"""

from __future__ import annotations

import fcntl
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

from localcloud.config import CloudConfig, Mode
from localcloud.errors import CloudError

PUBLIC_POOLS = (IPv4Network("198.51.100.0/24"), IPv4Network("203.0.113.0/24"))
PUBLIC_PREFIX = 27
VPC_POOL = IPv4Network("10.77.0.0/16")
VPC_PREFIX = 24
CLOUDFLARE_OFFSET = 2
REGISTRY_OFFSET = 3
DEFAULT_HTTP_PORT, DEFAULT_HTTPS_PORT = 80, 443
STATE = "cloud"
ALLOCATED = "allocated"
"""In the cache: one `cloud.json` per line, of all clones of this user."""
ROUTE_TABLE = Path("/proc/net/route")
"""One route per line; columns 1 and 7 are destination and mask in hexadecimal, in the machine's byte order."""
SHORTEST_PREFIX = 2
"""A default route covers everything, and so do the two halves (/1) that VPN clients set; our /27 is more specific."""


def allocate(
    *,
    directory: Path,
    name: str,
    mode: Mode,
    cache: Path,
    http_port: int | None,
    https_port: int | None = None,
    visitor_labels: Sequence[str] = (),
) -> CloudConfig:
    """Write `<directory>/cloud.json`, or keep an existing one: a given port replaces its own, given labels are added.

    After a move of the clone it has the cloud's new place. Raises CloudError if no subnet is free, and in a copy of
    a clone that still has its cloud.
    """
    cache.mkdir(parents=True, exist_ok=True)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "cloud.json"
    with _lock(cache / "allocate.lock"):
        if path.exists():
            kept = CloudConfig.load(path)
            moved = kept.state.resolve() != (directory / STATE).resolve()
            if moved and kept.state.exists():
                raise CloudError(
                    f"{path}: state: {kept.state} is the cloud of the clone that this one was copied from\n"
                    f"hint: rm -r {directory} makes room for a cloud of this clone's own; then the same command again"
                )
            config = replace(
                kept,
                state=directory / STATE,
                http_port=http_port or kept.http_port,
                https_port=https_port or kept.https_port,
                visitor_labels=tuple(sorted({*kept.visitor_labels, *visitor_labels})),
            )
            if config != kept:
                _write(path, config)
            if moved:
                _list(cache, path)
            return config
        taken = (*_leased(cache / ALLOCATED, directory.parent), *routed_networks())
        public = _first_free(
            (slice_ for pool in PUBLIC_POOLS for slice_ in pool.subnets(new_prefix=PUBLIC_PREFIX)), taken
        )
        config = CloudConfig(
            name=name,
            mode=mode,
            state=directory / STATE,
            cache=cache,
            public_subnet=public,
            cloudflare_address=public[CLOUDFLARE_OFFSET],
            registry_address=public[REGISTRY_OFFSET],
            vpc_range=_first_free(VPC_POOL.subnets(new_prefix=VPC_PREFIX), taken),
            http_port=http_port or DEFAULT_HTTP_PORT,
            https_port=https_port or DEFAULT_HTTPS_PORT,
            visitor_labels=tuple(sorted(set(visitor_labels))),
        )
        config.state.mkdir(parents=True, exist_ok=True)
        _write(path, config)
        _list(cache, path)
        return config


def _list(cache: Path, path: Path) -> None:
    with (cache / ALLOCATED).open("a") as known:
        known.write(f"{path}\n")


def _write(path: Path, config: CloudConfig) -> None:
    temporary = path.with_suffix(".json.new")
    temporary.write_text(config.to_json(indent=2) + "\n")
    temporary.replace(path)


def _leased(known: Path, clouds: Path) -> Iterator[IPv4Network]:
    """Yield the subnets of all local clouds that were allocated with this cache, and of this clone's, running or not.

    Those of other clones have no routes on the machine before their first `up`. Clouds that are gone leave the list.
    """
    listed = known.read_text(errors="replace").splitlines() if known.exists() else []
    there = [line for line in listed if Path(line).exists()]
    if there != listed:
        known.write_text("".join(f"{line}\n" for line in there))
    for path in sorted({*map(Path, there), *clouds.glob("*/cloud.json")}):
        try:
            config = CloudConfig.load(path)
        except CloudError as error:  # of another stack: if it runs, its networks are routes of this machine
            sys.stderr.write(f"{error}\n")
            continue
        yield config.public_subnet
        yield config.vpc_range


def routed_networks(table: Path = ROUTE_TABLE) -> list[IPv4Network]:
    """List the networks that this machine has routes to, also running clouds of other clones.

    Read from the kernel, since addresses are chosen before the doctor has checked for the program `ip`.
    """
    networks: list[IPv4Network] = []
    for line in table.read_text().splitlines()[1:]:
        fields = line.split()
        address, mask = (int.from_bytes(bytes.fromhex(fields[column]), sys.byteorder) for column in (1, 7))
        network = IPv4Network((address, mask.bit_count()))
        if network.prefixlen >= SHORTEST_PREFIX:
            networks.append(network)
    return networks


def _first_free(candidates: Iterable[IPv4Network], taken: tuple[IPv4Network, ...]) -> IPv4Network:
    for candidate in candidates:
        if not any(candidate.overlaps(network) for network in taken):
            return candidate
    raise CloudError(
        "allocate: no free subnet is left\nhint: basec down --env NAME for a local stack that is no longer used"
    )


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold the lock: two allocations at once would choose the same slice."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
