"""What was killed, scanned and rebooted goes without a trace, too."""

from __future__ import annotations

import pytest

from tests.e2e.leftovers import left_behind
from tests.e2e.stack import STACK, LocalStack

pytestmark = pytest.mark.real


def test_down_leaves_nothing_of_a_stack_that_was_healed(stack: LocalStack) -> None:
    stack.basec("down", "--env", STACK)
    assert left_behind(stack) == {}
