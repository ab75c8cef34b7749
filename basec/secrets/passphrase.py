"""Encrypt and decrypt stack secrets with a passphrase, in Pulumi's own file format.

Why not by the CLI: `pulumi config set-all`, and so the Automation API, takes the values on its command line, where
every user of the machine can read them, and nine `config set` calls derive the key nine times. Reading needs no engine
either.

The format is AES-256-GCM under PBKDF2-SHA256 with a million rounds; each text is `v1:<base64 nonce>:<base64 text>`; the
file's `encryptionsalt` is `v1:<base64 salt>:<"pulumi" encrypted>`, which shows a wrong passphrase.
Source: https://github.com/pulumi/pulumi/blob/v3.259.0/sdk/go/common/resource/config/crypt.go
"""

from __future__ import annotations

import base64
import os
from functools import cached_property

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

ROUNDS = 1_000_000
KEY_BYTES = 32
SALT_BYTES = 8
NONCE_BYTES = 12
MARK = "pulumi"


class WrongPassphraseError(ValueError):
    """The passphrase is not the one that the file was encrypted with."""


class Crypter:
    """Encrypts and decrypts the secrets of one stack file."""

    def __init__(self, passphrase: str, salt: bytes) -> None:
        self._passphrase = passphrase
        self._salt = salt

    @classmethod
    def create(cls, passphrase: str) -> Crypter:
        """Start a new stack file."""
        return cls(passphrase, os.urandom(SALT_BYTES))

    @classmethod
    def of_state(cls, passphrase: str, state: str) -> Crypter:
        """Open a file by its `encryptionsalt`. Raises WrongPassphraseError."""
        version, salt, check = state.split(":", 2)
        if version != "v1":
            raise ValueError(f"encryptionsalt: unknown version {version!r}")
        crypter = cls(passphrase, base64.b64decode(salt))
        if crypter.decrypt(check) != MARK:
            raise WrongPassphraseError("the passphrase does not fit this file")
        return crypter

    @cached_property
    def state(self) -> str:
        """The file's `encryptionsalt`."""
        return f"v1:{base64.b64encode(self._salt).decode()}:{self.encrypt(MARK)}"

    @cached_property
    def _cipher(self) -> AESGCM:
        derivation = PBKDF2HMAC(algorithm=SHA256(), length=KEY_BYTES, salt=self._salt, iterations=ROUNDS)
        return AESGCM(derivation.derive(self._passphrase.encode()))

    def encrypt(self, text: str) -> str:
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, text.encode(), None)
        return f"v1:{base64.b64encode(nonce).decode()}:{base64.b64encode(sealed).decode()}"

    def decrypt(self, text: str) -> str:
        """Decrypt a text. Raises WrongPassphraseError if it was encrypted with another passphrase, or is damaged."""
        version, nonce, sealed = text.split(":")
        if version != "v1":
            raise ValueError(f"secret: unknown version {version!r}")
        try:
            return self._cipher.decrypt(base64.b64decode(nonce), base64.b64decode(sealed), None).decode()
        except InvalidTag:
            raise WrongPassphraseError("the passphrase does not fit this file") from None
