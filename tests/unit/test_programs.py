"""programs.py: what programs are given, and what is shown of them."""

from __future__ import annotations

import pytest

from tests.unit.release_support import PASSWORD, Droplet, programs


def test_no_secret_is_in_any_argument_list_or_output(vertical: Droplet, capsys: pytest.CaptureFixture[str]) -> None:
    vertical.answer(" up ", rc=1, stderr=f"bad URL: postgresql://user:{PASSWORD}@host\n")
    vertical.answer("ps -a --format json", stdout=vertical.ps(construction=("running", "unhealthy")))
    vertical.answer(" logs ", stdout=f"cannot use {PASSWORD}\n")
    vertical.answer("docker inspect", stdout=f"refused {PASSWORD}\n")
    assert vertical.activate() == 1
    said = capsys.readouterr()
    assert "cannot use [secret]" in said.err
    assert PASSWORD not in said.err + said.out + "".join(vertical.calls())


def test_the_variables_of_the_caller_do_not_reach_compose(vertical: Droplet, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would override the env files."""
    monkeypatch.setenv("IMAGE_APP", "evil:latest")
    (vertical.bin / "docker").write_text(f"#!/bin/sh\nenv >> {vertical.bin}/environment\nexit 1\n")
    vertical.activate()
    assert "IMAGE_APP" not in (vertical.bin / "environment").read_text()


def test_a_program_that_is_not_done_in_time_is_named_with_its_seconds() -> None:
    with pytest.raises(programs.ReleaseError) as late:
        programs.Programs("edge").run(["sleep", "9"], 0.6, "a long sleep")
    assert str(late.value) == "edge: a long sleep: not done after 1 s"
