"""`basec up` with the real engine and dry plugins: what it does when there is nothing to do."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import DRY_NAME
from tests.cli.dry import DryStack, local_stack_that_is_up

pytestmark = pytest.mark.engine

Command = Callable[[str], str]


@pytest.fixture
def dry(dry_stack: Path) -> Command:
    """Run a command of basec on a stack without machines."""

    def run(command: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "basec", *command.split(), "--env", DRY_NAME],
            cwd=dry_stack,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    run("init")
    return run


def test_up_applies_what_preview_found_and_nothing_else(dry: Command, clone: Path) -> None:
    assert "up: 73 created, 0 unchanged" in dry("up")
    state = clone / ".local" / DRY_NAME / "state/.pulumi/stacks/basecommerce" / f"{DRY_NAME}.json"
    before = state.stat().st_mtime_ns
    again = dry("up")
    assert "preview: nothing to change, 73 unchanged\nup: nothing to do\n" in again
    assert state.stat().st_mtime_ns == before, "the engine was not asked to apply nothing"

    program = clone / "__main__.py"
    program.write_text(
        program.read_text().replace('pulumi.export("domain"', 'pulumi.export("more", 1)\n    pulumi.export("domain"')
    )
    assert "up: nothing changed" in dry("up"), "an export is no resource, and must be brought up to date all the same"
    assert "up: nothing to do" in dry("up")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DryStack]:
    with local_stack_that_is_up(tmp_path_factory) as made:
        yield made


def test_an_up_that_changes_nothing_rebuilds_the_facts(stack: DryStack) -> None:
    def facts() -> dict[str, str]:
        """Read all but the names of sockets, which hold a hash of the clone's place: this is a copy."""
        texts = {path.name: path.read_text() for path in directory.iterdir() if path.is_file()}
        return {name: re.sub(r"(ControlPath|IdentityAgent) .*", "", text) for name, text in texts.items()}

    def forget() -> None:
        for name in before:
            (directory / name).unlink()

    directory = stack.root / ".basec" / DRY_NAME
    before = facts()
    assert set(before) >= {"inventory.yaml", "known_hosts", "ssh_config"}
    forget()
    assert "up: nothing to do" in stack.basec("up").stderr
    assert facts() == before
    forget()
    stack.basec("inventory refresh")
    assert facts() == before, "the engine's exports are those of its events"


def test_a_program_that_cannot_be_imported_is_named_without_the_engines_words(dry_stack: Path, clone: Path) -> None:
    program = clone / "__main__.py"
    program.write_text(program.read_text().replace("import pulumi\n", "import pulumi\nimport no_such_module\n", 1))
    init = [sys.executable, "-m", "basec", "init", "--env", DRY_NAME]
    subprocess.run(init, cwd=dry_stack, capture_output=True, check=True)
    preview = [sys.executable, "-m", "basec", "preview", "--env", DRY_NAME]
    done = subprocess.run(preview, cwd=dry_stack, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-2:] == [
        "basec: ModuleNotFoundError: No module named 'no_such_module'",
        "hint: basec --verbose ... shows where",
    ]


def test_a_switch_of_the_mode_of_tls_changes_the_zone_and_port_80_alone(stack: DryStack) -> None:
    with stack.edited("Pulumi.local.yaml", ("ssl: strict", "ssl: flexible")):
        # always_use_https and min_tls_version go (which does nothing at Cloudflare); ssl and port 80 are updated.
        assert "up: 2 updated, 2 deleted, 69 unchanged" in stack.basec("up").stderr
        assert "up: nothing to do" in stack.basec("up").stderr
    assert "up: 2 created, 2 updated, 69 unchanged" in stack.basec("up").stderr
    assert "up: nothing to do" in stack.basec("up").stderr
