"""Health of auth: does it answer, and does what it answers come from the database? Exit code 0, or 1 and why.

`health.py release` asks more, once for each release: the login page of a tenant, if there is one yet.
Run in auth's own container, whose image brings SQLAlchemy.
"""

import os
import sys
import urllib.error
import urllib.request

TIMEOUT_S = 4
ORIGIN = os.environ.get("HEALTH_ORIGIN", "http://127.0.0.1:8001")
"""Another one is asked by compose/watch.py, from the droplet."""
FORM = "/auth/login/form"
"""Where the page's form posts to (contract 5.2)."""


def ask(path: str, slug: str = "") -> tuple[int, str]:
    """Give status and body of an answer. Raises OSError when there is none."""
    request = urllib.request.Request(f"{ORIGIN}{path}", headers={"X-Tenant-Slug": slug})  # noqa: S310 - our own address
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - our own address
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


def health() -> str:
    """Say what is wrong; empty when nothing is. The tenant need not exist: its name is looked up."""
    status, _ = ask("/tenant.json?health", "health")
    # compose/watchdog.py knows these words: a restart brings no database back.
    return "" if status == 200 else f"waits for the database: /tenant.json: {status}"


def release() -> str:
    """Say what a tenant's visitors would miss."""
    from sqlalchemy import create_engine, text  # noqa: PLC0415 - half a second that the check of every 10 s saves

    with create_engine(os.environ["DATABASE_URL"]).connect() as connection:
        slug = connection.scalar(text("SELECT slug FROM tenants WHERE ativo ORDER BY created_at LIMIT 1"))
    if slug is None:
        return ""
    status, page = ask("/login", slug)
    if status != 200:
        return f"/login of {slug}: {status}"
    return "" if FORM in page else f"/login of {slug}: no form that posts to {FORM}"


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
