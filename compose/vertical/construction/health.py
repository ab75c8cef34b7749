"""Health of construction: does it answer, and does what it answers come from the database? Exit code 0, or 1 and why.

`health.py release` asks more, once for each release: the dashboard's page, and that nobody sees it without a login.
The questions are those of somebody who is logged in to a shop that does not exist, so every figure is zero. Run in
construction's own container, which has the key that such a login is signed with. Standard library only.
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
import urllib.error
import urllib.request

TIMEOUT_S = 4
ORIGIN = os.environ.get("HEALTH_ORIGIN", "http://127.0.0.1:8000")
"""Another one is asked by compose/watch.py, from the droplet."""
NOBODY = "00000000-0000-0000-0000-000000000000"
DASHBOARD = "/web/dashboard"


class StayHere(urllib.request.HTTPRedirectHandler):
    """Redirects are answers here."""

    def redirect_request(self, *_: object) -> None:
        return None


def token() -> str:
    """Make a login of a minute (contract 5.1)."""
    claims = {"sub": NOBODY, "tenant_id": NOBODY, "email": "health@localhost", "role": "vendedor"}
    parts = ({"alg": "HS256", "typ": "JWT"}, {**claims, "exp": int(time.time()) + 60})
    signed = b".".join(encoded(json.dumps(part).encode()) for part in parts)
    signature = hmac.digest(os.environ["SECRET_KEY"].encode(), signed, hashlib.sha256)
    return (signed + b"." + encoded(signature)).decode()


def encoded(data: bytes) -> bytes:
    """Give it as a token's parts are written."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def ask(path: str, **headers: str) -> tuple[int, str]:
    """Give status of an answer, and where it sends to. Raises OSError when there is none."""
    request = urllib.request.Request(f"{ORIGIN}{path}", headers=headers)  # noqa: S310 - our own address
    try:
        with urllib.request.build_opener(StayHere).open(request, timeout=TIMEOUT_S) as answer:
            return answer.status, ""
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("Location") or ""


def health() -> str:
    """Say what is wrong; empty when nothing is."""
    status, _ = ask("/api/v1/dashboard/?health", Authorization=f"Bearer {token()}")
    # compose/watchdog.py knows these words: a restart brings no database back.
    return "" if status == 200 else f"waits for the database: /api/v1/dashboard/: {status}"


def release() -> str:
    """Say what a shop's people would miss."""
    status, _ = ask(DASHBOARD, Cookie=f"access_token={token()}")
    if status != 200:
        return f"{DASHBOARD}, logged in: {status}"
    status, target = ask(DASHBOARD)
    return "" if status == 302 and target.endswith("/auth/login") else f"{DASHBOARD}, not logged in: {status} {target}"


def main(arguments: list[str]) -> int:
    """Ask, and print the answer in one line."""
    try:
        problem = health() or (release() if arguments == ["release"] else "")
    except Exception as error:  # whatever it is, it is no good health
        problem = f"{type(error).__name__}: {error}".splitlines()[0]
    print(problem or "ok")
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
