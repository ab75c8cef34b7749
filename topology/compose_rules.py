"""BC17 and BC18: a tier's compose project, as it would run on its droplet."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from topology.bundle import Bundle
from topology.inventory import CLOUDFLARE
from topology.policy_rules import RULES, Violation
from topology.project import Project

MEMORY_SHARE = 0.8
"""Of the droplet's memory, for all containers together; the rest is for the system and its page cache."""
UNITS_MIB = {"k": 1 / 1024, "m": 1.0, "g": 1024.0}
PRIVATE = ("${PRIVATE_ADDRESS:?}", "127.0.0.1")
RESTARTS = ("always", "unless-stopped", "on-failure")
FORBIDDEN = ("privileged", "cap_add", "network_mode", "pid", "ipc", "devices", "userns_mode")

Broken = tuple[str, str, str, str]
"""Which rule, what was found, what was wanted, and what mends it: empty where the rule's own words do."""


def read_bundle(bundle: Bundle) -> dict[str, Any]:
    """Give the compose project of a bundle with the bundle's own variables filled in; addresses stay names."""
    with tarfile.open(fileobj=io.BytesIO(bundle.tar)) as archive:
        texts = {name: _member(archive, name) for name in ("compose.yaml", ".env")}
    variables = dict(re.findall(r"^(\w+)='([^']*)'$", texts[".env"], re.MULTILINE))

    def fill(match: re.Match[str]) -> str:
        return str(variables.get(match[1], match[0]))

    document = yaml.safe_load(re.sub(r"\$\{(\w+)(?::\?[^}]*)?\}", fill, texts["compose.yaml"]))
    return document if isinstance(document, dict) else {}


def _member(archive: tarfile.TarFile, name: str) -> str:
    member = archive.extractfile(name)
    return member.read().decode() if member else ""


def compose_violations(project: Project, droplet: str, document: Mapping[str, Any]) -> Iterator[Violation]:
    """Judge the compose project that a droplet of the inventory runs."""
    spec = project.droplet(droplet)
    file = f"compose/{spec.role}/compose.yaml"
    services = document.get("services") or {}
    for name, service in services.items():
        for rule, found, wanted, fix in (*_fixed(project, droplet, service), *_confined(service)):
            yield Violation(rule=RULES[rule], resource=f"{file}: services.{name}", found=found, wanted=wanted, fix=fix)
    total = sum(_mib(service.get("mem_limit")) for service in services.values())
    limit = MEMORY_SHARE * project.size(droplet).memory_mib
    if total > limit:
        found = f"memory limits add up to {total:.0f} MiB"
        wanted = f"at most {limit:.0f} MiB: 80 % of {spec.size}"
        fix = f"lower a mem_limit in {file}, or give the droplet {droplet} a bigger `size` in inventory.yaml"
        yield Violation(rule=RULES["BC18"], resource=file, found=found, wanted=wanted, fix=fix)


def _fixed(project: Project, droplet: str, service: Mapping[str, Any]) -> Iterator[Broken]:
    image = str(service.get("image", ""))
    tag = image.rpartition("/")[2].partition(":")[2]
    if "@sha256:" not in image and tag in ("", "latest"):
        fix = "pin it in versions.yaml, or in `images` of the stack's settings"
        yield "BC17", f"image: {image or 'none'}", "a digest, or a tag that is never moved", fix
    rules = {port: rule for rule in project.inventory.rules if rule.droplet == droplet for port in rule.ports}
    for published in service.get("ports", ()):
        address, _, ports = str(published).rpartition(":")[0].rpartition(":")
        port = ports or address
        if port not in rules:
            fix = f"do not publish it, or open it for {droplet} in the table `firewall` of inventory.yaml"
            wanted = f"ports that inventory.yaml opens on {droplet}: {', '.join(rules)}"
            yield "BC17", f"ports: {published}", wanted, fix
        elif not _bound(address if ports else "", public=CLOUDFLARE in rules[port].sources):
            wanted = "a private address before the port, such as ${PRIVATE_ADDRESS:?}"
            target = str(published).rpartition(":")[2]
            yield "BC17", f"ports: {published}", wanted, f"write ${{PRIVATE_ADDRESS:?}}:{port}:{target}"


def _bound(address: str, *, public: bool) -> bool:
    return address in PRIVATE or (public and address == "0.0.0.0")  # noqa: S104 - the one public service; walls are before it


def _confined(service: Mapping[str, Any]) -> Iterator[Broken]:
    for found, wanted, fix in (*_bounded(service), *_unprivileged(service), *_kept_alive(service)):
        yield "BC18", found, wanted, fix


def _bounded(service: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for key in ("mem_limit", "pids_limit"):
        if not service.get(key):
            yield f"{key}: none", f"a {key}", f"write a `{key}` for this service"
    if (service.get("logging") or {}).get("driver") != "local":
        yield f"logging: {service.get('logging', 'the default')}", "driver: local, which rotates", ""


def _unprivileged(service: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    user = str(service.get("user", "root"))
    if user.partition(":")[0] in ("root", "0"):
        fix = "write `user` with the numbers of the user that the image is made for"
        yield f"user: {user}", "a user that is not root", fix
    if service.get("cap_drop") != ["ALL"]:
        yield f"cap_drop: {service.get('cap_drop', 'none')}", "cap_drop: [ALL]", ""
    if "no-new-privileges:true" not in service.get("security_opt", ()):
        yield f"security_opt: {service.get('security_opt', 'none')}", "no-new-privileges:true", ""
    if service.get("read_only") is not True:
        yield "read_only: off", "read_only: true, with tmpfs where it writes", ""
    if "docker.sock" in str(service.get("volumes", "")):
        fix = "remove that volume"
        yield "volumes: the Docker socket", "no Docker socket: it is root on the droplet", fix
    for key in FORBIDDEN:
        if service.get(key):
            yield f"{key}: {service[key]}", f"no {key}", f"remove `{key}`"


def _kept_alive(service: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    if "profiles" in service:  # runs when asked for, and ends
        return
    if str(service.get("restart", "no")).partition(":")[0] not in RESTARTS:
        yield f"restart: {service.get('restart', 'no')}", "restart: unless-stopped", ""
    health = service.get("healthcheck") or {}
    if "test" not in health or health.get("disable"):
        fix = "write a `healthcheck` with a `test`, without `disable`"
        yield "healthcheck: none", "a check that tells whether it serves", fix


def _mib(limit: object) -> float:
    match = re.fullmatch(r"(\d+)([kmg])b?", str(limit or "").lower())
    return int(match[1]) * UNITS_MIB[match[2]] if match else 0.0
