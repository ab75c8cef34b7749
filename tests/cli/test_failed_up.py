"""A failed `up` under the real engine: ten lines on the screen, the rest in a private log without any secret."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from basec.engine import run_log
from basec.engine.run_log import Mask
from basec.environments import Environment
from basec.secrets.stack_file import StackFile
from tests.cli.dry import LOCAL, DryStack, local_stack_that_is_up
from tests.cli.test_failures import LOCAL as SAID

LOG = f"log: .basec/{LOCAL}/failed-run.log"
HAPROXY = "compose/vertical/haproxy/haproxy.cfg"
EDIT = ("global\n", "global\n  # edited\n")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DryStack]:
    with local_stack_that_is_up(tmp_path_factory) as made:
        yield made


@contextmanager
def fault(stack: DryStack, name: str, error: str) -> Iterator[None]:
    """Let the cloud fail with this error at one resource."""
    path = stack.cloud / "faults.json"
    path.write_text(json.dumps([{"when": "before", "op": "*", "type": "*", "name": name, "error": error}]))
    try:
        yield
    finally:
        path.unlink()


def last(text: str) -> list[str]:
    """Return the lines of the screen."""
    lines = text.splitlines()
    return lines[next(at for at, line in enumerate(lines) if line.startswith("basec: ")) :]


@pytest.mark.engine
def test_a_failed_release_is_told_in_ten_lines_and_the_log_has_the_rest(stack: DryStack) -> None:
    environment = Environment(name=LOCAL, root=stack.root)
    password = StackFile(environment).secret("basecommerce:redis_password")
    with stack.edited(HAPROXY, EDIT), fault(stack, "vertical-stack-activation", f"{SAID}\nwith {password}"):
        said = stack.basec("up", code=1).stderr
    assert last(said) == [
        f"basec: {LOCAL}: up failed; 21 resources after it were not reached",
        "vertical: nginx: restarting",
        '  nginx: [emerg] host not found in upstream "10.77.0.2" in /etc/nginx/nginx.conf:12 (2 times)',
        "  the previous release serves again (60b719302a98)",
        LOG,
        f"hint: fix the cause, then basec up --env {LOCAL}; more: basec explain BC-E090",
    ]
    path = environment.facts_dir / run_log.NAME
    log = path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert "expected resource operations for urn:pulumi:" in log
    assert "FAILED update urn:pulumi:" in log
    assert "with [secret]" in log
    assert password not in log + said
    stack.basec("up")


@pytest.mark.engine
def test_a_fault_of_this_machine_is_told_once_with_the_doctors_remedy(stack: DryStack) -> None:
    error = "losetup: exit code 1: losetup: cannot find an unused loop device"
    with stack.edited("inventory.yaml", ("size_gib: 10", "size_gib: 20")), fault(stack, "infra-volume", error):
        screen = last(stack.basec("up", code=1).stderr)
    assert screen[1:3] == [f"infra: volume: {error}", LOG]
    assert screen[3].startswith("hint: modprobe loop")
    assert len(screen) == 4
    stack.basec("up")


def test_a_secret_of_several_lines_is_hidden_line_by_line() -> None:
    mask = Mask(["-----BEGIN KEY-----\nabcdefghijklmnopqrst\n-----END KEY-----\n", "short"])
    assert mask.clean("key abcdefghijklmnopqrst and short") == "key [secret] and [secret]"
    assert mask.clean(repr("-----BEGIN KEY-----\nabcdefghijklmnopqrst\n-----END KEY-----")) == "'[secret]'"
