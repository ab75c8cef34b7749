"""BC05 to BC10: droplets, and what keeps data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from policy.checks import Finding, of_type
from policy.resources import UNKNOWN, Resource, Unknown
from policy.stack import Stack
from topology.cloud_init import TEMPLATE_FILE, USER_DATA_LIMIT, render_user_data, template_digest
from topology.names import BUCKET, DROPLET, RESERVED_IP, VOLUME, VPC
from topology.secret_texts import SECRET_TEXT

ALERT = "digitalocean:index/monitorAlert:MonitorAlert"
CHECK = "digitalocean:index/uptimeCheck:UptimeCheck"
CHECK_ALERT = "digitalocean:index/uptimeAlert:UptimeAlert"
KEPT = (DROPLET, VOLUME, BUCKET, RESERVED_IP)
REGIONAL = (DROPLET, VOLUME, VPC, RESERVED_IP)
WATCHED = {"cpu": "cpu", "memory": "memory", "disk": "disk_utilization"}
"""What is watched, and the word for it in an alert's type, e.g. `v1/insights/droplet/memory_utilization_percent`."""

HOST_KEY = re.compile(r"-{5}BEGIN OPENSSH PRIVATE KEY-{5}.*?-{5}END OPENSSH PRIVATE KEY-{5}", re.DOTALL)
LOGIN_KEY = re.compile(r'ssh_authorized_keys:\s*-\s*"([^"]+)"')
DIGEST = re.compile(re.escape(TEMPLATE_FILE) + r".*?\n\s+([0-9a-f]{12})\n", re.DOTALL)

RENDERED = "pass what render_user_data of topology/cloud_init.py returns; edits belong in cloud-init/"

FORGOTTEN = "lost"
"""What `scripts/forget-secrets` writes in place of the user data that running machines were born with."""


def droplet_birth(resource: Resource, _stack: Stack) -> Iterator[Finding]:
    """BC05: keys, network and address family, none of which can be changed later."""
    if resource.type != DROPLET:
        return
    if not resource.get("sshKeys"):
        yield Finding(found="ssh_keys: none", wanted="the stack's SSH key")
    if not resource.get("vpcUuid"):
        yield Finding(found="vpc_uuid: not set", wanted="the stack's VPC")
    if resource.get("ipv6") is True:
        yield Finding(found="ipv6: true", wanted="IPv4 only, as the rule table is")


def known_choices(resource: Resource, stack: Stack) -> Iterator[Finding]:
    """BC06: image, size and region."""
    inventory = stack.project.inventory
    choices: dict[str, tuple[str, ...]] = (
        {"region": (stack.project.settings.region,)} if resource.type in REGIONAL else {}
    )
    if resource.type == DROPLET:
        choices |= {"image": inventory.images, "size": tuple(inventory.sizes)}
    for key, allowed in choices.items():
        value = resource.get(key)
        if not isinstance(value, Unknown) and value not in allowed:
            fix = "take `region` from the stack's settings: the whole stack is in one region" if key == "region" else ""
            yield Finding(found=f"{key}: {value}", wanted=f"one of {', '.join(allowed)}", fix=fix)


def kept_things(resource: Resource, stack: Stack) -> Iterator[Finding]:
    """BC07: `protect` on what holds data or a known address."""
    name = resource.urn.rsplit("::", maxsplit=1)[-1]
    if resource.type not in KEPT or stack.is_local or resource.protect or {resource.urn, name} & stack.allowed:
        return
    fix = f"set `protect: true` in the stack's settings; to let it go: --allow-replace {name}"
    yield Finding(found="protect: off", wanted="protect: on, in a cloud stack", fix=fix)


def user_data(resource: Resource, stack: Stack) -> Iterator[Finding]:
    """BC08: the rendered template, and nothing else."""
    if resource.type != DROPLET:
        return
    text = resource.get("userData")
    if text is None:
        yield Finding(found="user_data: none", wanted="the rendered template of cloud-init/", fix=RENDERED)
        return
    if "userData" not in resource.secret:
        yield Finding(
            found="user_data: in clear in the state",
            wanted="a secret: it holds the host key",
            fix="wrap it in Output.secret, as components/droplet.py does",
        )
    if not isinstance(text, str) or (text == FORGOTTEN and "userData" in resource.ignore_changes):
        return
    size = len(text.encode())
    if size > USER_DATA_LIMIT:
        yield Finding(
            found=f"user_data: {size} bytes",
            wanted=f"at most {USER_DATA_LIMIT} bytes",
            fix="shorten cloud-init/, and send files over SSH, as the compose projects are",
        )
    rest = HOST_KEY.sub("", text, count=1)
    known = [key for key, value in stack.secrets.items() if len(value) >= 8 and value in rest]
    if SECRET_TEXT.search(rest.encode()) or known:
        found = f"user_data: holds {'the value of ' + ', '.join(known) if known else 'the text of a key or token'}"
        yield Finding(found=found, wanted="no secret but the droplet's one host key")
    yield from _template(resource, stack, text)


def _template(resource: Resource, stack: Stack, text: str) -> Iterator[Finding]:
    name = stack.droplet_of_tags(resource.texts("tags"))
    digest = DIGEST.search(text)
    if name is None or digest is None:
        wanted = "the rendered template of a droplet of inventory.yaml, with its digest"
        yield Finding(found="user_data: is not made from cloud-init/", wanted=wanted, fix=RENDERED)
        return
    if digest[1] != template_digest(stack.project, name):
        # A running machine's user data comes from the state, as long as its changes are ignored.
        if "userData" not in resource.ignore_changes:
            yield Finding(
                found=f"user_data: of an earlier template ({digest[1]}), which would replace the droplet",
                wanted="ignore_changes: userData",
                fix="pass ignore_changes, as components/droplet.py does",
            )
        return
    login, host = LOGIN_KEY.search(text), HOST_KEY.search(text)
    try:
        same = login is not None and host is not None and text == _render(stack, name, login[1], host[0])
    except ValueError:  # the host key is not a key; its text stays out of the message
        same = False
    if not same:
        yield Finding(
            found=f"user_data: claims to be template {digest[1]}, but differs from it",
            wanted="exactly what the template renders",
            fix=RENDERED,
        )


def _render(stack: Stack, name: str, login: str, host: str) -> str:
    key = "\n".join(line.strip() for line in host.splitlines()) + "\n"
    return render_user_data(stack.project, name, login, key)


def safe_bucket(resource: Resource, _stack: Stack) -> Iterator[Finding]:
    """BC09: a bucket for backups."""
    if resource.type != BUCKET:
        return
    versioning = resource.get("versioning")
    if resource.get("acl") not in (None, "private", UNKNOWN):
        yield Finding(found=f"acl: {resource.get('acl')}", wanted="acl: private")
    if not (isinstance(versioning, dict) and versioning.get("enabled") is True):
        yield Finding(found="versioning: off", wanted="versioning: enabled")
    if not resource.get("lifecycleRules"):
        yield Finding(found="lifecycle_rules: none", wanted="a rule that deletes old versions")
    if resource.get("forceDestroy") is True:
        yield Finding(found="force_destroy: true", wanted="a bucket that is destroyed only when it is empty")


def monitored(resource: Resource, _stack: Stack) -> Iterator[Finding]:
    """BC10: the agent, which cannot be added later."""
    if resource.type == DROPLET and resource.get("monitoring") is not True:
        yield Finding(found=f"monitoring: {resource.get('monitoring') or 'off'}", wanted="monitoring: true")


def alerts_exist(resources: Sequence[Resource], _stack: Stack) -> Iterator[Finding]:
    """BC10, as advice: alerts reach somebody."""
    alerts = [alert for alert in of_type(resources, ALERT) if alert.get("enabled") is not False]
    for droplet in of_type(resources, DROPLET):
        mine = [alert for alert in alerts if _covers(alert, droplet)]
        missing = [name for name, part in WATCHED.items() if not any(part in str(a.get("type")) for a in mine)]
        if missing:
            found = f"no alert for {', '.join(missing)}"
            yield Finding(resource=droplet, found=found, wanted="alerts for cpu, memory and disk", advisory=True)
    if of_type(resources, DROPLET) and not (of_type(resources, CHECK) and of_type(resources, CHECK_ALERT)):
        found = "no uptime check with an alert"
        yield Finding(place="the stack", found=found, wanted="UptimeCheck and UptimeAlert", advisory=True)


def _covers(alert: Resource, droplet: Resource) -> bool:
    by_id = droplet.urn in alert.property_dependencies.get("entities", ())
    return by_id or bool(set(alert.texts("tags")) & set(droplet.texts("tags")))
