"""One `Pulumi.<env>.yaml`: plain settings, encrypted secrets."""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

from ruamel.yaml.comments import CommentedMap

from basec.environments import Environment
from basec.io.files import PRIVATE, write_private
from basec.secrets import passphrase_file
from basec.secrets.passphrase import Crypter, WrongPassphraseError
from basec.secrets.secret_values import make_missing
from basec.secrets.yaml_edit import edit_yaml, put
from topology.errors import ConfigurationError, Problem
from topology.files import dump_yaml, read_yaml
from topology.names import MADE_KEY, PROJECT, SALT_KEY, SETTINGS_KEY

MARK_LENGTH = 8
"""Of the mark in `MADE_KEY` for its value: a value set by other means has no date, rather than a wrong one."""


def read_mapping(path: Path) -> dict[str, Any]:
    """Return a YAML mapping, read as strictly as all our files. Raises ConfigurationError."""
    document = read_yaml(path)
    if not isinstance(document, dict):
        text = f"expected a mapping, got a {type(document).__name__}"
        raise ConfigurationError([Problem(file=path.name, path="", message=text, hint="see Pulumi.local.yaml")])
    return document


def plain_config(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a stack's file has in clear: a copy of it must be judged as the file is, secrets or not."""
    config = document.get("config")
    entries = config.items() if isinstance(config, Mapping) else ()
    return {key: value for key, value in entries if not (isinstance(value, Mapping) and set(value) == {"secure"})}


class StackFile:
    """The settings file of one environment; a secret is decrypted only when it is asked for."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.document = read_mapping(environment.stack_file)
        self._crypter: Crypter | None = None
        self._opening = Lock()

    @property
    def config(self) -> dict[str, Any]:
        config = self.document.setdefault("config", {})
        return config if isinstance(config, dict) else {}

    @property
    def settings(self) -> object:
        return self.config.get(SETTINGS_KEY)

    @property
    def domain(self) -> str | None:
        """The domain in the settings, unchecked; None if it is not a string."""
        domain = self.settings.get("domain") if isinstance(self.settings, Mapping) else None
        return domain if isinstance(domain, str) else None

    @property
    def secret_names(self) -> frozenset[str]:
        """The keys that hold an encrypted value, without the project's own prefix (`digitalocean:token` keeps its)."""
        keys = (key for key, value in self.config.items() if isinstance(value, Mapping) and set(value) == {"secure"})
        return frozenset(key.removeprefix(f"{PROJECT}:") for key in keys)

    def secret(self, key: str) -> str:
        """Decrypt the value of one key, e.g. `basecommerce:login_private_key`. Raises ConfigurationError."""
        value = self.config.get(key)
        if not (isinstance(value, Mapping) and "secure" in value):
            raise self._problem(key, "this secret is not set", f"basec init --env {self.environment.name}")
        return self.crypter.decrypt(str(value["secure"]))

    def make_missing(self, names: Collection[str]) -> dict[str, str]:
        """Build values for those secrets of this stack that no provider issues; the file is not changed."""
        return make_missing(names, self.domain, lambda name: self.secret(full_key(name)))

    def add_secrets(self, values: Mapping[str, str]) -> None:
        """Encrypt secrets into the file, by names as in `secret_names`; everything else in it stays.

        Written at once and by rename: a killed run leaves the file without any of them. Raises ConfigurationError.
        """
        if not values:
            return
        sealed = {full_key(name): self.crypter.encrypt(value) for name, value in values.items()}
        today = datetime.datetime.now(datetime.UTC).date()

        def seal(document: CommentedMap) -> None:
            for key, one in sealed.items():
                put(document, ["config", key], {"secure": one})
            for key, one in sealed.items():
                put(document, ["config", MADE_KEY, key], f"{today} {_mark(one)}")
            if not self.document.get(SALT_KEY):
                put(document, [SALT_KEY], self.crypter.state)

        edit_yaml(self.environment.stack_file, seal)
        self.document = read_mapping(self.environment.stack_file)

    def made(self) -> dict[str, datetime.date]:
        """Return the dates of secrets that `init` made, by name; others are left out. Needs no passphrase."""
        noted = self.config.get(MADE_KEY)
        days: dict[str, datetime.date] = {}
        for key, note in (noted if isinstance(noted, Mapping) else {}).items():
            sealed = self.config.get(key)
            day, _, mark = str(note).partition(" ")
            if isinstance(sealed, Mapping) and mark == _mark(str(sealed.get("secure", ""))):
                with suppress(ValueError):  # edited by hand: no date, as for a value set by other means
                    days[key.removeprefix(f"{PROJECT}:")] = datetime.date.fromisoformat(day)
        return days

    @property
    def crypter(self) -> Crypter:
        """The file's secrets, opened once with the passphrase: that takes a second. Raises ConfigurationError."""
        with self._opening:  # threads ask for it too
            if self._crypter is None:
                self._crypter = self._open()
            return self._crypter

    def check_passphrase(self) -> None:
        """Check the passphrase. Raises ConfigurationError if the file has secrets and it is lost or wrong."""
        if self.document.get(SALT_KEY):
            self._crypter = self._open()

    def _open(self) -> Crypter:
        passphrase = passphrase_file.read(self.environment)
        state = self.document.get(SALT_KEY)
        if not state:
            return Crypter.create(passphrase)
        try:
            return Crypter.of_state(passphrase, str(state))
        except WrongPassphraseError:
            hint = "name the right passphrase file"
            if not self.environment.is_local:
                hint += f" in {passphrase_file.FILE_VARIABLE}; is it lost? {passphrase_file.LOST}"
            raise self._problem(SALT_KEY, "the passphrase does not fit this file", hint) from None

    def _problem(self, path: str, message: str, hint: str) -> ConfigurationError:
        return ConfigurationError(
            [Problem(file=self.environment.stack_file.name, path=path, message=message, hint=hint)]
        )

    def put_settings(self, settings: object) -> None:
        """Replace the settings of a rendered file, and write it; everything else in it stays."""
        others = {key: value for key, value in self.config.items() if key != SETTINGS_KEY}
        self.document["config"] = {SETTINGS_KEY: settings, **others}
        self.write()

    def write(self) -> None:
        """Replace a rendered file as a whole, readable by its owner only. Never a tracked one: comments are lost."""
        write_private(self.environment.stack_file, dump_yaml(self.document), PRIVATE)


def full_key(name: str) -> str:
    """Return the key in the stack's file, e.g. `basecommerce:token_key` for `token_key`."""
    return name if ":" in name else f"{PROJECT}:{name}"


def _mark(sealed: str) -> str:
    """Return the start of a sealed text's nonce, which is new with every value: `v1:<nonce>:<text>`."""
    nonce = sealed.partition(":")[2]
    return re.sub(r"[^A-Za-z0-9]", "", nonce.partition(":")[0])[:MARK_LENGTH]
