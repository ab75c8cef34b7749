"""A rehearsal with the stack's own secrets keeps their passphrase out of its directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from basec.engine import dry_run
from basec.engine.variables import variables
from basec.environments import Environment
from basec.local.rendering import fill_secrets
from basec.secrets import passphrase_file
from basec.secrets.stack_file import StackFile
from basec.session import Session

PASSPHRASE = "a passphrase of the staging stack"


@pytest.fixture
def staging(clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """A cloud stack with all its secrets, and a passphrase file that a variable names."""
    monkeypatch.setenv(passphrase_file.FILE_VARIABLE, str(tmp_path / "staging.passphrase"))
    (tmp_path / "staging.passphrase").write_text(f"{PASSPHRASE}\n")
    environment = Environment(name="staging", root=clone)
    stack = StackFile(environment)
    assert fill_secrets(environment, stack)
    return environment


def _files(directory: Path) -> dict[str, str]:
    return {str(path): path.read_text() for path in directory.rglob("*") if path.is_file()}


def test_the_passphrase_is_not_beside_the_ciphertext(staging: Environment) -> None:
    sealed = StackFile(staging).config["basecommerce:token_key"]["secure"]
    with dry_run.rehearsal(Session(staging)) as dry:
        files = _files(dry.environment.work_dir)
        assert [name for name, text in files.items() if sealed in text] == [str(dry.environment.stack_file)]
        assert [name for name, text in files.items() if PASSPHRASE in text] == []
        assert dry.stack_file.secret("basecommerce:token_key") == StackFile(staging).secret("basecommerce:token_key")
        named = variables(dry.environment)[passphrase_file.FILE_VARIABLE]
        assert Path(named).read_text() == f"{PASSPHRASE}\n"


def test_a_passphrase_in_the_environment_stays_there(staging: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(passphrase_file.VARIABLE, PASSPHRASE)
    with dry_run.rehearsal(Session(staging)) as dry:
        assert passphrase_file.FILE_VARIABLE not in variables(dry.environment)
        assert dry.stack_file.secret("basecommerce:token_key")


def test_secrets_for_one_run_have_a_passphrase_of_that_run(staging: Environment, tmp_path: Path) -> None:
    (tmp_path / "staging.passphrase").write_text("another one\n")
    with dry_run.rehearsal(Session(staging)) as dry:
        named = variables(dry.environment)[passphrase_file.FILE_VARIABLE]
        assert Path(named).parent == dry.environment.work_dir
        assert dry.stack_file.secret("basecommerce:token_key")
