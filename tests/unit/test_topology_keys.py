"""Public keys are derived from private ones, and refused keys are never shown."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_ssh_private_key,
)

from tests.unit.topology_support import private_key
from topology.keys import public_key


def test_public_key_of_a_known_private_key() -> None:
    # RFC 8032 has no OpenSSH form; this is what `ssh-keygen -y` prints for the same file.
    assert public_key(private_key(1)) == (
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c"
    )


def test_key_with_a_passphrase_is_refused() -> None:
    key = load_ssh_private_key(private_key(1).encode(), password=None)
    text = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, BestAvailableEncryption(b"x")).decode()
    with pytest.raises(ValueError, match="is not an unencrypted private key in OpenSSH format") as caught:
        public_key(text)
    assert caught.value.__cause__ is None


def test_key_of_another_kind_is_refused() -> None:
    key = generate_private_key(SECP256R1())
    text = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    with pytest.raises(ValueError, match="is an SSH private key, but not an ed25519 one"):
        public_key(text)
