"""The tests of the local cloud, and what tests of its users may take: throw-away stacks, machines and certificates."""
