"""Reference implementation of the outbox relay: rows of `event_outbox` become messages of a Redis stream."""
