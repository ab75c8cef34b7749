"""New values for secrets in use: what a step holds, what is refused, and that each step goes out before the next."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from basec.environments import Environment
from basec.secrets import rotation
from tests.cli.conftest import Run
from tests.unit.topology_support import project, secret_values
from topology.errors import UsageError
from topology.secrets import check_secrets
from topology.tls import pull_authorities, pull_leaf


class Stack:
    """What a stack's file is to a rotation."""

    domain = project().settings.domain

    def __init__(self) -> None:
        self.values = dict(secret_values())
        self.written: list[Mapping[str, str]] = []

    def secret(self, key: str) -> str:
        return self.values[key.removeprefix("basecommerce:")]

    def add_secrets(self, values: Mapping[str, str]) -> None:
        self.written.append(values)
        self.values.update(values)


def rotated(*names: str) -> tuple[Stack, list[dict[str, str]]]:
    """Rotate, and give what the stack's secrets were at each `up`."""
    stack: Any = Stack()
    seen: list[dict[str, str]] = []
    rotation.rotate(stack, names, lambda _: seen.append(dict(stack.values)))
    return stack, seen


@pytest.mark.parametrize("names", [("token_key",), ("database_password_auth", "redis_password_relay")])
def test_new_passwords_go_out_by_one_up_and_all_else_stays(names: tuple[str, ...]) -> None:
    stack, seen = rotated(*names)
    assert len(seen) == 1
    assert [set(step) for step in stack.written] == [set(names)]
    assert all(stack.values[name] != secret_values()[name] for name in names)
    check_secrets(project(), stack.values)


def test_the_edges_key_and_its_request_are_one_step() -> None:
    stack, seen = rotated("origin_private_key")
    assert [set(step) for step in stack.written] == [{"origin_private_key", "origin_csr"}]
    check_secrets(project(), seen[0])


def test_the_client_certificate_goes_out_so_that_each_side_knows_what_the_other_shows() -> None:
    old = secret_values()["origin_pull_certificate"]
    _, (first, second, third) = rotated("origin_pull_certificate", "token_key")
    for values in (first, second, third):
        check_secrets(project(), values)
    chains = [values["origin_pull_certificate"] for values in (first, second, third)]
    assert pull_leaf(chains[0]) == pull_leaf(old)
    assert pull_leaf(chains[1]) == pull_leaf(chains[2]) != pull_leaf(old)
    assert pull_authorities(chains[0]) == pull_authorities(chains[1])  # the edge is not touched between the two
    assert pull_authorities(old) in pull_authorities(chains[0])
    assert pull_authorities(chains[2]) in pull_authorities(chains[0])
    assert pull_authorities(old) not in chains[2]
    assert first["token_key"] == third["token_key"] != secret_values()["token_key"]


def test_a_step_waits_for_the_up_of_the_one_before() -> None:
    stack: Any = Stack()

    def fail(_: int) -> None:
        raise RuntimeError("no up")

    with pytest.raises(RuntimeError):
        rotation.rotate(stack, ["origin_pull_certificate"], fail)
    assert len(stack.written) == 1


@pytest.fixture
def environment(clone: Path) -> Environment:
    return Environment(name="staging", root=clone)


@pytest.mark.parametrize("name", ["demo_password", "login_private_key", "host_key_edge", "digitalocean:token"])
def test_what_needs_a_person_is_refused_with_the_page_that_says_how(environment: Environment, name: str) -> None:
    with pytest.raises(UsageError, match="no command can rotate it") as caught:
        rotation.check(environment, [name])
    page = caught.value.hint.split()[0]
    text = (project().root / page).read_text()
    assert f"`{name}" in text or re.sub("_edge$", "_*", name) in text


@pytest.mark.parametrize(("name", "goes_with"), [("origin_csr", "origin_private_key"), ("origin_pull_private_key", "")])
def test_half_a_pair_is_refused_with_the_other_half(environment: Environment, name: str, goes_with: str) -> None:
    with pytest.raises(UsageError, match="is rotated together with") as caught:
        rotation.check(environment, ["token_key", name])
    assert (goes_with or "origin_pull_certificate") in caught.value.hint


def test_a_name_that_is_no_secret_is_refused_before_anything_is_written(basec: Run) -> None:
    outcome = basec("secrets", "rotate", "redis", "--env", "local")
    assert outcome.code == 2
    assert "basec: 'redis' is not a secret of a stack" in outcome.stderr
    assert "hint: basec secrets list" in outcome.stderr


def test_each_secret_that_init_makes_can_be_rotated_or_is_named_as_one_that_cannot(environment: Environment) -> None:
    for name in secret_values():
        try:
            rotation.check(environment, [name])
        except UsageError as refusal:
            assert "is no secret" not in refusal.message  # noqa: PT017 - both ways are right
