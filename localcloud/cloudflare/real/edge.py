"""The stand-in for Cloudflare's proxy: an nginx that serves the zone's proxied records on loopback, http and https.

It serves `http://<name>:<http_port>` and `https://<name>:<https_port>` on the machine as Cloudflare serves the name:
the origin gets the visitor's Host, `CF-Connecting-IP`, `X-Forwarded-For`, `X-Forwarded-Proto` and `CF-Ray`; an unknown
name is a 530, a dead origin a 521 or 522, an untrusted one a 526. It does not cache, or resolve names of other zones.
`zone.py` decides which record serves a name, `../tls.py` reads a zone's TLS.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import jinja2

from localcloud.cloudflare import certificates
from localcloud.cloudflare.real.zone import Server, read_records, visitor_names, zone_servers
from localcloud.cloudflare.tls import TLS_VERSIONS, Zone, read_zones
from localcloud.config import CloudConfig
from localcloud.errors import CloudError
from localcloud.images.build import machine_recipes
from localcloud.machine import service
from localcloud.machine.host import Host, LinuxHost

KIND = "cloudflare"
RELOAD_TIMEOUT_S = 10.0
STATUS_HOST = "stand-in.localcloud.internal"
"""Under this name the stand-in reports which configuration it serves; no zone can have it."""
_TEMPLATE = Path(__file__).with_name("edge.conf.j2")
_MOUNT = "/etc/cloudflare"
_ACTIVE, _CANDIDATE = "nginx.conf", "candidate.conf"
_USER = 101
"""nginx's user in its image (localcloud/images/nginx): only it may read the keys."""
HTTPS_PORT = 443


@dataclass(frozen=True, kw_only=True)
class Tls:
    """What the configuration needs for TLS. The files are beside it."""

    visitors: str
    """File with certificate and key for visitors."""
    origin_ca: str
    """File with the authority that origins must have."""
    https_port: int
    """The visitors' port, for redirects."""
    zones: Mapping[str, Zone]
    clients: Mapping[str, str]
    """By zone id: file with certificate and key to show to origins."""


@dataclass(frozen=True)
class _Site:
    """A server as the template sees it."""

    name: str
    origins: tuple[str, ...]
    verify_name: str
    strict: bool
    always_use_https: bool
    client: str


def render(servers: tuple[Server, ...], tls: Tls) -> str:
    """Render the nginx configuration. It contains its own digest, which shows when a reload is done."""
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - nginx's syntax, not HTML; read_records admits names and addresses only
    )
    template = environment.from_string(_TEMPLATE.read_text())
    oldest = max((zone.min_tls_version for zone in tls.zones.values()), key=TLS_VERSIONS.index, default=None)
    values = {
        "servers": tuple(_sites(servers, tls)),
        "status_host": STATUS_HOST,
        "mount": _MOUNT,
        "visitors": tls.visitors,
        "origin_ca": tls.origin_ca,
        "https_suffix": "" if tls.https_port == HTTPS_PORT else f":{tls.https_port}",
        "protocols": (Zone(min_tls_version=oldest) if oldest else Zone()).protocols,
    }
    digest = hashlib.sha256(template.render(**values, digest="").encode()).hexdigest()
    return template.render(**values, digest=digest)


def _sites(servers: tuple[Server, ...], tls: Tls) -> Iterator[_Site]:
    for server in servers:
        zone = tls.zones.get(server.zone_id, Zone())
        client = tls.clients.get(server.zone_id, "")
        yield _Site(server.name, server.origins, server.verify_name, zone.strict, zone.always_use_https, client)


async def ensure(config: CloudConfig, host: Host | None = None) -> None:
    """Run the stand-in with the current records. Raises CloudError."""
    host = host or LinuxHost()
    folder = _folder(config)
    if not await service.running(config, KIND, host):
        # Nothing to test with yet, and nothing serves.
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _ACTIVE).write_text(_rendered(config))
        _forget_unused(folder)
    wanted = service.Service(
        kind=KIND,
        address=str(config.cloudflare_address),
        image=machine_recipes().reference("cloudflare"),
        options=(
            *("--publish", f"127.0.0.1:{config.http_port}:80", "--publish", f"127.0.0.1:{config.https_port}:443"),
            *("--memory", "128m", "--pids-limit", "64"),
            # The directory, not the file: a file that is renamed over would not be seen inside.
            *("--volume", f"{folder}:{_MOUNT}:ro", "--tmpfs", "/tmp:mode=1777"),  # noqa: S108
        ),
    )
    await service.ensure(config, wanted, host)
    await reload(config, host)


async def reload(config: CloudConfig, host: Host | None = None) -> None:
    """Serve the current records, and return when they are served. A configuration that nginx refuses changes nothing.

    A stand-in that does not run is not touched: `ensure` reads the records. Raises CloudError.
    """
    host = host or LinuxHost()
    if not await service.running(config, KIND, host):
        return
    folder = _folder(config)
    text = _rendered(config)
    name = config.physical(KIND)
    if text != _active(folder):
        (folder / _CANDIDATE).write_text(text)
        tested = await host.run(
            *("docker", "exec", name, "nginx", "-t", "-q", "-c", f"{_MOUNT}/{_CANDIDATE}"), check=False
        )
        if tested.code != 0:
            raise CloudError(f"cloudflare: nginx refuses the records' configuration: {tested.stderr.strip()}")
        (folder / _CANDIDATE).rename(folder / _ACTIVE)
    if await _served(config) != _digest(text):
        await host.run("docker", "kill", "--signal", "HUP", name)
        await _wait(config, _digest(text), host)
    _forget_unused(folder)


async def remove(config: CloudConfig, host: Host | None = None) -> None:
    """Remove the stand-in; the records stay: they belong to the back-end."""
    await service.remove(config, KIND, host or LinuxHost())
    shutil.rmtree(_folder(config), ignore_errors=True)


def _folder(config: CloudConfig) -> Path:
    return config.state.absolute() / "cloudflare"


def _rendered(config: CloudConfig) -> str:
    """Render the current configuration, and write its certificate files; their names have a hash of the content."""
    folder = _folder(config)
    servers = zone_servers(read_records(config.state / "records"))
    zones = read_zones(config.state)
    names = visitor_names(servers, config.visitor_labels) or (STATUS_HOST,)
    origin_ca = certificates.authority(config, certificates.ORIGIN)
    tls = Tls(
        visitors=_keep(folder, "visitors", certificates.visitors_bundle(config, names)),
        origin_ca=_keep(folder, "origin-ca", certificates.pem(origin_ca.certificate)),
        https_port=config.https_port,
        zones=zones,
        clients={
            zone_id: _keep(folder, "client", zone.client_bundle)
            for zone_id, zone in sorted(zones.items())
            if zone.client_bundle
        },
    )
    return render(servers, tls)


def _keep(folder: Path, what: str, text: str) -> str:
    path = folder / f"{what}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.pem"
    if not path.exists():
        certificates.write_owned(path, text, owner=_USER)
    return path.name


def _forget_unused(folder: Path) -> None:
    """Remove certificates that the served configuration no longer uses."""
    served = _active(folder)
    for path in folder.glob("*.pem"):
        if path.name not in served:
            path.unlink()


def _active(folder: Path) -> str:
    """Read the served configuration; a damaged or missing one equals no other."""
    path = folder / _ACTIVE
    return path.read_text(errors="replace") if path.exists() else ""


def _digest(text: str) -> str:
    """Return the digest in a rendered configuration's first line."""
    return text.partition("\n")[0].rpartition(" ")[2]


async def _wait(config: CloudConfig, digest: str, host: Host) -> None:
    deadline = asyncio.get_running_loop().time() + RELOAD_TIMEOUT_S
    while (served := await _served(config)) != digest or await _accepting_workers(config, host) > 1:
        if asyncio.get_running_loop().time() > deadline:
            log = await host.run("docker", "logs", "--tail", "5", config.physical(KIND), check=False)
            raise CloudError(
                f"cloudflare: configuration {digest[:12]} is not served after {RELOAD_TIMEOUT_S:.0f} s "
                f"(last seen: {served[:12] or 'no answer'}): {(log.stdout + log.stderr).strip()}"
            )
        await asyncio.sleep(0.05)


async def _accepting_workers(config: CloudConfig, host: Host) -> int:
    """Count the workers that take connections: for 0.1 s after a reload (more on a busy machine) the old one does."""
    processes = await host.run("docker", "top", config.physical(KIND), "-eo", "pid,args", check=False)
    lines = processes.stdout.splitlines()
    return sum("nginx: worker process" in line and "shutting down" not in line for line in lines)


async def _served(config: CloudConfig) -> str:
    """Ask the stand-in which configuration it serves; empty when it does not answer."""
    writer = None
    try:
        async with asyncio.timeout(1):
            reader, writer = await asyncio.open_connection("127.0.0.1", config.http_port)
            writer.write(f"GET / HTTP/1.0\r\nHost: {STATUS_HOST}\r\n\r\n".encode())
            answer = await reader.read()
    except (OSError, TimeoutError):
        return ""
    finally:
        if writer is not None:
            writer.close()
    return answer.decode(errors="replace").rpartition("\r\n\r\n")[2].strip()
