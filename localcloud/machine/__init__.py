"""This machine, as the stand-ins use it: its programs, a cloud's networks and records, its own containers."""
