"""A preview as a review: what changes from what to what, on which host, and what that does to the shop."""
