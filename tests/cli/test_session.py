"""One run of a command reads each thing that it knows of its environment once."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from basec.commands import preview, up
from basec.engine import dry_run
from basec.environments import Environment
from basec.local.cloud import LocalCloud
from basec.local.images import kept_images
from basec.secrets.stack_file import StackFile, read_mapping
from basec.session import Session
from localcloud.allocate import allocate
from localcloud.config import Mode
from tests.cli.dry import DryStack, local_stack_that_is_up
from topology.names import LOCAL_TEMPLATE
from topology.project import load_project

WHOLE_COMMANDS = (preview, up)
"""Loaded before anything is counted."""
BUILT = {"tag": "reference-0123456789ab", "for": "reference", "services": {}, "references": []}


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count what basec reads of an environment, from whatever module."""
    counts: Counter[str] = Counter()

    def count(owner: object, name: str, what: str, original: Any) -> None:
        def counted(first: Any, *more: Any) -> Any:
            if original is not read_mapping or first.name == LOCAL_TEMPLATE:
                counts[what] += 1
            return original(first, *more)

        monkeypatch.setattr(owner, name, counted)

    count(StackFile, "__init__", "stack file", StackFile.__init__)
    count(LocalCloud, "load", "cloud", LocalCloud.load)
    for what, function in {"template": read_mapping, "images": kept_images, "project": load_project}.items():
        name = function.__name__
        for module in [each for key, each in sys.modules.items() if key.startswith("basec.")]:
            if getattr(module, name, None) is function:
                count(module, name, what, function)
    return counts


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DryStack]:
    with local_stack_that_is_up(tmp_path_factory) as made:
        yield made


@pytest.mark.engine
@pytest.mark.parametrize("command", ["preview", "up"])
def test_one_run_reads_stack_file_cloud_and_template_once_and_checks_the_settings_once(
    stack: DryStack, reads: Counter[str], command: str
) -> None:
    stack.basec(command)
    assert reads == {"stack file": 1, "cloud": 1, "template": 1, "images": 1, "project": 1}


def test_a_rehearsal_reads_the_tracked_file_and_its_own_copy_once(clone: Path, reads: Counter[str]) -> None:
    with dry_run.rehearsal(Session(Environment(name="staging", root=clone))) as session:
        assert session.project.stack == "staging"
        assert session.is_records
    assert reads == {"stack file": 2, "project": 1}


@pytest.fixture
def session(clone: Path) -> Session:
    """A session on a local stack, initialised as far as its settings go."""
    environment = Environment(name="local", root=clone)
    allocate(directory=environment.work_dir, name="local", mode=Mode.REAL, cache=clone / "cache", http_port=None)
    Session(environment).render()
    return Session(environment)


def test_images_that_were_kept_leave_the_project_as_it_was_checked(session: Session, reads: Counter[str]) -> None:
    session.use_images(BUILT)
    session.render()
    again = Session(session.environment)
    checked = again.written_project
    reads.clear()
    again.use_images(BUILT)
    assert again.written_project is checked
    assert reads == {}


def test_other_images_make_the_settings_anew_and_read_no_file_again(session: Session, reads: Counter[str]) -> None:
    before = session.written_project.image("auth")
    reads.clear()
    session.use_images(BUILT)
    assert session.written_project.image("auth") != before
    assert session.written_project.image("auth").endswith(f":{BUILT['tag']}")
    assert reads == {"project": 1}
