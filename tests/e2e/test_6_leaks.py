"""No secret is anywhere but where it is used: each generated secret of the stack is looked for, in every form."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path

import pytest

from basec.environments import Environment
from basec.stack_file import StackFile
from tests.e2e.canaries import hits, needles_of
from tests.e2e.stack import STACK, TIERS, LocalStack, docker

pytestmark = pytest.mark.real

SAMPLE_S = 0.02
"""Seconds between two looks at every process's arguments: 50 a second."""
CLOUD_INIT = "/var/lib/cloud /run/cloud-init /var/log/cloud-init.log /var/log/cloud-init-output.log"
READABLE = "find / -xdev -type f -perm -o+r -size -4M -not -path '/proc/*' -not -path '/sys/*' -not -path '/usr/*'"
EDIT = "\n# edited for a test\n"


@pytest.fixture(scope="module")
def needles(stack: LocalStack) -> dict[bytes, str]:
    file = StackFile(Environment(name=STACK, root=stack.root))
    names = [name if ":" in name else f"basecommerce:{name}" for name in file.secret_names]
    secrets = {name.removeprefix("basecommerce:"): file.secret(name) for name in names}
    assert {"postgres_password", "redis_password", "token_key", "login_private_key", "host_key_edge"} <= set(secrets)
    secrets["passphrase"] = (stack.root / ".local" / STACK / "passphrase").read_text()
    # The demo user's is shown on purpose; the tokens of a local stack are obvious fakes.
    no_secrets = {"demo_password", "digitalocean:token", "cloudflare:apiToken"}
    return needles_of({name: value for name, value in secrets.items() if name not in no_secrets})


class Watch(threading.Thread):
    """Collects the arguments of every process on the machine, those in the droplets among them, while it runs."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: set[bytes] = set()
        self.samples = 0
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.add(path.read_bytes())
                except OSError:
                    continue  # it has ended
            self.samples += 1
            time.sleep(SAMPLE_S)

    def finish(self) -> bytes:
        self._over.set()
        self.join()
        return b"\n".join(self.seen)


@pytest.fixture(scope="module")
def runs(stack: LocalStack) -> dict[str, bytes]:
    """Activate every tier anew, successfully and not, and give outputs and arguments; the tree is restored."""
    files = [stack.root / f"compose/{tier}" for tier in TIERS]
    edited = [files[0] / "redis/redis.conf", files[1] / "haproxy/haproxy.cfg", files[2] / "nginx/nginx.conf"]
    before = {path: path.read_text() for path in edited}
    watch = Watch()
    watch.start()
    started = time.monotonic()
    try:
        for path in edited:
            path.write_text(before[path] + EDIT)
        outputs = {"up": stack.basec("--verbose", "up", "--env", STACK)}
        edited[1].write_text(before[edited[1]] + "\nthis is no configuration\n")
        outputs["failing up"] = stack.basec("--verbose", "up", "--env", STACK, expect=1)
    finally:
        for path, text in before.items():
            path.write_text(text)
        outputs["healing up"] = stack.basec("up", "--env", STACK)
        seconds = time.monotonic() - started
        arguments = watch.finish()
    assert watch.samples / seconds > 5, "too few looks to have seen anything"
    assert b"release.py" in arguments, "no activation was seen"
    return {**{name: text.encode() for name, text in outputs.items()}, "arguments of processes": arguments}


def inside(stack: LocalStack, droplet: str, command: str) -> bytes:
    whole = ["docker", "exec", stack.container(droplet), "bash", "-c", command]
    return subprocess.run(whole, capture_output=True, check=False, timeout=120).stdout


def test_no_secret_is_in_the_output_of_a_run_or_in_the_arguments_of_a_process(
    runs: dict[str, bytes], needles: dict[bytes, str]
) -> None:
    assert {name: hits(needles, content) for name, content in runs.items()} == {name: set() for name in runs}


def test_no_secret_is_in_clear_in_the_stacks_directory_but_the_passphrase_in_its_file(
    stack: LocalStack, runs: dict[str, bytes], needles: dict[bytes, str]
) -> None:
    found = {}
    for top in (stack.root / ".local" / STACK, stack.root / ".basec" / STACK):
        for path in top.rglob("*"):
            if path.is_file() and path.stat().st_size < 64 * 2**20 and "volumes" not in path.parts:
                found[str(path.relative_to(stack.root))] = hits(needles, path.read_bytes())
    assert len(found) > 20
    bad = {path: names for path, names in found.items() if names}
    assert bad == {f".local/{STACK}/passphrase": {"passphrase (raw)", "passphrase (shell)", "passphrase (URL)"} & {
        name for names in bad.values() for name in names}}, bad  # fmt: skip
    assert (stack.root / ".local" / STACK / "passphrase").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("droplet", TIERS)
def test_no_secret_is_in_a_droplets_journal_logs_or_container_settings(
    stack: LocalStack, runs: dict[str, bytes], needles: dict[bytes, str], droplet: str
) -> None:
    looked = {
        "journal": "journalctl --no-pager",
        "docker logs": "for c in $(docker ps -aq); do docker logs $c 2>&1; done",
        "docker inspect": "docker ps -aq | xargs docker inspect; docker image ls -q | xargs docker image inspect",
        "docker history": "for i in $(docker image ls -q); do docker history --no-trunc $i; done",
        "environment of processes of others": "systemctl show-environment",
    }
    contents = {name: inside(stack, droplet, command) for name, command in looked.items()}
    assert all(contents.values())
    assert {name: hits(needles, content) for name, content in contents.items()} == {name: set() for name in looked}


@pytest.mark.parametrize("droplet", TIERS)
def test_the_host_key_is_scrubbed_from_cloud_inits_files_and_nothing_else_was_ever_there(
    stack: LocalStack, needles: dict[bytes, str], droplet: str
) -> None:
    content = inside(stack, droplet, f"find {CLOUD_INIT} -type f | xargs cat")
    assert b"basec" in content, "cloud-init's files were read"
    assert hits(needles, content) == set()


@pytest.mark.parametrize("droplet", TIERS)
def test_no_file_that_everybody_may_read_holds_a_secret(
    stack: LocalStack, needles: dict[bytes, str], droplet: str
) -> None:
    content = inside(stack, droplet, f"{READABLE} -print0 | xargs -0 cat 2>/dev/null")
    assert b"basecommerce" in content
    assert hits(needles, content) == set()


@pytest.mark.parametrize("droplet", TIERS)
def test_the_machine_shows_no_secret_of_a_droplet(stack: LocalStack, needles: dict[bytes, str], droplet: str) -> None:
    container = stack.container(droplet)
    image = docker("inspect", "--format", "{{.Image}}", container).strip()
    shown = docker("inspect", container) + docker("history", "--no-trunc", image) + docker("logs", container)
    assert hits(needles, shown.encode()) == set()
