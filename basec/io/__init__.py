"""What this process speaks with: the terminal, files, and programs that it starts."""
