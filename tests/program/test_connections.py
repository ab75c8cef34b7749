"""How the engine logs in: how many commands side by side, and how long it tries."""

from __future__ import annotations

import pytest

from tests.program.recording import ENGINE_LOGINS_AT_ONCE, STACKS, Recorder, Registration, configuration, main, run
from topology.cloud_init import SSHD_LIMITS

COMMAND = "command:remote:Command"


@pytest.fixture(scope="module", params=STACKS)
def recorder(request: pytest.FixtureRequest) -> Recorder:
    """Each stack's program, run once; the tests only look at what was recorded."""
    return run(main, stack=request.param, config=configuration(request.param))


def side_by_side(recorder: Recorder, commands: list[Registration]) -> list[str]:
    """Return the most commands that may run at once: none of them waits for another."""
    waits = {item.urn: recorder.after(item) for item in commands}

    def most(chosen: list[str], free: list[str]) -> list[str]:
        best = chosen
        for number, urn in enumerate(free):
            if len(chosen) + len(free) - number <= len(best):
                break
            beside = [other for other in free[number + 1 :] if other not in waits[urn] and urn not in waits[other]]
            best = max(best, most([*chosen, urn], beside), key=len)
        return best

    return most([], list(waits))


def test_commands_side_by_side_leave_room_for_operators_in_sshds_limit(recorder: Recorder) -> None:
    """All of them come through the bastion, and droplets behind it see its one address."""
    at_once = side_by_side(recorder, recorder.of(COMMAND))
    assert len(at_once) == ENGINE_LOGINS_AT_ONCE, at_once
    (share,) = (int(line.split()[1]) for line in SSHD_LIMITS if line.startswith("PerSourceMaxStartups"))
    assert share / 2 >= ENGINE_LOGINS_AT_ONCE


def test_only_readiness_has_many_dial_retries(recorder: Recorder) -> None:
    retries = {item.name: item.plain("connection")["dialErrorLimit"] for item in recorder.of(COMMAND)}
    assert {name for name, limit in retries.items() if limit == 30} == {
        "edge-host-ready",
        "infra-host-ready",
        "vertical-host-ready",
    }
    assert set(retries.values()) == {9, 30}
