"""BC17 to BC19 for a tier's compose project, as it would run on its droplet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from policy.container_rules import confined, project_faults, release_memory
from topology.bundle import Bundle
from topology.fleet import DATA_MOUNT
from topology.image_names import image_fault, major_version
from topology.inventory import CLOUDFLARE
from topology.mounts import listed, table
from topology.policy_rules import RULES, Violation
from topology.project import Project
from topology.secret_texts import ASSIGNED, shown, strings_of, text_is_secret, variable_is_secret, words_are_secret

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's loader where available: ten times as fast."""
UNREADABLE = (yaml.YAMLError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What PyYAML raises for invalid YAML, for a date that does not exist, and for a value that does not fit its tag."""
MEMORY_SHARE = 0.8
"""Of the droplet's memory, for all containers together; the rest is for the system and its page cache."""
PRIVATE = "${PRIVATE_ADDRESS:?}"
PRIVILEGED = re.compile(r"0*(\d{1,3}|10[01]\d|102[0-3])\b")
"""A port below 1024, with or without a protocol after it."""
DATA_MAJORS = {"postgres": 17}
"""Servers whose data files are of one major version: no other version starts on them, and no release converts them."""
DOWNLOADED = re.compile(r"\b(curl|wget)\b[^\n;&]*\|\s*(sudo\s+(-\S+\s+)*)?(ba|da|z)?sh\b")
CONFIGURATION = (".conf", ".cfg", ".sql", ".map", ".apex", ".hsts")
COMMENT = re.compile(r"^\s*(#|--)")

Broken = tuple[str, str, str, str]
"""Rule, what was found, what was expected, and the fix: empty where the rule's own fix applies."""


def read_bundle(bundle: Bundle) -> dict[str, Any]:
    """Return the compose project of a bundle with the bundle's own variables filled in; addresses stay names.

    Invalid YAML gives an empty project, whose missing services are then reported.
    """
    files = bundle.files
    variables = dict(re.findall(r"^(\w+)='([^']*)'$", files[".env"], re.MULTILINE))

    def fill(match: re.Match[str]) -> str:
        return str(variables.get(match[1], match[0]))

    text = re.sub(r"\$\{(\w+)(?::?[?][^}]*)?\}", fill, files["compose.yaml"])
    try:
        document = yaml.load(text, Loader=LOADER)  # noqa: S506 - a safe one
    except UNREADABLE:
        return {}
    return document if isinstance(document, dict) else {}


def compose_violations(project: Project, droplet: str, document: Mapping[str, Any]) -> Iterator[Violation]:
    """Judge the compose project that a droplet of the inventory runs."""
    spec = project.droplet(droplet)
    file = f"compose/{spec.tier}/compose.yaml"
    data = DATA_MOUNT if spec.volume else ""
    services = {name: table(service) for name, service in table(document.get("services")).items()}
    if not services:
        yield _violation("BC18", file, ("no service", "YAML with the tier's services", f"git diff {file}"))
    for finding in project_faults(document):
        yield _violation("BC18", file, finding)
    for name, service in services.items():
        place = f"{file}: services.{name}"
        for rule, found, wanted, fix in _fixed(project, droplet, str(name), service):
            yield _violation(rule, place, (found, wanted, fix))
        for finding in confined(service, data):
            yield _violation("BC18", place, finding)
    yield from _clear(file, document)
    total = release_memory(document)
    limit = MEMORY_SHARE * project.size(droplet).memory_mib
    if total > limit:
        found = f"memory limits add up to {total:.0f} MiB, with both colours of each service"
        wanted = f"at most {limit:.0f} MiB: 80 % of {spec.size}"
        fix = f"lower a mem_limit in {file}, or give the droplet {droplet} a bigger `size` in inventory.yaml"
        yield _violation("BC18", file, (found, wanted, fix))


def _violation(rule: str, place: str, finding: tuple[str, str, str]) -> Violation:
    found, wanted, fix = finding
    return Violation(rule=RULES[rule], resource=place, found=shown(found), wanted=wanted, fix=fix)


def _fixed(project: Project, droplet: str, name: str, service: Mapping[str, Any]) -> Iterator[Broken]:
    yield from _image(name, str(service.get("image") or "none"))
    rules = {
        port: sources
        for (protocol, port), sources in project.inventory.open_ports(droplet).items()
        if protocol == "tcp"
    }
    for published in listed(service.get("ports")):
        address, _, ports = str(published).rpartition(":")[0].rpartition(":")
        port, target = ports or address, str(published).rpartition(":")[2]
        public = port in rules and CLOUDFLARE in rules[port]
        if port not in rules:
            fix = f"do not publish it, or open it for {droplet} in the table `firewall` of inventory.yaml"
            wanted = f"ports that inventory.yaml opens on {droplet}: {', '.join(rules)}"
            yield "BC17", f"ports: {published}", wanted, fix
        elif not _bound(address if ports else "", public=public):
            wanted = "a private address before the port, such as ${PRIVATE_ADDRESS:?}"
            yield "BC17", f"ports: {published}", wanted, f"write ${{PRIVATE_ADDRESS:?}}:{port}:{target}"
        elif not public and (PRIVILEGED.match(port) or PRIVILEGED.match(target)):
            wanted = "ports above 1023, except those that Cloudflare connects to"
            yield "BC17", f"ports: {published}", wanted, "let the service listen on a port above 1023, and publish that"


def _image(name: str, image: str) -> Iterator[Broken]:
    fault = image_fault(image)
    if fault:
        wanted = f"a digest, or a tag that is never moved; it {fault}"
        yield "BC17", f"image: {image}", wanted, "pin it in versions.yaml, or in `images` of the stack's settings"
    major = major_version(image)
    if name in DATA_MAJORS and major is not None and major != DATA_MAJORS[name]:
        wanted = f"version {DATA_MAJORS[name]}: the data directory has this version, and no release converts it"
        fix = f"stay with {DATA_MAJORS[name]}.x; a new major version is a dump and a restore (basec explain BC-E092)"
        yield "BC17", f"image: {image}", wanted, fix


def _bound(address: str, *, public: bool) -> bool:
    return address == PRIVATE or (public and address == "0.0.0.0")  # noqa: S104 - the one public service; firewalls protect it


def _clear(file: str, document: Mapping[str, Any]) -> Iterator[Violation]:
    """BC19: `docker inspect` shows environment and command, and git keeps the file."""
    fix = "remove it and make a new secret; mount it as a file, like `${SECRET_...}` of the other services"
    wanted = "a file below /run/secrets, from the stack's encrypted settings"
    for path, text in strings_of(document):
        keys = path.split(".")
        if "environment" in keys[2:4] or (keys[0].startswith("x-") and "environment" in keys):
            name, _, value = text.partition("=") if keys[-1].isdigit() else (keys[-1], "", text)
            secret = variable_is_secret(name, value)
        else:
            secret = words_are_secret(text)
        if secret:
            yield _violation("BC19", f"{file}: {path}", ("a secret in clear", wanted, fix))
        if DOWNLOADED.search(text):
            found = (
                "a command that runs what it downloads",
                "programs that are in the image",
                "build it into the image",
            )
            yield _violation("BC17", f"{file}: {path}", found)


def clear_lines(tier: str, files: Mapping[str, str]) -> Iterator[Violation]:
    """BC19: the configuration files that ship beside the compose project."""
    for name, text in sorted(files.items()):
        if not name.endswith(CONFIGURATION) or not words_are_secret(text):
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if text_is_secret(line) or (not COMMENT.match(line) and ASSIGNED.search(line)):
                fix = "remove it and make a new secret; include a file below /run/secrets"
                finding = ("a secret in clear", "a file below /run/secrets", fix)
                yield _violation("BC19", f"compose/{tier}/{name}: line {number}", finding)
