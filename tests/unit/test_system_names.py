"""The list of taken login names contains Debian's own list."""

from __future__ import annotations

from pathlib import Path

import pytest

from topology.system_names import SYSTEM_NAMES

MASTERS = sorted(Path("/usr/share/base-passwd").glob("*.master"))
SYSUSERS = sorted(Path("/usr/lib/sysusers.d").glob("*.conf"))


@pytest.mark.skipif(not MASTERS, reason="no Debian: nothing here says which users it has")
@pytest.mark.parametrize("path", MASTERS, ids=lambda path: path.name)
def test_each_user_and_group_of_every_debian_is_known(path: Path) -> None:
    assert {line.split(":")[0] for line in path.read_text().splitlines()} <= SYSTEM_NAMES


@pytest.mark.skipif(not SYSUSERS, reason="no systemd: nothing here says which users it makes")
def test_each_user_and_group_that_systemd_makes_is_known() -> None:
    lines = [line.split() for path in SYSUSERS for line in path.read_text().splitlines()]
    assert {words[1] for words in lines if words and words[0] in ("u", "g")} <= SYSTEM_NAMES
