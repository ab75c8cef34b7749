"""Public keys of the account, which new droplets get."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from typing_extensions import override

from localcloud.account import Account
from localcloud.machine.documents import Documents, folder

_DIGITS = 8


class SshKeys(Documents):
    """Documents whose ids are digits, as at DigitalOcean, and no two of which have the same key."""

    @override
    def new_id(self, kind: str, urn: str, document: Mapping[str, object]) -> str:
        ours = [each for each in self.cloud.store.all(folder(kind)).values() if each["urn"] != urn]
        keys = [each["document"].get("publicKey") for each in ours]
        Account.of(self.cloud.config.state).check_key(str(document["publicKey"]), keys)
        low = 10 ** (_DIGITS - 1)
        return str(low + secrets.randbelow(9 * low))
