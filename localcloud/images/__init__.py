"""The images of the local cloud: one Debian root file system, and thin layers on it."""
