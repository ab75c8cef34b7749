"""Programs that run on a droplet: sent over SSH on standard input, run as root by Debian's own Python.

Standard library only, and nothing of ours, since nothing but their own text arrives there.
"""
