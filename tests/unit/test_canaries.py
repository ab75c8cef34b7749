"""The search for leaked secrets finds each of their forms: otherwise "no leak" would mean nothing."""

from __future__ import annotations

import base64
import json
import shlex
import urllib.parse

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.e2e.canaries import hits, needles_of

SECRET = "it's-a_secret/with+marks-0123456789"


def key() -> str:
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


@pytest.mark.parametrize("before", ["", "a", "ab", "abc", "abcd"])
def test_base64_is_found_whatever_stands_before_and_after(before: str) -> None:
    content = base64.b64encode(f"{before}{SECRET}and more".encode())
    assert hits(needles_of({"password": SECRET}), b"..." + content)


@pytest.mark.parametrize(
    "content",
    [SECRET, f"PGPASSWORD={shlex.quote(SECRET)}", f"redis://:{urllib.parse.quote(SECRET, safe='')}@host"],
)
def test_quoted_and_raw_forms_are_found_and_named(content: str) -> None:
    (found,) = {name.split()[0] for name in hits(needles_of({"password": SECRET}), content.encode())}
    assert found == "password"


def test_a_key_is_found_with_its_line_breaks_in_any_form() -> None:
    secret = key()
    needles = needles_of({"login": secret})
    assert hits(needles, json.dumps(secret).encode())
    assert hits(needles, secret.replace("\n", "\r\n").encode())
    assert hits(needles, base64.b64encode(secret.encode()))


def test_another_key_of_the_same_kind_is_no_hit() -> None:
    assert hits(needles_of({"login": key()}), key().encode()) == set()


def test_other_text_is_no_hit() -> None:
    assert hits(needles_of({"password": SECRET}), b"nothing of it here") == set()
