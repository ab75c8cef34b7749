"""No secret is anywhere but where it is used: each generated secret of the stack is looked for, in every form."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.e2e.arguments import watched
from tests.e2e.canaries import cloud_init_files, hits
from tests.e2e.exposure import Exposure
from tests.e2e.stack import REUSED, STACK, TIERS, LocalStack, docker

pytestmark = pytest.mark.real

READABLE = "find / /run /tmp /mnt/data -xdev -type f -perm -o+r -size -4M -not -path '/usr/*'"
"""Without /proc and /sys, which are file systems of their own."""
CLOUDFLARES_OWN = re.compile(r"/cloud/(cloudflare/client-\w+\.pem|documents-origin_pulls_certificate/[\w-]+\.json)$")
"""The stand-in for Cloudflare keeps the key that it was handed to prove itself with, as Cloudflare does."""
EDIT = "\n# edited for a test\n"


@pytest.fixture(scope="module")
def runs(stack: LocalStack) -> dict[str, bytes]:
    """Activate every tier anew, successfully and not, and give outputs and arguments; the tree is restored."""
    files = [stack.root / f"compose/{tier}" for tier in TIERS]
    edited = [files[0] / "redis/redis.conf", files[1] / "haproxy/haproxy.cfg", files[2] / "nginx/nginx.conf"]
    broken = files[1] / "compose.yaml"
    before = {path: path.read_text() for path in [*edited, broken]}
    outputs: dict[str, str] = {}
    with watched() as watch:
        try:
            for path in edited:
                path.write_text(before[path] + EDIT)
            outputs["up"] = stack.basec("--verbose", "up", "--env", STACK)
            broken.write_text(before[broken].replace("construction_app.main:app", "construction_app.gone:app"))
            outputs["failing up, verbose"] = stack.basec("--verbose", "up", "--env", STACK, expect=1)
        finally:
            for path, text in before.items():
                path.write_text(text)
            outputs["healing up"] = stack.basec("up", "--env", STACK)
    assert b"release.py" in watch.arguments, "no activation was seen"
    found = {name: text.encode() for name, text in outputs.items()}
    if not REUSED:
        found |= {name: stack.outputs[name].encode() for name in ("first up", "failing up")}
        found["arguments of processes, first up"] = stack.outputs["first up: arguments"].encode("latin-1")
    return {**found, "arguments of processes": watch.arguments}


def inside(stack: LocalStack, droplet: str, command: str) -> bytes:
    whole = ["docker", "exec", stack.container(droplet), "bash", "-c", command]
    return subprocess.run(whole, capture_output=True, check=False, timeout=120).stdout


def test_no_secret_is_in_the_output_of_a_run_or_in_the_arguments_of_a_process(
    runs: dict[str, bytes], needles: dict[bytes, str]
) -> None:
    shown = {name for name in needles.values() if name.startswith("demo_password ")}  # by `up`, on purpose
    found = {name: hits(needles, content) - (shown if "up" in name else set()) for name, content in runs.items()}
    assert found == {name: set() for name in runs}


def test_no_secret_is_in_clear_in_the_stacks_directory_but_the_passphrase_in_its_file(
    stack: LocalStack, runs: dict[str, bytes], needles: dict[bytes, str]
) -> None:
    found = {}
    for top in (stack.root / ".local" / STACK, stack.root / ".basec" / STACK):
        for path in top.rglob("*"):
            if path.is_file() and path.stat().st_size < 64 * 2**20 and "volumes" not in path.parts:
                found[str(path.relative_to(stack.root))] = hits(needles, path.read_bytes())
    assert len(found) > 20
    kept = [path for path, names in found.items() if names and CLOUDFLARES_OWN.search(path)]
    assert len(kept) == 2
    for name in kept:
        assert {needle.split()[0] for needle in found[name]} == {"origin_pull_private_key"}
        assert (stack.root / name).stat().st_mode & 0o077 == 0
    bad = {path: names for path, names in found.items() if names and path not in kept}
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
    assert hits(needles, cloud_init_files(stack, droplet)) == set()


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


def test_the_matrix_holds_after_releases_that_recreated_containers(exposure: Exposure, runs: dict[str, bytes]) -> None:
    exposure.holds()
