"""Values of the tracked settings that are examples: they pass every rule, and name nothing that exists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

EXAMPLES: Mapping[tuple[str, ...], tuple[frozenset[str], str]] = {
    ("cloudflare", "zone_id"): (
        frozenset({"b7a2d0c94e1f4f6c8a35d9e2107c6b48", "3c9e51f8a0d24b7796e2b40fd8137a5c"}),
        "the id is on the zone's overview page",
    ),
    ("images", "tag"): (frozenset({"sha-1234567"}), "the tag of a build that was pushed, such as sha-0ab12cd"),
}


def placeholders(settings: object) -> Iterator[tuple[str, str]]:
    """Yield the path of each setting that still has an example as its value, and what belongs there."""
    for path, (examples, what) in EXAMPLES.items():
        value: object = settings
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, str) and value in examples:
            yield ".".join(path), f"'{value}' ({what})"
