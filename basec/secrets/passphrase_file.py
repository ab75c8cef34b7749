"""Where a stack's passphrase is looked for, and how it is made. Pulumi's own order, so that plain `pulumi` agrees.

1. the variable PULUMI_CONFIG_PASSPHRASE; 2. the file that PULUMI_CONFIG_PASSPHRASE_FILE names; 3. our default file.
A local stack and a dry run have their own file and ignore the variables.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from basec.environments import Environment
from basec.io.files import write_private
from topology.errors import ConfigurationError, Problem

FILE_VARIABLE = "PULUMI_CONFIG_PASSPHRASE_FILE"
VARIABLE = "PULUMI_CONFIG_PASSPHRASE"
PASSPHRASE_BYTES = 24
"""192 bits: at a million rounds per guess, nobody can pay for guessing it."""
LOST = "docs/runbooks/lost-passphrase.md"


def path_of(environment: Environment) -> Path:
    """Return the file, whether it exists or not."""
    named = "" if environment.keeps_passphrase else os.environ.get(FILE_VARIABLE)
    return Path(named) if named else environment.passphrase_file


def variables(environment: Environment) -> dict[str, str]:
    """Return the variables that let the engine find the same passphrase."""
    if not environment.keeps_passphrase and VARIABLE in os.environ:
        return {}
    return {FILE_VARIABLE: str(path_of(environment))}


def read(environment: Environment) -> str:
    """Return the passphrase. Raises ConfigurationError with the place where it was expected."""
    if not environment.keeps_passphrase and VARIABLE in os.environ:
        return os.environ[VARIABLE]
    path = path_of(environment)
    try:
        text = path.read_text().strip()
        wrong = "" if text and "\0" not in text else "contains no passphrase"
    except OSError as error:
        wrong = str(error.strerror)
    except UnicodeDecodeError:
        wrong = "is not a text file"
    if not wrong:
        return text
    if environment.is_local:
        hint = f"basec down --env {environment.name} and make up start again from nothing"
    else:
        hint = f"restore the file, or set {FILE_VARIABLE}; is it lost for good? {LOST}"
    raise problem(environment, f"{path}: {wrong}", hint)


def make(environment: Environment) -> Path | None:
    """Create the passphrase if there is none yet, readable by its owner only; return the file if created."""
    if not environment.keeps_passphrase and VARIABLE in os.environ:
        return None
    path = path_of(environment)
    if path.exists():
        return None
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(path, secrets.token_urlsafe(PASSPHRASE_BYTES) + "\n")
    return path


def problem(environment: Environment, message: str, hint: str) -> ConfigurationError:
    """Build the error about the passphrase of an environment."""
    return ConfigurationError(
        [Problem(file=environment.stack_file.name, path="passphrase", message=message, hint=hint)]
    )
