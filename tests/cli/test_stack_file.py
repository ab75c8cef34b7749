"""The settings file of one environment: read strictly, secrets sealed, written as a whole or not at all."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import yaml

from basec.environments import Environment
from basec.stack_file import StackFile, read_mapping, write_private
from topology.errors import ConfigurationError


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    environment = Environment(name="local", root=tmp_path)
    write_private(environment.passphrase_file, "a passphrase\n")
    write_private(environment.stack_file, "config:\n  basecommerce:settings: {domain: localhost}\n")
    return environment


def refusal(path: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read_mapping(path)
    return caught.value.render()


def test_a_key_that_is_twice_is_refused_with_both_lines(environment: Environment) -> None:
    environment.stack_file.write_text("config:\n  basecommerce:a: {secure: x}\n  basecommerce:a: {secure: y}\n")
    text = refusal(environment.stack_file)
    assert text.startswith("Pulumi.local.yaml: is not valid YAML: line 3, column 3: ")
    assert "the key 'basecommerce:a' is twice in this table, first in line 2" in text
    assert "\nhint: " in text


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("- a\n", "Pulumi.local.yaml: holds a list, wanted a mapping\nhint: see Pulumi.local.yaml"),
        ("", "Pulumi.local.yaml: holds a NoneType, wanted a mapping\nhint: see Pulumi.local.yaml"),
    ],
)
def test_anything_but_a_mapping_is_refused(environment: Environment, content: str, wanted: str) -> None:
    environment.stack_file.write_text(content)
    assert refusal(environment.stack_file) == wanted


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "Pulumi.staging.yaml").startswith("Pulumi.staging.yaml: there is no such file in ")


def test_a_secret_comes_back_and_is_not_in_the_text(environment: Environment) -> None:
    stack = StackFile(environment)
    stack.set_secret("basecommerce:token_key", "in clear")
    stack.write()
    text = environment.stack_file.read_text()
    assert "in clear" not in text
    again = StackFile(environment)
    assert again.secret("basecommerce:token_key") == "in clear"
    assert again.secret_names == {"token_key"}
    assert again.settings == {"domain": "localhost"}


def test_a_secret_that_is_not_set_names_the_command(environment: Environment) -> None:
    with pytest.raises(ConfigurationError) as caught:
        StackFile(environment).secret("digitalocean:token")
    assert caught.value.render() == (
        "Pulumi.local.yaml: digitalocean:token: this secret is not set\nhint: basec init --env local"
    )


def test_the_passphrase_of_a_cloud_stack_comes_from_the_named_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE", raising=False)
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE_FILE", raising=False)
    environment = Environment(name="staging", root=tmp_path)
    environment.stack_file.write_text("config: {}\n")
    stack = StackFile(environment)
    with pytest.raises(ConfigurationError) as caught:
        stack.set_secret("basecommerce:token_key", "x")
    assert caught.value.render() == (
        "Pulumi.staging.yaml: passphrase: none is known for this environment\n"
        "hint: set PULUMI_CONFIG_PASSPHRASE_FILE to its file"
    )
    (tmp_path / "key").write_text("words\n")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", str(tmp_path / "key"))
    stack.set_secret("basecommerce:token_key", "x")
    assert stack.secret("basecommerce:token_key") == "x"


def test_a_write_is_the_owners_and_replaces_the_file_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep/file"
    write_private(path, "one")
    before = path.stat()
    assert stat.S_IMODE(before.st_mode) == 0o600
    write_private(path, "one")
    assert path.stat().st_ino == before.st_ino
    old = path.open()
    write_private(path, "two")
    with old:
        assert old.read() == "one"  # a reader of the old file never sees half of the new one
    assert path.read_text() == "two"
    assert [one.name for one in path.parent.iterdir()] == ["file"]


def test_a_leftover_of_a_killed_write_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / ".file.new").write_text("half")
    write_private(tmp_path / "file", "whole")
    assert yaml.safe_load((tmp_path / "file").read_text()) == "whole"
