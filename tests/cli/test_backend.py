"""Where state is looked for: as Pulumi does, shown without credentials, and given up when it does not answer."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from basec.engine import backend, operations
from basec.engine.errors import BackendError
from basec.engine.locks import turn
from basec.engine.operations import Engine
from basec.environments import Environment
from basec.session import Session
from tests.cli.conftest import REPOSITORY

HOME = pwd.getpwuid(os.getuid()).pw_dir
SLOW = "#!/bin/sh\ncase $* in *version) echo v3.259.0 ;; *) exec sleep 60 ;; esac\n"


@pytest.fixture
def staging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    (tmp_path / "Pulumi.yaml").write_text((REPOSITORY / "Pulumi.yaml").read_text())
    return Environment(name="staging", root=tmp_path)


def test_the_tracked_back_end_is_a_file_outside_of_the_clone(staging: Environment) -> None:
    assert backend.directory_of(staging) == Path(HOME) / ".local/state/basecommerce"
    assert backend.described(staging) == "file://~/.local/state/basecommerce"


def test_the_variable_goes_before_the_project_and_both_before_a_login(
    staging: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://me:canary@states?region=x")
    assert backend.described(staging) == "s3://states"
    assert backend.directory_of(staging) is None
    monkeypatch.delenv("PULUMI_BACKEND_URL")
    (staging.root / "Pulumi.yaml").write_text("name: basecommerce\nruntime: python\n")
    assert backend.described(staging) == "the back-end of `pulumi login`"


@pytest.mark.parametrize("name", ["local", "staging"])
def test_no_variable_reaches_the_state_of_a_local_stack_or_a_dry_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://states")
    environment = Environment(name=name, root=tmp_path, dry_dir=None if name == "local" else tmp_path / "dry")
    assert backend.directory_of(environment) == environment.work_dir / "state"


def test_a_relative_directory_is_the_works_own(staging: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", "file://./here?create_dir=true")
    assert backend.directory_of(staging) == staging.root / "here"


@pytest.mark.parametrize(("query", "made"), [("", False), ("?create_dir=false", False), ("?create_dir=true", True)])
def test_a_turn_makes_the_state_directory_only_where_the_engine_would(
    staging: Environment, monkeypatch: pytest.MonkeyPatch, query: str, made: bool
) -> None:
    """A misspelt path must still be refused by the engine, and not be there because somebody asked for a turn."""
    directory = staging.root / "somewhere/state"
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{directory}{query}")
    with turn(staging):
        assert (directory / "staging.turn").exists() == made
        assert (staging.root / ".basec/staging.turn").exists() != made
    assert directory.exists() == made, "a directory that is not ours stays"
    assert not (staging.root / ".basec").exists()


def test_a_back_end_that_never_answers_is_given_up(staging: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "OPEN_DEADLINE_S", 0.3)
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://states")
    binary = staging.root / "pulumi"
    binary.write_text(SLOW)
    binary.chmod(0o755)
    with pytest.raises(BackendError) as caught:
        Engine(Session(staging), binary, None)
    assert caught.value.render() == (
        "basec: staging: the state in s3://states cannot be reached\n"
        "  no answer within 0.3 s\n"
        "hint: check the network, the URL and its credentials: docs/state.md; nothing was touched"
    )
