"""`python -m basec` is the same as `basec`."""

from basec.main import run

run()
