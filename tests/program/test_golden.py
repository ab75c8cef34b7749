"""What each stack registers equals its golden file: a difference is what a live stack would see."""

from __future__ import annotations

import pytest

from tests.program.golden import FOLDER, golden
from tests.program.recording import STACKS


@pytest.mark.parametrize("stack", STACKS)
def test_registrations_equal_the_golden_file(stack: str) -> None:
    assert golden(stack) == (FOLDER / f"{stack}.yaml").read_text(), "read the difference, then `make golden`"
