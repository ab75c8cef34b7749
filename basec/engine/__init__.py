"""Pulumi: previews, plans, and what an `up` changes; where the state is, and who holds it."""
