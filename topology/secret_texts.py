"""What a secret in clear looks like, in any file. No message ever holds one: callers report only the place."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

SECRET_TEXT = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY-----|do[opr]_v1_[0-9a-f]{64}|gh[pousr]_[A-Za-z0-9]{20,}"
    rb"|github_pat_[A-Za-z0-9_]{22,}|glpat-[A-Za-z0-9_-]{20,}|AKIA[0-9A-Z]{16}|xox[abeprs]-[A-Za-z0-9-]{10,}"
    rb"|[rs]k_live_[A-Za-z0-9]{16,}|AIza[A-Za-z0-9_-]{35}|npm_[A-Za-z0-9]{36}|SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"
    rb"|eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\."
)
"""Private keys, and tokens of DigitalOcean, GitHub, GitLab, AWS, Slack, Stripe, Google, npm, SendGrid and JSON Web
Tokens. Source of the forms: https://github.com/gitleaks/gitleaks (config/gitleaks.toml)."""
STARTS = (
    *(b"PRIVATE KEY", b"_v1_", b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_", b"github_pat_", b"glpat-", b"AKIA"),
    *(b"xox", b"k_live_", b"AIza", b"npm_", b"SG.", b"eyJ"),
)
"""All that `SECRET_TEXT` finds contains one of these: a search for plain bytes is 20 times as fast."""

SECRET_KEY = re.compile(
    r"(^|[._:-])(api_?|access_?|auth_?|private_?|secret_?)?"
    r"(token|tokens|pass|pwd|password|passwd|passphrase|secrets?|credentials?|dsn)$"
    r"|(private|secret|access|token|api|signing|host|origin)_?keys?(_[a-z_]+)?$",
    re.IGNORECASE,
)
"""The last part of a key that holds a secret; `public_key` and `zone_id` do not match."""
SECRET_VARIABLE = re.compile(
    r"(^|_)(token|pass|pwd|pw|password|passwd|passphrase|secret|credentials?|auth|dsn|(private|secret|access|api|signing)"
    r"_?key)(_|$)|password$|passwd$",
    re.IGNORECASE,
)
"""The same for a container's environment, where words follow one another: `PGPASSWORD`, `SECRET_KEY_BASE`."""
USER_IN_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s@{$]+@")
_VALUE = r"[\"']?[A-Za-z0-9][^\s\"'$<{]{5,}"
_NAME = r"(?:password|passwd|passphrase|secret|token|api_?key)"
ASSIGNED = re.compile(
    rf"{_NAME}[\"']?(?:\s*=\s*|:\s*){_VALUE}|--[\w-]*{_NAME}\s+{_VALUE}|(?:requirepass|masterauth)\s+{_VALUE}"
    r"|password\s+'[^':]{4,}'",
    re.IGNORECASE,
)
"""A password after its name, in a command or a configuration file: `--requirepass hunter2`, `PASSWORD 'hunter2'`."""
RANDOM = re.compile(
    r"(?<![\w/.-])(?:(?=\S*[a-z])(?=\S*[A-Z])(?=\S*\d)[A-Za-z0-9+_-]{20,}={0,2}|[0-9a-f]{32,})(?![\w/.-])"
)
"""What looks random: 20 or more lower-case letters, capitals and digits, or 32 hexadecimal digits."""
SECRET_PATH = "/run/secrets/"  # noqa: S105 - a directory
GIVEN = re.compile(r"\$\{\w+(:?\?[^}]*)?\}")
"""A variable that release.py or the settings set; a default written after it would be in clear."""
COMMANDS = ("command", "entrypoint", "test")
UNREAD = ("tests/",)
"""Its secrets are made up."""
LARGEST = 1_000_000
"""Bytes of a file that is still read."""
LONGEST = 200
"""Characters of a value that a message shows."""


def holds_secret(data: bytes) -> bool:
    """Return whether a file's bytes hold a private key or a token."""
    return any(start in data for start in STARTS) and SECRET_TEXT.search(data) is not None


def text_is_secret(text: str) -> bool:
    """Return whether a text holds a private key, a token, or a URL with a password."""
    return holds_secret(text.encode()) or USER_IN_URL.search(text) is not None


def variable_is_secret(name: str, value: str) -> bool:
    """Return whether a container's variable holds a secret; the path of a file with a secret is none."""
    in_file = value.startswith(SECRET_PATH) or (name.upper().endswith("_FILE") and value.startswith("/"))
    if not value or in_file or GIVEN.fullmatch(value):
        return False
    named = SECRET_VARIABLE.search(name)
    # A number is a secret in `DB_PASSWORD`, but not in `TOKEN_SECONDS`.
    harmless = value.lower() in _SWITCHES or (value.isdigit() and named and named.end() < len(name))
    return (named is not None and not harmless) or words_are_secret(value) or RANDOM.search(value) is not None


_SWITCHES = frozenset({"true", "false", "yes", "no", "on", "off", "scram-sha-256"})
"""Values of variables such as `AUTH_ENABLED` and `POSTGRES_HOST_AUTH_METHOD`."""


def words_are_secret(text: str) -> bool:
    """Return whether a command or a line of a configuration file holds a secret."""
    return text_is_secret(text) or ASSIGNED.search(text) is not None


def shown(text: str) -> str:
    """Return a text as messages may show it: on one line, without anything that looks like a secret."""
    line = " ".join(text.split())
    if words_are_secret(line):
        return f"{line.partition(':')[0]}: (not shown, since it looks like a secret)"
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}..."


def strings_of(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the path and text of every string or number, e.g. `services.nginx.tmpfs.0`; a command is one text."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from strings_of(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple) and path.rpartition(".")[2] in COMMANDS:
        yield path, " ".join(map(str, value))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from strings_of(item, f"{path}.{index}")
    elif isinstance(value, str | int) and not isinstance(value, bool):
        yield path, str(value)


def tracked_secrets(root: Path) -> Iterator[str]:
    """Yield the files tracked by git that hold a key or a token; outside a clone there are none."""
    # In a hook, GIT_* variables point to another index; the owner of the tree may be another user, as in a container.
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    words = [option for start in STARTS for option in ("-e", start.decode())]
    # Git searches beside Python, and in a fifth of the time.
    command = ["git", "-c", "safe.directory=*", "-C", str(root), "grep", "--no-color", "-lzaF", *words]
    try:
        found = subprocess.run(command, capture_output=True, check=False, env=own).stdout
    except OSError:
        return
    for name in sorted(filter(None, found.decode().split("\0"))):
        path = root / name
        if name.startswith(UNREAD) or path.is_symlink() or not path.is_file() or path.stat().st_size > LARGEST:
            continue
        if holds_secret(path.read_bytes()):
            yield name
