"""One `Pulumi.<env>.yaml`: settings in clear, secrets encrypted."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from basec.environments import Environment
from basec.passphrase import Crypter, WrongPassphraseError
from topology.errors import ConfigurationError, Problem
from topology.files import read_yaml

SETTINGS_KEY = "basecommerce:settings"
PASSPHRASE_FILE_VARIABLE = "PULUMI_CONFIG_PASSPHRASE_FILE"  # noqa: S105 - the name of a variable
PASSPHRASE_VARIABLE = "PULUMI_CONFIG_PASSPHRASE"  # noqa: S105 - the name of a variable


def read_mapping(path: Path) -> dict[str, Any]:
    """Read a YAML mapping as strictly as all our files. Raises ConfigurationError."""
    document = read_yaml(path)
    if not isinstance(document, dict):
        text = f"holds a {type(document).__name__}, wanted a mapping"
        raise ConfigurationError([Problem(file=path.name, path="", message=text, hint="see Pulumi.local.yaml")])
    return document


class StackFile:
    """The settings file of one environment; a secret is decrypted only when it is asked for."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.document = read_mapping(environment.stack_file)
        self._crypter: Crypter | None = None

    @property
    def config(self) -> dict[str, Any]:
        config = self.document.setdefault("config", {})
        return config if isinstance(config, dict) else {}

    @property
    def settings(self) -> object:
        return self.config.get(SETTINGS_KEY)

    @property
    def secret_names(self) -> frozenset[str]:
        """The keys that hold an encrypted value, without the project's own prefix (`digitalocean:token` keeps its)."""
        keys = (key for key, value in self.config.items() if isinstance(value, Mapping) and set(value) == {"secure"})
        return frozenset(key.removeprefix("basecommerce:") for key in keys)

    def secret(self, key: str) -> str:
        """Decrypt the value of one key, e.g. `basecommerce:login_private_key`. Raises ConfigurationError."""
        value = self.config.get(key)
        if not (isinstance(value, Mapping) and "secure" in value):
            raise self._problem(key, "this secret is not set", f"basec init --env {self.environment.name}")
        return self.crypter.decrypt(str(value["secure"]))

    def set_secret(self, key: str, value: str) -> None:
        self.config[key] = {"secure": self.crypter.encrypt(value)}

    @property
    def crypter(self) -> Crypter:
        """Open the file with the environment's passphrase, once. Raises ConfigurationError."""
        if self._crypter is None:
            self._crypter = self._open()
        return self._crypter

    def _open(self) -> Crypter:
        passphrase = self._passphrase()
        state = self.document.get("encryptionsalt")
        if not state:
            crypter = Crypter.create(passphrase)
            self.document["encryptionsalt"] = crypter.state
            return crypter
        try:
            return Crypter.of_state(passphrase, str(state))
        except WrongPassphraseError:
            raise self._problem(
                "encryptionsalt", "the passphrase does not fit this file", "name the right passphrase file"
            ) from None

    def _passphrase(self) -> str:
        named = os.environ.get(PASSPHRASE_FILE_VARIABLE)
        path = self.environment.passphrase_file if self.environment.is_local else Path(named) if named else None
        if path is not None:
            try:
                return path.read_text().strip()
            except OSError as error:
                hint = (
                    f"basec down --env {self.environment.name} and make up start anew"
                    if self.environment.is_local
                    else "mend the path"
                )
                raise self._problem("passphrase", f"{path}: {error.strerror}", hint) from None
        if PASSPHRASE_VARIABLE in os.environ:
            return os.environ[PASSPHRASE_VARIABLE]
        raise self._problem(
            "passphrase", "none is known for this environment", f"set {PASSPHRASE_FILE_VARIABLE} to its file"
        )

    def _problem(self, path: str, message: str, hint: str) -> ConfigurationError:
        return ConfigurationError(
            [Problem(file=self.environment.stack_file.name, path=path, message=message, hint=hint)]
        )

    def write(self) -> None:
        """Replace the file as a whole, readable by its owner only; an unchanged text is left alone."""
        write_private(self.environment.stack_file, yaml.safe_dump(self.document, sort_keys=False, width=120))


def write_private(path: Path, text: str) -> None:
    """Write a file with mode 0600 by rename, so that a killed write leaves the old one."""
    if path.exists() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write(text)
    temporary.replace(path)
