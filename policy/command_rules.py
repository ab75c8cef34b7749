"""BC14 to BC16: what runs on the droplets, and how it gets there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from policy.checks import COMMANDS, REMOTE, Finding, of_type
from policy.compose_rules import DOWNLOADED
from policy.resources import Resource, Unknown
from policy.stack import Stack
from topology.names import DROPLET, SSH_PORT
from topology.secret_texts import SECRET_TEXT

TEXTS = ("create", "update", "delete")
STOPS_AT_ERRORS = re.compile(r"^\s*set -euo pipefail\s*$", re.MULTILINE)
SHORTEST_SECRET = 8
"""Characters: a shorter text could be in any script by coincidence."""


def checked_connection(resource: Resource, stack: Stack) -> Iterator[Finding]:
    """BC14: both hops check the host key, and log in as the stack's user."""
    if resource.type not in REMOTE:
        return
    connection = resource.get("connection")
    if not isinstance(connection, dict):
        return
    for name, hop in (("connection", connection), ("connection.proxy", connection.get("proxy"))):
        if isinstance(hop, dict):
            yield from _hop(name, hop, stack)


def _hop(name: str, hop: Mapping[str, Any], stack: Stack) -> Iterator[Finding]:
    user, port = stack.project.settings.ssh.user, hop.get("port", SSH_PORT)
    if not hop.get("hostKey"):
        yield Finding(found=f"{name}.host_key: none, so any machine may answer", wanted="the droplet's own host key")
    if not isinstance(hop.get("user"), Unknown) and hop.get("user", "root") != user:
        yield Finding(found=f"{name}.user: {hop.get('user', 'root')}", wanted=f"{user} (setting ssh.user)")
    if not isinstance(port, Unknown) and port != SSH_PORT:
        yield Finding(found=f"{name}.port: {port:g}", wanted=str(SSH_PORT))
    if hop.get("password"):
        yield Finding(found=f"{name}.password: set", wanted="a key; no droplet has a password")


def through_the_edge(resources: Sequence[Resource], stack: Stack) -> Iterator[Finding]:
    """BC14: only the edge is reached without a proxy."""
    edges = {d.urn for d in of_type(resources, DROPLET) if stack.edge_tag in d.texts("tags")}
    others = {d.urn: d for d in of_type(resources, DROPLET) if d.urn not in edges}
    for command in of_type(resources, *REMOTE):
        connection = command.get("connection")
        if not isinstance(connection, dict) or connection.get("proxy"):
            continue
        targets = [others[urn] for urn in sorted(command.property_dependencies.get("connection", ())) if urn in others]
        host = connection.get("host")
        targets += [d for d in others.values() if isinstance(host, str) and host in _addresses(d)]
        if targets:
            found = f"no proxy on the way to {targets[0].label}"
            yield Finding(resource=command, found=found, wanted="the edge as proxy for every other droplet")


def _addresses(droplet: Resource) -> tuple[object, ...]:
    return droplet.get("ipv4Address"), droplet.get("ipv4AddressPrivate")


def quiet_command(resource: Resource, _stack: Stack) -> Iterator[Finding]:
    """BC15: nothing is logged, stored in clear or undone."""
    if resource.type not in COMMANDS:
        return
    if resource.get("logging") != "none":
        yield Finding(found=f"logging: {resource.get('logging') or 'on'}", wanted="logging: none")
    clear = [name for name in ("stdout", "stderr") if name not in resource.secret_outputs]
    if clear:
        yield Finding(found=f"{', '.join(clear)}: in clear in the state", wanted="additional_secret_outputs: both")
    if resource.get("addPreviousOutputInEnv") is not False:
        yield Finding(
            found="add_previous_output_in_env: on", wanted="add_previous_output_in_env: false (sshd refuses it)"
        )
    for key in ("environment", "triggers"):
        if resource.get(key):
            yield Finding(found=f"{key}: set", wanted=f"no {key}: data by stdin, a change by the text itself")
    if resource.get("delete") and not resource.delete_before_replace:
        yield Finding(found="delete: runs after its replacement", wanted="no delete, or delete_before_replace")


def clean_text(resource: Resource, stack: Stack) -> Iterator[Finding]:
    """BC16: the texts of commands. One that is not known yet is judged by `up`, before it runs."""
    if resource.type not in COMMANDS:
        return
    for key in (*TEXTS, "triggers"):
        if key in resource.secret:
            yield Finding(found=f"{key}: made from a secret", wanted="secrets by stdin only")
        text = _text(resource.get(key))
        known = [name for name, value in stack.secrets.items() if _holds(text, value)]
        if known:
            yield Finding(found=f"{key}: holds the value of {', '.join(known)}", wanted="secrets by stdin only")
        elif SECRET_TEXT.search(text.encode()):
            yield Finding(found=f"{key}: holds the text of a key or token", wanted="secrets by stdin only")
        if DOWNLOADED.search(text):
            yield Finding(found=f"{key}: pipes what it downloads into a shell", wanted="packages with signatures")
        if key in TEXTS and text and not STOPS_AT_ERRORS.search(text):
            yield Finding(found=f"{key}: goes on after an error", wanted="`set -euo pipefail` on a line of its own")


def _text(value: Any) -> str:
    items = value if isinstance(value, list) else [value]
    return "\n".join(item for item in items if isinstance(item, str))


def _holds(text: str, secret: str) -> bool:
    """Return whether a text holds a secret, or one line of a key: quoting may have changed what is between lines."""
    lines = [line.strip() for line in secret.splitlines() if not line.startswith("-----")]
    return any(len(line) >= SHORTEST_SECRET and line in text for line in lines)
