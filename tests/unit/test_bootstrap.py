"""`scripts/bootstrap` makes the virtual environment and installs nothing on the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("argument", ["", "dev"])
def test_packages_of_python_are_all_that_it_installs_and_only_once(tmp_path: Path, argument: str) -> None:
    for name in ("scripts/bootstrap", "requirements.txt", "requirements-dev.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for name, asked in ((".venv/bin/python", "python-asked"), ("fakes/apt-get", "apt-asked")):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/{asked}\n')
        (tmp_path / name).chmod(0o755)
    command = [str(tmp_path / "scripts/bootstrap"), *([argument] if argument else [])]
    environment = {"PATH": f"{tmp_path / 'fakes'}:{os.environ['PATH']}"}
    for _ in range(2):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    file = f"requirements{'-dev' if argument else ''}.txt"
    (asked,) = (tmp_path / "python-asked").read_text().splitlines()
    assert asked == f"-m pip install --quiet --disable-pip-version-check --requirement {file}"
    assert not (tmp_path / "apt-asked").exists()
