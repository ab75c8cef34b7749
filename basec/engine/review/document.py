"""A review as a document for scripts; `docs/preview.md` describes its shape."""

from __future__ import annotations

from typing import Any

from basec.engine.review.changes import Change, Review
from basec.engine.review.effects import Effect
from basec.engine.review.sentences import HostChange, by_host


def of(review: Review) -> dict[str, Any]:
    """Return hosts and resources."""
    return {"hosts": list(map(_host, by_host(review))), "resources": list(map(_resource, review.changes))}


def _host(change: HostChange) -> dict[str, Any]:
    return {"host": change.host, "changes": list(change.sentences), "effect": _effect(change.effect)}


def _resource(change: Change) -> dict[str, Any]:
    properties = [
        {
            "path": each.path,
            "kind": each.kind,
            "old": each.old,
            "new": each.new,
            "secret": each.secret,
            "diff": list(each.diff),
        }
        for each in change.properties
    ]
    release = None
    if change.release is not None:
        release = {
            "files": [{"name": file.name, "kind": file.kind, "diff": list(file.diff)} for file in change.release.files],
            "images": [vars(image) for image in change.release.images],
            "services": list(change.release.services),
            "switches": list(change.release.switches),
            "reloads": list(change.release.reloads),
        }
    return {
        "order": change.order,
        "op": change.step.op,
        "resource": change.step.resource,
        "type": change.step.type,
        "urn": change.step.urn,
        "host": change.host,
        "properties": properties,
        "release": release,
        "effect": _effect(change.effect),
    }


def _effect(effect: Effect) -> dict[str, str]:
    return {"kind": effect.kind, "text": effect.text}
