"""Reference implementation of the construction application: the sales side of a building-materials shop."""
