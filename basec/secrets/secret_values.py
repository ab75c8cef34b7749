"""How each secret is made: ONE table of names and generators, for local and cloud stacks.

A new secret is a key in `topology/settings.py`, a line here unless it is a password, and its use in
`topology/secrets.py`.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from basec.secrets import origin_certificates
from topology.names import CLOUDFLARE_TOKEN, DEMO_PASSWORD, DIGITALOCEAN_TOKEN, HOST_KEY, LOGIN_KEY
from topology.settings import TLS_KEYS, is_password

PASSWORD_BYTES = 24
"""192 bits; `token_urlsafe` returns letters, digits, `-` and `_`, the only ones that migrations take (contract 3.1)."""
FAKE_TOKENS = {
    DIGITALOCEAN_TOKEN: "dop_v1_fake-token-of-a-local-cloud",
    CLOUDFLARE_TOKEN: "fake-token-of-a-local-cloud-000000000000",
}
"""Obvious fakes: a real provider could not reach an account with them."""


def new_password() -> str:
    """Build a random password that starts with a letter or digit: with a `-` first, a pasted one reads as an option."""
    while not (password := secrets.token_urlsafe(PASSWORD_BYTES))[0].isalnum():
        pass
    return password


def new_ed25519_key() -> str:
    """Build an SSH key pair; the string is its unencrypted private half, for encrypted settings only."""
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


GENERATORS: Mapping[str, Callable[[], str]] = {
    DEMO_PASSWORD: new_password,
    LOGIN_KEY: new_ed25519_key,
}
"""By name without `basecommerce:`, beside passwords and the `host_key_*` of each droplet."""


def generate(name: str) -> str:
    """Build a new value. Raises KeyError for a secret that only a provider can issue."""
    if name.startswith(HOST_KEY):
        return new_ed25519_key()
    return new_password() if is_password(name) else GENERATORS[name]()


def make_missing(names: Collection[str], domain: str | None, read: Callable[[str], str]) -> dict[str, str]:
    """Build values for all those names that no provider issues.

    Those of TLS are made for `domain`, to fit existing ones (`read` returns them by name); without a domain there
    are none, and the check of the settings reports it.
    """
    made = {name: generate(name) for name in names if name not in TOKENS and name not in TLS_KEYS}
    if domain is None or not set(names) & set(TLS_KEYS):
        return made
    return {**made, **origin_certificates.fill(names, read, domain)}


@dataclass(frozen=True, kw_only=True)
class Token:
    """A secret that a provider issues: the variable that carries it, and its format."""

    variable: str
    shape: re.Pattern[str]
    looks: str
    where: str


TOKENS: Mapping[str, Token] = {
    DIGITALOCEAN_TOKEN: Token(
        variable="DIGITALOCEAN_TOKEN",
        shape=re.compile(r"dop_v1_[0-9a-f]{64}"),
        looks="`dop_v1_` and 64 hexadecimal digits",
        where="DigitalOcean: API > Tokens, with the right to write",
    ),
    CLOUDFLARE_TOKEN: Token(
        variable="CLOUDFLARE_API_TOKEN",
        shape=re.compile(r"[A-Za-z0-9_-]{40,}"),
        looks="40 or more letters, digits, `_` and `-`; the 37 digits of a global API key are none",
        where="Cloudflare: My Profile > API Tokens, for this zone alone",
    ),
}
"""Sources: https://docs.digitalocean.com/reference/api/create-personal-access-token/ and
https://developers.cloudflare.com/fundamentals/api/get-started/create-token/"""
