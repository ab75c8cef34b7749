"""The ways to the Pulumi CLI: in which order, what is kept, and what is said when none works."""

from __future__ import annotations

import contextlib
import fcntl
import subprocess
import sys
import threading
import urllib.error
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import REPOSITORY
from toolchain import building, pulumi_cli, workflow_linter
from toolchain.building import ToolchainError
from toolchain.pulumi_cli import VERSION, ensure_pulumi, recipe, version_of
from toolchain.workflow_linter import ensure_actionlint


def write_cli(path: Path, version: str = VERSION) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho v{version}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Start from a machine without any CLI, where both ways to get one fail; answer the ways that were tried."""
    tried: list[str] = []

    def fail(name: str) -> None:
        def way(_target: Path, _progress: object) -> None:
            tried.append(name)
            raise ToolchainError(f"{name} does not work here")

        monkeypatch.setattr(pulumi_cli, name, way)

    fail("_install")
    fail("_build")
    monkeypatch.delenv("BASECOMMERCE_PULUMI", raising=False)
    monkeypatch.setenv("BASECOMMERCE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr("shutil.which", lambda name: str(tmp_path / "bin" / name))
    return tried


def works(monkeypatch: pytest.MonkeyPatch, tried: list[str], name: str, version: str = VERSION) -> None:
    def way(target: Path, _progress: object) -> None:
        tried.append(name)
        write_cli(target, version)

    monkeypatch.setattr(pulumi_cli, name, way)


def cached(tmp_path: Path) -> Path:
    return tmp_path / "cache/pulumi" / recipe() / "pulumi"


def test_a_named_cli_goes_before_path_and_path_before_the_cache(
    ways: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = write_cli(cached(tmp_path))
    assert ensure_pulumi(print) == kept
    on_path = write_cli(tmp_path / "bin/pulumi")
    assert ensure_pulumi(print) == on_path
    named = write_cli(tmp_path / "named/pulumi")
    monkeypatch.setenv("BASECOMMERCE_PULUMI", str(named))
    assert ensure_pulumi(print) == named
    assert ways == []


def test_a_cli_of_another_version_is_passed_by(
    ways: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cli(tmp_path / "bin/pulumi", "3.100.0")
    works(monkeypatch, ways, "_install")
    assert ensure_pulumi(print) == cached(tmp_path)


def test_the_official_installer_goes_before_a_build(
    ways: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    works(monkeypatch, ways, "_install")
    works(monkeypatch, ways, "_build")
    assert ensure_pulumi(print) == cached(tmp_path)
    assert ways == ["_install"]


def test_a_build_follows_an_installer_that_fails_and_the_next_call_does_nothing(
    ways: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    works(monkeypatch, ways, "_build")
    said: list[str] = []
    assert ensure_pulumi(said.append) == cached(tmp_path)
    assert ways == ["_install", "_build"]
    assert said == ["official installer: _install does not work here"]
    assert ensure_pulumi(said.append) == cached(tmp_path)
    assert ways == ["_install", "_build"]
    assert len(said) == 1


def test_a_wrong_version_is_not_kept(ways: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    works(monkeypatch, ways, "_build", "3.0.0-dev")
    with pytest.raises(ToolchainError, match=f"go build: gave version 3.0.0-dev, wanted {VERSION}"):
        ensure_pulumi(print)
    assert not cached(tmp_path).exists()


@pytest.mark.usefixtures("ways")
def test_when_nothing_works_each_way_is_named_with_a_hint() -> None:
    with pytest.raises(ToolchainError) as caught:
        ensure_pulumi(print)
    assert str(caught.value) == (
        f"toolchain: pulumi: no way to the Pulumi CLI {VERSION} worked:\n"
        "  official installer: _install does not work here\n"
        "  go build: _build does not work here\n"
        f"hint: install Pulumi {VERSION} on PATH, or make a Go module proxy reachable, and run again"
    )


def test_two_bring_ups_build_once(ways: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    works(monkeypatch, ways, "_install")
    target = cached(tmp_path)
    target.parent.mkdir(parents=True)
    said: list[str] = []
    with (target.parent / ".lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        waiting = threading.Thread(target=ensure_pulumi, args=(said.append,))
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
        write_cli(target)  # the other one has built it
    waiting.join(10)
    assert said == ["another process is getting the Pulumi CLI; waiting for it"]
    assert ways == []


def laid(tmp_path: Path) -> dict[str, bytes]:
    directory = cached(tmp_path).parent
    return {path.name: path.read_bytes() for path in directory.glob("*language*")}


def test_beside_a_cli_without_a_host_for_python_programs_lies_ours_and_an_older_one_is_replaced(
    ways: list[str], tmp_path: Path
) -> None:
    write_cli(cached(tmp_path))
    ours = {name: (pulumi_cli.HERE / name).read_bytes() for name in (pulumi_cli.HOST, pulumi_cli.HOST_SCRIPT)}
    ensure_pulumi(print)
    assert laid(tmp_path) == ours
    launcher = cached(tmp_path).with_name(pulumi_cli.HOST)
    assert launcher.stat().st_mode & 0o111
    launcher.write_text("#!/bin/sh\n# runs language_host.py of last year\n")
    ensure_pulumi(print)
    assert laid(tmp_path) == ours
    assert ways == []


def test_the_official_host_for_python_programs_is_left_alone(ways: list[str], tmp_path: Path) -> None:
    write_cli(cached(tmp_path))
    official = cached(tmp_path).with_name(pulumi_cli.HOST)
    official.write_bytes(b"\x7fELF")
    ensure_pulumi(print)
    assert laid(tmp_path) == {pulumi_cli.HOST: b"\x7fELF"}
    assert ways == []


def test_the_official_installers_other_programs_are_kept_beside_the_cli(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: contextlib.nullcontext())

    def install(command: list[str], *_: object) -> None:
        for name in ("pulumi", pulumi_cli.HOST):
            write_cli(Path(command[3]) / "bin" / name)

    monkeypatch.setattr(pulumi_cli, "run", install)
    pulumi_cli._install(tmp_path / "pulumi", print)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pulumi", pulumi_cli.HOST]


@pytest.mark.parametrize("name", ["go.mod", "go.sum", "tools.go"])
def test_each_module_file_is_in_the_cache_key(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for one in ("go.mod", "go.sum", "tools.go"):
        (tmp_path / one).write_bytes((REPOSITORY / "toolchain" / one).read_bytes())
    before = recipe()
    monkeypatch.setattr(pulumi_cli, "HERE", tmp_path)
    assert recipe() == before
    (tmp_path / name).write_text("changed")
    assert recipe() != before


def test_the_flags_are_in_the_cache_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = recipe()
    monkeypatch.setattr(pulumi_cli, "LDFLAGS", "-s")
    assert recipe() != before


def test_an_unreachable_installer_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float] = []

    def refuse(_url: str, timeout: float) -> None:
        limits.append(timeout)
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setattr(pulumi_cli, "run", lambda *_: pytest.fail("nothing may be run"))
    with pytest.raises(ToolchainError, match="is unreachable: no route to host"):
        pulumi_cli._install(tmp_path / "pulumi", print)
    assert limits == [5.0]


def test_a_build_is_static_stamped_and_renamed_into_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = tmp_path / "bin/go"
    go.parent.mkdir()
    # A stand-in for go that keeps its arguments and writes what it was asked for.
    log = tmp_path / "log"
    go.write_text(
        f'#!/bin/sh\nprintf "%s|" "$CGO_ENABLED" "$PWD" "$@" > {log}\n'
        f'while [ "$1" != -o ]; do shift; done\nprintf "#!/bin/sh\\necho v{VERSION}\\n" > "$2"\nchmod 755 "$2"\n'
    )
    go.chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda _: str(go))
    target = tmp_path / "cache/pulumi"
    target.parent.mkdir()
    pulumi_cli._build(target, print)
    arguments = log.read_text().split("|")
    assert arguments[:3] == ["0", str(REPOSITORY / "toolchain"), "build"]
    assert "-mod=readonly" in arguments
    assert f"version.Version=v{VERSION}" in arguments[arguments.index("-ldflags") + 1]
    assert version_of(str(target)) == VERSION
    assert [path.name for path in target.parent.iterdir()] == ["pulumi"]


def test_actionlint_is_built_once_from_a_module_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go, log = tmp_path / "bin/go", tmp_path / "log"
    go.parent.mkdir()
    go.write_text(f'#!/bin/sh\necho "$PWD" >> {log}\nwhile [ "$1" != -o ]; do shift; done\ntouch "$2"\n')
    go.chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda _: str(go))
    monkeypatch.setenv("BASECOMMERCE_CACHE", str(tmp_path / "cache"))
    said: list[str] = []
    made = ensure_actionlint(said.append)
    assert ensure_actionlint(said.append) == made
    assert log.read_text().splitlines() == [str(REPOSITORY / "toolchain/actionlint")]
    assert said == [f"building actionlint {workflow_linter.VERSION} from its Go module (once)"]
    assert made.parent.name != recipe()


def test_an_actionlint_that_cannot_be_built_is_told_with_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho no proxy\nexit 1\n")
    go.chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda _: str(go))
    monkeypatch.setenv("BASECOMMERCE_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ToolchainError) as caught:
        ensure_actionlint(print)
    assert str(caught.value) == (
        "toolchain: actionlint: go build: go ended with 1:\n    no proxy\n"
        "hint: make a Go module proxy reachable, and run again"
    )


def test_the_version_of_actionlint_is_the_one_of_its_module_and_of_the_versions_file() -> None:
    module = (REPOSITORY / "toolchain/actionlint/go.mod").read_text()
    assert f"require github.com/rhysd/actionlint v{workflow_linter.VERSION}\n" in module
    versions = yaml.safe_load((REPOSITORY / "versions.yaml").read_text())
    assert versions["actionlint"]["version"] == workflow_linter.VERSION


def test_a_failed_build_shows_its_last_lines_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\nfor i in 1 2 3 4 5 6 7 8 9; do echo line $i; done\nexit 1\n")
    go.chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda _: str(go))
    target = tmp_path / "cache/pulumi"
    target.parent.mkdir()
    with pytest.raises(ToolchainError) as caught:
        pulumi_cli._build(target, print)
    lines = str(caught.value).splitlines()
    assert lines[0] == "go ended with 1:"
    assert lines[1:] == [f"    line {number}" for number in range(2, 10)]
    assert list(target.parent.iterdir()) == []


def test_a_program_that_hangs_is_ended_with_its_seconds() -> None:
    with pytest.raises(ToolchainError, match="sleep took more than 0 s"):
        building.run(["sleep", "60"], 0.1, {})


def test_the_version_is_the_one_of_the_pinned_sdk() -> None:
    assert f"pulumi=={VERSION}" in (REPOSITORY / "requirements.txt").read_text().splitlines()
    assert f"github.com/pulumi/pulumi/pkg/v3 v{VERSION}" in (REPOSITORY / "toolchain/go.mod").read_text()


def test_the_command_prints_its_recipe_and_refuses_the_unknown() -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "toolchain", *arguments]
        return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)

    assert run("--recipe").stdout == f"{recipe()}\n"
    wrong = run("--all")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == "toolchain: arguments: unknown: --all\nhint: python -m toolchain [--recipe | actionlint]\n"
