"""Where the state of a stack is kept. basec and plain `pulumi` look in the same places, in the same order.

1. PULUMI_BACKEND_URL; 2. `backend: url:` in Pulumi.yaml; 3. whatever `pulumi login` chose. See docs/state.md.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from basec.environments import Environment
from basec.io.files import NO_DOCUMENT
from basec.secrets.stack_file import read_mapping
from topology.names import PROJECT

URL_VARIABLE = "PULUMI_BACKEND_URL"
FILE_SCHEME = "file://"
DOCS = "docs/state.md"


def url_of(environment: Environment) -> str:
    """Return the back-end's URL; empty when only `pulumi login` has chosen one. Raises ConfigurationError."""
    if environment.is_contained:
        # No metadata files: a kill while one is written leaves it empty, and then no command can read
        # the checkpoint beside it any more (`failed to load checkpoint: EOF`).
        return f"{FILE_SCHEME}{environment.work_dir / 'state'}?metadata=skip"
    if named := os.environ.get(URL_VARIABLE):
        return named
    backend = read_mapping(environment.work_dir / "Pulumi.yaml").get("backend")
    return str(backend.get("url") or "") if isinstance(backend, dict) else ""


def described(environment: Environment) -> str:
    """Return the back-end for a message, without the credentials and options of its URL."""
    url = url_of(environment)
    if not url:
        return "the back-end of `pulumi login`"
    return re.sub(r"//[^/@]*@", "//", url.partition("?")[0])


def directory_of(environment: Environment) -> Path | None:
    """Return the directory of a `file://` back-end, None for any other."""
    url = url_of(environment)
    if not url.startswith(FILE_SCHEME):
        return None
    path = url.removeprefix(FILE_SCHEME).partition("?")[0]
    if path.startswith("~"):
        # As the engine does: the account's home, whatever HOME says.
        path = pwd.getpwuid(os.getuid()).pw_dir + path[1:]
    # The engine runs in the work directory, so a relative path starts there.
    return environment.work_dir / path


def writable_directory_of(environment: Environment) -> Path | None:
    """Return the directory of a `file://` back-end, made if its URL asks for that; None where nothing can be written.

    One that is missing and must not be made is left to the engine, which reports what is wrong with the URL.
    """
    directory = directory_of(environment)
    if directory is None:
        return None
    if parse_qs(urlsplit(url_of(environment)).query).get("create_dir") == ["true"]:
        with contextlib.suppress(OSError):
            directory.mkdir(parents=True, exist_ok=True)
    return directory if os.access(directory, os.W_OK) else None


def lock_directory(environment: Environment) -> Path | None:
    """Return the directory with the locks of a stack in a `file://` back-end."""
    directory = directory_of(environment)
    return directory and directory / ".pulumi" / "locks" / "organization" / PROJECT / environment.name


def state_of(environment: Environment) -> dict[str, Any] | None:
    """Read the state of a stack from a `file://` back-end; None where only the engine can, or there is none."""
    directory = directory_of(environment)
    if directory is None:
        return None
    try:
        path = directory / ".pulumi" / "stacks" / PROJECT / f"{environment.name}.json"
        latest = json.loads(path.read_text())["checkpoint"]["latest"]
    except (OSError, *NO_DOCUMENT):
        return None
    return latest if isinstance(latest, dict) else None


def is_pulumi_cloud(environment: Environment) -> bool:
    """Whether the state is in Pulumi Cloud, whose messages differ from the others'."""
    return urlsplit(url_of(environment)).scheme in {"https", "http"}
