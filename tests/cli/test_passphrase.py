"""Secrets are sealed in the engine's own format: what one writes the other reads."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from basec.environments import Environment
from basec.io.files import write_private
from basec.secrets.passphrase import Crypter, WrongPassphraseError
from basec.secrets.stack_file import StackFile

KEY = "basecommerce:token_key"


def test_a_text_comes_back_under_the_same_passphrase_only() -> None:
    crypter = Crypter.create("right")
    sealed = crypter.encrypt("a secret")
    assert Crypter.of_state("right", crypter.state).decrypt(sealed) == "a secret"
    with pytest.raises(WrongPassphraseError, match="the passphrase does not fit this file"):
        Crypter.of_state("wrong", crypter.state)


def test_one_text_sealed_twice_differs() -> None:
    crypter = Crypter.create("right")
    assert crypter.encrypt("a secret") != crypter.encrypt("a secret")


def test_a_damaged_text_is_refused() -> None:
    crypter = Crypter.create("right")
    version, nonce, sealed = crypter.encrypt("a secret").split(":")
    damaged = ("B" if sealed[0] == "A" else "A") + sealed[1:]
    with pytest.raises(WrongPassphraseError):
        crypter.decrypt(f"{version}:{nonce}:{damaged}")


def test_another_version_of_the_format_is_refused() -> None:
    crypter = Crypter.create("right")
    with pytest.raises(ValueError, match="encryptionsalt: unknown version 'v2'"):
        Crypter.of_state("right", crypter.state.replace("v1", "v2", 1))
    with pytest.raises(ValueError, match="secret: unknown version 'v9'"):
        crypter.decrypt("v9:a:b")


@pytest.mark.engine
def test_the_engine_reads_what_we_seal_and_we_read_what_it_seals(tmp_path: Path) -> None:
    binary = os.environ.get("BASECOMMERCE_PULUMI") or shutil.which("pulumi")
    if not binary:
        pytest.skip("no Pulumi CLI: set BASECOMMERCE_PULUMI to what `python -m toolchain` prints")
    environment = Environment(name="local", root=tmp_path)
    write_private(environment.passphrase_file, "a passphrase\n")
    schema = "# yaml-language-server: $schema=topology/schemas/stack.json\n"
    write_private(environment.stack_file, f"{schema}config: {{}}\n")
    write_private(environment.work_dir / "Pulumi.yaml", "name: basecommerce\nruntime: python\n")
    (environment.work_dir / "state").mkdir()
    variables = {
        **os.environ,
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_BACKEND_URL": f"file://{environment.work_dir / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(environment.passphrase_file),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    variables.pop("PULUMI_CONFIG_PASSPHRASE", None)

    def pulumi(*arguments: str) -> str:
        command = [binary, "--non-interactive", *arguments]
        run = subprocess.run(
            command, cwd=environment.work_dir, env=variables, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stderr
        return run.stdout

    stack = StackFile(environment)
    stack.add_secrets({"token_key": "sealed by basec: ü\nsecond line\n"})
    pulumi("stack", "init", "local", "--secrets-provider", "passphrase")
    assert pulumi("config", "get", KEY, "--stack", "local").removesuffix("\n") == "sealed by basec: ü\nsecond line\n"
    pulumi("config", "set", "--secret", "basecommerce:redis_password", "sealed-by-the-engine", "--stack", "local")
    again = StackFile(environment)
    assert again.secret("basecommerce:redis_password") == "sealed-by-the-engine"
    assert again.secret(KEY) == "sealed by basec: ü\nsecond line\n"
    assert environment.stack_file.read_text().startswith(schema), "neither writer takes the editors' schema away"
