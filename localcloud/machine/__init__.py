"""This machine, as the stand-ins use it: its programs, the networks and records of a cloud, its own containers."""
