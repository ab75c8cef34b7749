"""One file per command group; each has `register(app)`."""
