"""Tests that need real servers fail where there are none: if skipped, a run that tested nothing would pass."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("asked", ["tests/services", "tests/services/test_compose_nginx.py"])
def test_without_servers_there_is_one_error_with_the_script_that_installs_them(tmp_path: Path, asked: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", asked]
    environment = {"PATH": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.USAGE_ERROR), done.stdout
    assert re.search(
        r"^nginx, HAProxy,( PostgreSQL,)? Redis, certutil(, sshd)?(, ufw)?: not on this machine\n"
        r"hint: scripts/install-servers$",
        done.stdout,
        re.MULTILINE,
    )
    assert done.stdout.splitlines()[-1].startswith("1 error")
