"""`down` leaves nothing."""

from __future__ import annotations

import pytest

from tests import turns
from tests.e2e.leftovers import left_behind
from tests.e2e.stack import STACK, LocalStack

pytestmark = pytest.mark.real


def test_down_leaves_nothing_of_the_stack_behind(stack: LocalStack) -> None:
    with turns.busy():  # as `down` itself: the other run may stop the machine's Docker engine
        stack.basec("down", "--env", STACK)
        assert left_behind(stack) == {}


def test_down_again_is_no_failure(stack: LocalStack) -> None:
    stack.basec("down", "--env", STACK)
