"""The change from one container of auth to two colours, and the way back over it, fail no request."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.shopping import Shopping
from tests.e2e.stack import LocalStack

pytestmark = pytest.mark.real

ADDRESS = "172.30.0.10"
"""Of the one container, as it was before there were colours."""
NAMES = "docker ps --all --format '{{.Names}}'"


@pytest.fixture(scope="module")
def edge(stack: LocalStack) -> Iterator[Path]:
    """Yield the folder of the edge's tier; it is as before in the end."""
    folder = stack.root / "compose/edge"
    kept = folder.with_name("edge.kept")
    shutil.copytree(folder, kept)
    yield folder
    shutil.rmtree(folder)
    kept.rename(folder)


def with_one_container(edge: Path) -> None:
    """Let nginx ask auth itself, of which there is one."""
    document = yaml.safe_load((edge / "compose.yaml").read_text())
    services = document["services"]
    auth = {**services["auth-blue"], "networks": {"edge": {"ipv4_address": ADDRESS}}}
    for name in ("auth-blue", "auth-green", "haproxy"):
        del services[name]
    services["auth"] = auth
    (edge / "compose.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    shutil.rmtree(edge / "haproxy")
    nginx = edge / "nginx/nginx.conf"
    text = nginx.read_text()
    nginx.write_text(text.replace("server 172.30.0.20:8001", f"server {ADDRESS}:8001"))
    assert nginx.read_text() != text


def up_while_shopping(stack: LocalStack) -> set[str]:
    """Bring the change up, and return the edge's containers."""
    with Shopping(stack) as shopping:
        stack.up()
    assert shopping.bad == []
    assert min(shopping.asked[name] for name in ("dashboard", "tenant", "login page", "login")) > 1
    return set(stack.inside("edge", NAMES).split())


def test_the_way_back_to_one_container_fails_no_request(stack: LocalStack, edge: Path) -> None:
    with_one_container(edge)
    assert up_while_shopping(stack) == {"edge-nginx-1", "edge-auth-1"}


def test_the_change_to_two_colours_fails_no_request(stack: LocalStack, edge: Path) -> None:
    shutil.rmtree(edge)
    shutil.copytree(edge.with_name("edge.kept"), edge)
    assert up_while_shopping(stack) == {"edge-nginx-1", "edge-haproxy-1", "edge-auth-blue-1"}
    assert stack.serving("edge", "auth") == "edge-auth-blue-1"
