"""`python -m basec`, and `python basec` as `bin/basec` runs it: both use the clone that this file lies in."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from basec.main import run

run()
