"""New values for secrets in use: which values `up` deploys, one step after the other.

A step is a set of values that one `up` deploys. Most secrets need one: PostgreSQL keeps the old login until every
tier has the new one (topology/logins.py), and within a tier a failed release goes back with all that it had. What both
Cloudflare and the edge hold needs three. Each rotation may be restarted at any time: it begins with what is set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from basec.environments import Environment
from basec.secrets.origin_certificates import new_client_certificate, new_origin_key, origin_csr
from basec.secrets.secret_values import generate
from basec.secrets.stack_file import StackFile, full_key
from topology.errors import UsageError
from topology.inventory import load_inventory
from topology.names import CLOUDFLARE_TOKEN, DEMO_PASSWORD, DIGITALOCEAN_TOKEN, HOST_KEY, LOGIN_KEY
from topology.project import required_secrets
from topology.settings import is_password
from topology.tls import ORIGIN_CSR, ORIGIN_KEY, PULL_CERTIFICATE, PULL_KEY, pull_authorities, pull_leaf

Step = dict[str, str]
"""Values by name of the secret, for one `up`."""
NOTES = {
    "token_key": "everybody has to log in again; until the edge has the new key too, new logins do not count",
    ORIGIN_KEY: "nginx gets a new container",
    PULL_CERTIFICATE: "three times `up`: the edge learns the new authority, Cloudflare shows the new certificate, the "
    "edge forgets the old authority",
}
"""What the operator should know before, by name."""
BY_HAND = (DEMO_PASSWORD, LOGIN_KEY, HOST_KEY, DIGITALOCEAN_TOKEN, CLOUDFLARE_TOKEN)
"""Prefixes of secrets that need a person; docs/runbooks/rotate-secrets.md has a line for each."""


def known(environment: Environment) -> tuple[str, ...]:
    """Return what can be rotated, by the applications of the inventory. Raises ConfigurationError."""
    names = required_secrets(load_inventory(environment.root / "inventory.yaml"))
    return (*filter(is_password, names), ORIGIN_KEY, PULL_CERTIFICATE)


def check(environment: Environment, names: Sequence[str]) -> None:
    """Refuse what cannot be rotated. Raises UsageError."""
    command = f"basec secrets rotate {{}} --env {environment.name}"
    for name in names:
        partner = {ORIGIN_CSR: ORIGIN_KEY, PULL_KEY: PULL_CERTIFICATE}.get(name)
        if partner is not None:
            raise UsageError(f"basec: {name}: is rotated together with {partner}", command.format(partner))
        if name in known(environment):
            continue
        if name.startswith(BY_HAND):
            raise UsageError(f"basec: {name}: no command can rotate it", "docs/runbooks/rotate-secrets.md explains how")
        raise UsageError(
            f"basec: {name!r} is not a secret of a stack", f"basec secrets list --env {environment.name} lists them"
        )


def steps(stack: StackFile, names: Sequence[str]) -> Iterator[Step]:
    """Yield the steps; each is made after the previous one was deployed, and reads the file as it is then."""
    first: Step = {name: generate(name) for name in names if is_password(name)}
    domain = stack.domain or ""
    if ORIGIN_KEY in names:
        first[ORIGIN_KEY] = new_origin_key()
        first[ORIGIN_CSR] = origin_csr(first[ORIGIN_KEY], domain)
    if PULL_CERTIFICATE not in names:
        yield first
        return
    old = stack.secret(full_key(PULL_CERTIFICATE))
    new, key = new_client_certificate(domain)
    both = pull_authorities(old) + pull_authorities(new)
    yield {**first, PULL_CERTIFICATE: pull_leaf(old) + both}
    yield {PULL_CERTIFICATE: pull_leaf(new) + both, PULL_KEY: key}
    yield {PULL_CERTIFICATE: new}


def rotate(stack: StackFile, names: Sequence[str], bring: Callable[[int], None]) -> None:
    """Write each step's values into the stack's file and deploy them; `bring` gets the step's number."""
    for number, step in enumerate(steps(stack, names), start=1):
        stack.add_secrets(step)
        bring(number)
