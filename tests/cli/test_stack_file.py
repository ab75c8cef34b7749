"""The settings file of one environment: read strictly, secrets sealed, written as a whole or not at all."""

from __future__ import annotations

import datetime
import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from basec.environments import Environment
from basec.io.files import write_private
from basec.secrets import passphrase_file
from basec.secrets.stack_file import StackFile, read_mapping
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
    assert "the key 'basecommerce:a' is in this mapping twice, first in line 2" in text
    assert "\nhint: " in text


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("- a\n", "Pulumi.local.yaml: expected a mapping, got a list\nhint: see Pulumi.local.yaml"),
        ("", "Pulumi.local.yaml: expected a mapping, got a NoneType\nhint: see Pulumi.local.yaml"),
    ],
)
def test_anything_but_a_mapping_is_refused(environment: Environment, content: str, wanted: str) -> None:
    environment.stack_file.write_text(content)
    assert refusal(environment.stack_file) == wanted


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "Pulumi.staging.yaml").startswith("Pulumi.staging.yaml: there is no such file in ")


def test_a_secret_comes_back_and_is_not_in_the_text(environment: Environment) -> None:
    stack = StackFile(environment)
    stack.add_secrets({"token_key": "in clear"})
    text = environment.stack_file.read_text()
    assert "in clear" not in text
    again = StackFile(environment)
    assert again.secret("basecommerce:token_key") == "in clear"
    assert again.secret_names == {"token_key"}
    assert again.settings == {"domain": "localhost"}


def test_two_threads_that_want_secrets_open_the_file_once(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = StackFile(environment)
    stack.add_secrets({"token_key": "in clear", "demo_password": "as well"})
    opened: list[str] = []
    read = passphrase_file.read

    def slowly(asked: Environment) -> str:
        opened.append(asked.name)
        time.sleep(0.1)
        return read(asked)

    monkeypatch.setattr(passphrase_file, "read", slowly)
    again = StackFile(environment)
    with ThreadPoolExecutor(2) as pool:
        values = list(pool.map(again.secret, ("basecommerce:token_key", "basecommerce:demo_password")))
    assert (values, opened) == (["in clear", "as well"], ["local"])


def test_a_secret_that_is_not_set_names_the_command(environment: Environment) -> None:
    with pytest.raises(ConfigurationError) as caught:
        StackFile(environment).secret("digitalocean:token")
    assert caught.value.render() == (
        "Pulumi.local.yaml: digitalocean:token: this secret is not set\nhint: basec init --env local"
    )


@pytest.fixture
def staging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """A cloud stack of a user who has no passphrase yet."""
    for name in ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    environment = Environment(name="staging", root=tmp_path)
    environment.stack_file.write_text("config:\n  basecommerce:settings: {}\n")
    return environment


def test_the_passphrase_of_a_cloud_stack_is_looked_for_where_pulumi_does_and_last_in_our_file(
    staging: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = staging.root / "config/basecommerce/staging.passphrase"
    with pytest.raises(ConfigurationError) as caught:
        passphrase_file.read(staging)
    assert caught.value.render() == (
        f"Pulumi.staging.yaml: passphrase: {ours}: No such file or directory\n"
        "hint: restore the file, or set PULUMI_CONFIG_PASSPHRASE_FILE; is it lost for good? "
        "docs/runbooks/lost-passphrase.md"
    )
    assert passphrase_file.make(staging) == ours
    assert stat.S_IMODE(ours.stat().st_mode) == 0o600
    assert passphrase_file.make(staging) is None
    assert passphrase_file.read(staging) == ours.read_text().strip()
    (staging.root / "named").write_text("words\n")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", str(staging.root / "named"))
    assert passphrase_file.read(staging) == "words"
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "in the variable")
    assert passphrase_file.read(staging) == "in the variable"


def test_a_secret_that_was_set_by_other_means_has_no_date(environment: Environment) -> None:
    stack = StackFile(environment)
    stack.add_secrets({"token_key": "one", "digitalocean:token": "two"})
    assert {name: type(day) for name, day in stack.made().items()} == {
        "token_key": datetime.date,
        "digitalocean:token": datetime.date,
    }
    text = environment.stack_file.read_text()
    sealed = str(stack.config["basecommerce:token_key"]["secure"])
    environment.stack_file.write_text(text.replace(sealed, stack.crypter.encrypt("another")))
    assert set(StackFile(environment).made()) == {"digitalocean:token"}


def test_new_secrets_leave_the_rest_of_the_file_as_people_wrote_it(staging: Environment) -> None:
    passphrase_file.make(staging)
    before = (
        "# a heading\nconfig:\n  basecommerce:settings:\n    domain: example.com # why\n    ranges:\n"
        "      - 10.0.0.0/8 # last\n\n# a closing word\n"
    )
    staging.stack_file.write_text(before)
    staging.stack_file.chmod(0o644)
    StackFile(staging).add_secrets({"token_key": "one"})
    first = staging.stack_file.read_text()
    StackFile(staging).add_secrets({"redis_password": "two"})
    lines = staging.stack_file.read_text().splitlines()
    for text in (before, first):
        kept = iter(lines)
        assert all(line in kept for line in text.splitlines()), "a line is gone, or in another order"
    assert lines[-1] == "# a closing word"
    stack = StackFile(staging)
    assert (stack.secret("basecommerce:token_key"), stack.secret("basecommerce:redis_password")) == ("one", "two")
    assert len(stack.made()) == 2
    assert stat.S_IMODE(staging.stack_file.stat().st_mode) == 0o644


def test_a_value_that_is_made_anew_takes_the_place_of_the_old_one(environment: Environment) -> None:
    StackFile(environment).add_secrets({"token_key": "one", "redis_password": "two"})
    StackFile(environment).add_secrets({"token_key": "three"})
    stack = StackFile(environment)
    assert (stack.secret("basecommerce:token_key"), stack.secret("basecommerce:redis_password")) == ("three", "two")
    assert environment.stack_file.read_text().count("basecommerce:token_key:") == 2  # the value, and its date
    assert set(stack.made()) == {"token_key", "redis_password"}


def test_a_file_that_secrets_cannot_be_added_to_is_refused_and_kept(staging: Environment) -> None:
    passphrase_file.make(staging)
    staging.stack_file.write_text("config: {a: 1}\n")
    with pytest.raises(ConfigurationError) as caught:
        StackFile(staging).add_secrets({"token_key": "one"})
    assert caught.value.render() == (
        "Pulumi.staging.yaml: config: cannot be edited: line 1: is not a mapping with one `key: value` per line\n"
        "hint: write one `key: value` per line, as in Pulumi.production.yaml, and comments above or behind it"
    )
    assert staging.stack_file.read_text() == "config: {a: 1}\n"


def test_a_value_in_clear_is_replaced_by_the_sealed_one_in_its_place(staging: Environment) -> None:
    passphrase_file.make(staging)
    staging.stack_file.write_text("config:\n  basecommerce:token_key: clear # why\n  # below\n  a: b\n")
    StackFile(staging).add_secrets({"token_key": "one"})
    lines = staging.stack_file.read_text().splitlines()
    assert [line.partition("#")[0].rstrip() for line in lines[:2]] == ["config:", "  basecommerce:token_key:"]
    assert lines[1].endswith(" # why")
    assert lines[2].startswith("    secure: v1:")
    assert lines[3:5] == ["  # below", "  a: b"]
    assert StackFile(staging).secret("basecommerce:token_key") == "one"


def test_a_value_that_is_made_anew_changes_its_own_lines_alone(environment: Environment) -> None:
    StackFile(environment).add_secrets({"token_key": "one", "redis_password": "two"})
    before = environment.stack_file.read_text().replace("  basecommerce:redis", "  # which\n  basecommerce:redis", 1)
    environment.stack_file.write_text(before)
    StackFile(environment).add_secrets({"token_key": "three"})
    lines = zip(before.splitlines(), environment.stack_file.read_text().splitlines(), strict=True)
    assert [old.partition(":")[0].strip() for old, new in lines if old != new] == ["secure", "basecommerce"]


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_an_edit_keeps_the_mode_of_the_file_whatever_the_umask(environment: Environment, umask: int) -> None:
    environment.stack_file.chmod(0o664)
    before = os.umask(umask)
    try:
        StackFile(environment).add_secrets({"token_key": "one"})
    finally:
        os.umask(before)
    assert stat.S_IMODE(environment.stack_file.stat().st_mode) == 0o664


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
