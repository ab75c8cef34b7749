"""What the infra droplet says about its events is read as it is printed."""

from __future__ import annotations

import pytest

from basec.outbox import Lag, parse_lag

OUTBOX = '{"unpublished" : 3, "oldest_s" : 12}\n'
GROUP = '[{"name":"other","pending":9,"lag":9},{"name":"engines","consumers":1,"pending":1,"lag":2}]\n'


def test_the_three_answers_become_one_lag() -> None:
    assert parse_lag(f"{OUTBOX}7\n{GROUP}") == Lag(
        unpublished=3, oldest_s=12, stream_length=7, group_lag=2, group_pending=1, group_exists=True
    )


def test_a_wiped_redis_has_no_group() -> None:
    lag = parse_lag(f"{OUTBOX}0\n[]\n")
    assert (lag.group_exists, lag.group_lag, lag.group_pending) == (False, None, 0)


def test_a_lag_that_redis_cannot_tell_is_none() -> None:
    assert parse_lag(f'{OUTBOX}7\n[{{"name":"engines","pending":0,"lag":null}}]').group_lag is None


def test_anything_else_is_an_error() -> None:
    with pytest.raises(ValueError, match="not enough values"):
        parse_lag(OUTBOX)
