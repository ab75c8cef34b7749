"""Turns an edge's maintenance page on or off, and prints what was and what is as one JSON object.

Arguments: `on`, `off` or `status`, the directory, the port of nginx here, and a name that it serves. With `on`,
standard input has a JSON object: the `page`, and its `record` for operators.

nginx looks for the page at each request (compose/edge/nginx/maintenance.conf), so it is written last and removed first.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import sys
from pathlib import Path
from typing import Any

PAGE = "maintenance.html"
RECORD = "maintenance_by.json"
"""Nginx cannot read it: it names people."""
TIMEOUT_S = 5
KEPT = ("since", "by")
"""Of a record: what a second `on` leaves as it was."""


def main(action: str, directory: str, port: str, name: str, said: bytes) -> None:
    """Do it, and print the object. Raises OSError."""
    place = Path(directory)
    before = after = state(place)
    works: bool | None = None
    if action == "on":
        if not place.is_dir():
            sys.exit(f"{directory}: is not there: `up` makes it")
        wanted = json.loads(said)
        put(place / RECORD, json.dumps(wanted["record"] | kept(before)), 0o600)
        put(place / PAGE, wanted["page"], 0o644)
        works = shows_the_page(int(port), name)
        if works is False and before is None:  # its release does not know the page: leave nothing for the next one
            remove(place)
        after = state(place)
    elif action == "off":
        remove(place)
        after = state(place)
    print(json.dumps({"before": before, "after": after, "works": works}))  # noqa: T201 - its output is its interface


def state(place: Path) -> str | None:
    """Return the record as it is written, perhaps empty; None while maintenance is off, whatever was left."""
    if not (place / PAGE).is_file():
        return None
    with contextlib.suppress(OSError):
        return (place / RECORD).read_text(errors="replace")
    return ""


def kept(before: str | None) -> dict[str, Any]:
    """Return what stays of a record; nothing of a damaged one."""
    with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
        known = json.loads(before or "")
        return {key: known[key] for key in KEPT}
    return {}


def put(path: Path, text: str, mode: int) -> None:
    """Write a file that appears at once and whole."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), mode)  # whatever the umask is
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)


def remove(place: Path) -> None:
    """Remove both files."""
    for name in (PAGE, RECORD):
        (place / name).unlink(missing_ok=True)


def shows_the_page(port: int, name: str) -> bool | None:
    """Return whether nginx answers with the page; None if it does not answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/", headers={"Host": name})
        answer = connection.getresponse()
        return answer.status == http.HTTPStatus.SERVICE_UNAVAILABLE and answer.getheader("Retry-After") is not None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], sys.stdin.buffer.read())
