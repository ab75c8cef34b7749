"""`python -m basec`, and `python basec` as `bin/basec` runs it: both use the clone that this file lies in."""

import sys
from pathlib import Path

# In the place of what Python put first: what is here, such as `secrets`, would hide Python's own modules.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from basec.main import run  # noqa: E402

run()
