"""What the infra droplet says about its events is read as it is printed, and anything else is an error in words."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from basec.hosts import outbox
from basec.hosts.outbox import Lag, SetAside, read_lag
from topology.errors import RemoteError

SET_ASIDE = {"event_id": "e", "event_type": "sale_recorded", "tries": 5, "reason": None}
DOCUMENT: dict[str, Any] = {
    "unpublished": 3,
    "oldest_s": 12,
    "stream_length": 7,
    "group_lag": None,
    "group_pending": 1,
    "most_deliveries": 4,
    "group_exists": True,
    "set_aside": 1,
    "newest_set_aside": [SET_ASIDE],
}


def test_the_answer_becomes_a_lag_and_keeps_its_shape() -> None:
    lag = read_lag(DOCUMENT)
    assert lag.newest_set_aside == [SetAside(event_id="e", event_type="sale_recorded", tries=5, reason=None)]
    assert isinstance(lag, Lag)
    assert lag.as_dict() == DOCUMENT


@pytest.mark.parametrize(
    "answer", ["", "{", "null", "[1]", "{}", "\0", json.dumps({**DOCUMENT, "more": 1}), json.dumps({"set_aside": 1})]
)
def test_any_other_answer_names_the_host(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("basec.hosts.remote.run_program", lambda *_, **__: answer)

    local: Any = SimpleNamespace(environment=SimpleNamespace(name="local"))
    store: Any = SimpleNamespace(store=SimpleNamespace(name="infra"))
    with pytest.raises(RemoteError, match=r"^infra: its answer ") as caught:
        outbox.lag(local, store)
    assert caught.value.hint == "basec ssh infra --env local"
