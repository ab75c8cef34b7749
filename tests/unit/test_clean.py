"""`make clean`, on a repository and a cache of the test's own, with a `docker` that only records its calls."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCKER = """#!/bin/sh
case $2 in
  ls) printf 'newest\\nmiddle\\nnewest\\noldest\\n' ;;
  rm) shift 2; echo "$@" >>"$ASKED" ;;
esac
"""


def clean(root: Path) -> subprocess.CompletedProcess[str]:
    (root / "bin").mkdir(exist_ok=True)
    (root / "bin/docker").write_text(DOCKER)
    (root / "bin/docker").chmod(0o755)
    (root / "scripts").mkdir(exist_ok=True)
    shutil.copy2(ROOT / "scripts/clean", root / "scripts")
    variables = {
        "PATH": f"{root / 'bin'}:{os.environ['PATH']}",
        "ASKED": str(root / "asked"),
        "BASECOMMERCE_CACHE": str(root / "cache"),
    }
    return subprocess.run([root / "scripts/clean"], env=variables, capture_output=True, text=True, check=False)


def test_it_removes_the_cache_and_each_image_before_the_one_it_was_built_on(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / ".venv").mkdir()
    done = clean(tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "asked").read_text() == "--force newest middle oldest\n"
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / ".venv").exists()


def test_it_touches_nothing_while_a_local_stack_exists(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / ".local/local").mkdir(parents=True)
    (tmp_path / ".local/local/cloud.json").touch()
    done = clean(tmp_path)
    assert done.returncode == 2
    assert "hint: make down, or basec down --env NAME, first" in done.stderr
    assert (tmp_path / "cache").exists()
    assert not (tmp_path / "asked").exists()
