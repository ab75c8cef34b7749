"""One command, or one group of commands, a file: named as it is typed, with `register(app)`. None imports another."""
