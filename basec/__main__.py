"""`python -m basec`, and `python basec` as `bin/basec` runs it: both use the clone that this file lies in."""

import sys
from pathlib import Path

# In the place of what Python put first: files here, such as http.py, would hide modules of Python with the same name.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from basec.main import run  # noqa: E402

run()
