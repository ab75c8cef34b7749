"""`python -m basec`, and `python basec` as `bin/basec` runs it: both use the clone that this file lies in."""

import sys
from pathlib import Path

# Replaces the directory that Python put first: modules in it, such as `secrets`, would hide Python's own.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from basec.main import run  # noqa: E402

run()
