"""SSH keys: the public half is derived from the private one, so that the two can never disagree."""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key


def public_key(private_openssh: str) -> str:
    """Return the public key of an OpenSSH private key, as `ssh-ed25519 AAAA...` (no comment, no newline).

    Raises ValueError, whose text never holds the key, when it is not an unencrypted ed25519 key.
    """
    try:
        key = load_ssh_private_key(private_openssh.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # `from None`: the library's own message may quote the text of the key.
        raise ValueError("is not an unencrypted private key in OpenSSH format") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("is an SSH private key, but not an ed25519 one")  # noqa: TRY004 - the text is wrong, not its type
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
