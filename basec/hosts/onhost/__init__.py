"""Programs that run on a droplet: sent over SSH on standard input, run as root by Debian's own Python.

Standard library only, and no module of ours, since only their own text arrives there.
"""
