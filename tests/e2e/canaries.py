"""Secrets as canaries: each is looked for in every form in which it could have slipped out."""

from __future__ import annotations

import base64
import re
import shlex
import subprocess
import urllib.parse
from collections.abc import Iterable, Mapping

from tests.e2e.stack import LocalStack

BODY_LINE = re.compile(r"[A-Za-z0-9+/=]{40,}")
"""A line of a private key's body. The first ones are alike in all keys: they say which kind of key it is."""
SHARED_LINES = 1
CLOUD_INIT = "/var/lib/cloud /run/cloud-init /var/log/cloud-init.log /var/log/cloud-init-output.log"


def needles_of(secrets: Mapping[str, str]) -> dict[bytes, str]:
    """Return every form of every secret, and what to call it: `token_key (base64)`."""
    found: dict[bytes, str] = {}
    for name, secret in secrets.items():
        for text in parts(secret):
            for form, needle in forms(text):
                found.setdefault(needle, f"{name} ({form})")
    return found


def parts(secret: str) -> list[str]:
    """Return the pieces to look for: a private key's own body lines, since it is written with any line breaks."""
    if "PRIVATE KEY" not in secret:
        return [secret.strip()]
    lines = BODY_LINE.findall(secret)
    return lines[SHARED_LINES:]


def forms(text: str) -> Iterable[tuple[str, bytes]]:
    """Yield the forms of one text: as it is, URL-quoted, shell-quoted, in JSON, and base64 in its three alignments."""
    yield "raw", text.encode()
    yield "URL", urllib.parse.quote(text, safe="").encode()
    yield "shell", shlex.quote(text).encode()
    for shift in range(3):
        encoded = base64.b64encode(b"x" * shift + text.encode())
        # What the neighbours decide is cut off at both ends: the rest is there whatever stands before and after.
        yield f"base64+{shift}", encoded[4 if shift else 0 : -4]


def hits(needles: Mapping[bytes, str], content: bytes) -> set[str]:
    """Return the names of the secrets that a content holds."""
    return {name for needle, name in needles.items() if needle in content}


def cloud_init_files(stack: LocalStack, droplet: str) -> bytes:
    """Return all that cloud-init keeps on a droplet. Raises AssertionError when that cannot be read."""
    command = f"find {CLOUD_INIT} -type f | xargs cat"
    whole = ["docker", "exec", stack.container(droplet), "bash", "-c", command]
    content = subprocess.run(whole, capture_output=True, check=True, timeout=120).stdout
    assert b"basec" in content, "cloud-init's files were not read"
    return content
