"""Reference implementation of the engines worker: messages of a Redis stream become facts, alerts and suggestions."""
