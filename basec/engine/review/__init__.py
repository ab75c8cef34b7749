"""A preview as a review: old and new values, the host, and the effect on the shop."""
