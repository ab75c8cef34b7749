"""Input and output of this process: the terminal, files, and programs that it starts."""
