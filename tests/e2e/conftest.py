"""One set of real droplets for the whole end-to-end run: up, no change, edit, break, reboot, down."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from basec.environments import Environment
from basec.secrets.stack_file import StackFile
from tests.e2e import waits
from tests.e2e.canaries import needles_of
from tests.e2e.exposure import Exposure, exposed
from tests.e2e.stack import LANE, REUSED, STACK, LocalStack

PUBLIC = ("origin_csr", "origin_pull_certificate")
"""Kept among the secrets, but they hold public keys only: everybody who connects is shown them."""
REPOSITORY = Path(__file__).resolve().parents[2]


def copy_tree(target: Path) -> None:
    """Copy what git would commit, so that tests can edit files without touching anyone's work.

    Commands are run as people run them, by the copy's own `bin/basec`; its virtual environment is the one of this run.
    """
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
    ).stdout.decode()
    for name in filter(None, listed.split("\0")):
        source = REPOSITORY / name
        if source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
    (target / ".venv").symlink_to(sys.prefix)


@pytest.fixture(scope="session")
def stack() -> Iterator[LocalStack]:
    """Yield the stack's command runner. The tree lies at a fixed place: a run that was killed is healed by the next."""
    work = Path(os.environ.get("BASECOMMERCE_E2E", "/var/tmp/basecommerce-e2e")) / STACK
    if REUSED:
        logs = work / "logs-reused"
        logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        yield LocalStack(REPOSITORY, logs)
        return
    root = work / "tree"
    logs = work / "logs"
    stack = LocalStack(root, logs)
    if root.exists():
        stack.logs.mkdir(parents=True, exist_ok=True)
        stack.basec("down", "--env", STACK, expect=None)
        shutil.rmtree(work)
    logs.mkdir(parents=True, mode=0o700)
    copy_tree(root)
    if LANE == 2 and not waits.AS_SHIPPED:
        waits.shorten(root)
    yield stack
    stack.basec("down", "--env", STACK)


@pytest.fixture(scope="module")
def exposure(stack: LocalStack) -> Iterator[Exposure]:
    with exposed(stack) as found:
        yield found


@pytest.fixture(scope="module")
def needles(stack: LocalStack) -> dict[bytes, str]:
    """Return every secret of the stack in every form, and the name of each form."""
    file = StackFile(Environment(name=STACK, root=stack.root))
    names = [name if ":" in name else f"basecommerce:{name}" for name in file.secret_names]
    secrets = {name.removeprefix("basecommerce:"): file.secret(name) for name in names}
    assert {"database_password_auth", "login_private_key", "host_key_edge", "digitalocean:token"} <= set(secrets)
    for public in PUBLIC:
        del secrets[public]
    secrets["passphrase"] = (stack.root / ".local" / STACK / "passphrase").read_text()
    return needles_of(secrets)
