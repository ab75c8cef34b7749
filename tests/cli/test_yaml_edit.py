"""YAML that people wrote is edited without a change to anything else, or refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml.comments import CommentedMap

from basec.environments import Environment
from basec.io.files import write_private
from basec.secrets import passphrase_file
from basec.secrets.stack_file import StackFile, read_mapping
from basec.secrets.yaml_edit import edit_yaml, edited, put, replace_items
from tests.cli.conftest import REPOSITORY
from topology.errors import ConfigurationError
from topology.files import parse_yaml
from topology.names import SETTINGS_KEY

FILE = "Pulumi.staging.yaml"
TRACKED = ("Pulumi.local.yaml", "Pulumi.staging.yaml", "Pulumi.production.yaml", "Pulumi.yaml")
HINT = "\nhint: write one `key: value` per line, as in Pulumi.production.yaml, and comments above or behind it"


def nothing(_: CommentedMap) -> None:
    """Change nothing: what is written then is the layout alone."""


def setting(*path: str, to: str | dict[str, str]) -> Callable[[CommentedMap], None]:
    return lambda document: put(document, path, to)


def items(*wanted: str) -> Callable[[CommentedMap], None]:
    return lambda document: replace_items(document["list"], wanted)


@pytest.mark.parametrize("name", TRACKED)
def test_a_tracked_file_is_laid_out_as_the_editor_writes_it(name: str) -> None:
    text = (REPOSITORY / name).read_text()
    assert edited(name, text, nothing) == text


@pytest.mark.parametrize("name", TRACKED[:3])
def test_a_stacks_file_with_sealed_secrets_is_laid_out_so_too(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "a passphrase")
    environment = Environment(name=name.split(".")[1], root=tmp_path)
    write_private(environment.stack_file, (REPOSITORY / name).read_text())
    if environment.is_local:
        write_private(environment.passphrase_file, "a passphrase\n")
        settings = read_mapping(REPOSITORY / name)["config"][SETTINGS_KEY]
        emails = ["josé@example.com", "a " * 90]
        StackFile(environment).put_settings({**settings, "alerts": {"emails": emails, "tag": "0123"}})
    before = environment.stack_file.read_text()
    StackFile(environment).add_secrets({"token_key": "long " * 300, "digitalocean:token": "short"})
    text = environment.stack_file.read_text()
    assert text.startswith(before)
    assert edited(name, text, nothing) == text
    assert passphrase_file.read(environment) == "a passphrase"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("config:\n", "config:\n  key:\n    secure: x\n"),
        ("config: {} # why\n", "config:    # why\n  key:\n    secure: x\n"),
        ("a: 1\nconfig: {} # why\n# end\n", "a: 1\nconfig:    # why\n  key:\n    secure: x\n# end\n"),
        ("a: 1 # why\n# end", "a: 1 # why\nconfig:\n  key:\n    secure: x\n# end\n"),
        (
            "config:\n  a: 1\n  b: &x\n    c: 1\n  <<: *x\n",
            "config:\n  a: 1\n  b: &x\n    c: 1\n  <<: *x\n  key:\n    secure: x\n",
        ),
        ("a: 1 # why\n\n# end\n", "a: 1 # why\nconfig:\n  key:\n    secure: x\n\n# end\n"),
        ("config:\n  a: [1] # why\n  # end\nb: 1\n", "config:\n  a: [1] # why\n  key:\n    secure: x\n  # end\nb: 1\n"),
        (
            "config:\n  a:\n    - b:\n        - c # why\n# end\n",
            "config:\n  a:\n    - b:\n        - c # why\n  key:\n    secure: x\n# end\n",
        ),
        (
            "config:\n  key:\n    # inside\n    secure: old # why\n  # end\n  a: 1\n",
            "config:\n  key:\n    # inside\n    secure: x   # why\n  # end\n  a: 1\n",
        ),
        ("config:\n  key: {secure: old}\n  a: 1\n", "config:\n  key: {secure: x}\n  a: 1\n"),
        ("config:\n  key:\n    other: old\n# end\na: 1\n", "config:\n  key:\n    secure: x\n# end\na: 1\n"),
    ],
)
def test_a_value_is_added_below_the_others_and_above_the_comments_that_end_the_table(before: str, after: str) -> None:
    assert edited(FILE, before, setting("config", "key", to={"secure": "x"})) == after


@pytest.mark.parametrize(
    ("before", "wanted", "after"),
    [
        ("- a\n  - b # b\n  # end\nc: 1\n", "bd", "- b # b\n  - d\n  # end\nc: 1\n"),
        ("- a # a\n  # of b\n  - b\n", "b", "# of b\n  - b\n"),
        ("# of a\n  - a\n  # of b\n  - b # b\n", "b", "# of a\n  # of b\n  - b # b\n"),
        ("- a # a\n  # of b\n  - b\n  # of c\n  - c\n", "ac", "- a # a\n  # of b\n  # of c\n  - c\n"),
        ("- a\n  - b # b\n\n# end\nc: 1\n", "xyz", "- x\n  - y\n  - z\n\n# end\nc: 1\n"),
        ("- a\n  # of b\n  - b\n  # end\n", "a", "- a\n  # of b\n  # end\n"),
    ],
)
def test_a_list_loses_the_lines_of_what_goes_and_no_comment_between(before: str, wanted: str, after: str) -> None:
    assert edited(FILE, f"list:\n  {before}", items(*wanted)) == f"list:\n  {after}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a:   1\nb: [\n  1, # one\n]\n", "cannot be edited: line 3: this comment would be lost: it stands inside"),
        ("a: [ # twice\n  1] # twice\n", "cannot be edited: line 1: this comment would be lost: it stands inside"),
        ("# heading\n---\na: 1\n", "cannot be edited: line 1: this comment would be lost: it stands inside"),
        ("config: {a: 1}\n", "config: cannot be edited: line 1: is not a mapping with one `key: value` per line"),
        ("config: [a]\n", "config: cannot be edited: line 1: is not a mapping with one `key: value` per line"),
        ("a: 1\nconfig: text\n", "config: cannot be edited: line 2: is not a mapping with one `key: value` per line"),
        (
            "config:\n  made: 5\n",
            "config.made: cannot be edited: line 2: is not a mapping with one `key: value` per line",
        ),
    ],
)
def test_a_file_that_an_edit_would_spoil_is_refused_with_its_line(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        edit_yaml(path, setting("config", "made", "key", to="x"))
    message = caught.value.render()
    assert message.startswith(f"{FILE}: {said}")
    assert message.endswith(HINT)
    assert message.count("hint:") == 1
    assert (path.read_text(), [one.name for one in tmp_path.iterdir()]) == (text, [FILE])


def test_a_damaged_file_is_refused_like_everywhere_else() -> None:
    said = "is not valid YAML: line 2, column 1: the key 'a' is in this mapping twice"
    with pytest.raises(ConfigurationError, match=said):
        edited(FILE, "a: 1\na: 2\n", nothing)


def test_a_new_value_that_two_readers_take_differently_is_not_written() -> None:
    with pytest.raises(ConfigurationError, match="`yes` is not the same value for every reader of YAML"):
        edited(FILE, "a: 1\n", setting("b", to="yes"))
    assert edited(FILE, "day: '2026-11-01'\n", setting("day", to="2026-12-01")) == "day: '2026-12-01'\n"


@pytest.mark.parametrize(
    "text",
    [
        "a:   ~ # a\nb: &x\n- 1\n- True # b\nc: *x\n",
        "a: >-\n  folded\n\n  text\n# e\nb: |\n  # no comment\n",
        "a: &x {b: 1}\nc:\n  <<: *x\n  b: 2\n",
        "a: !!str 5 # c\n",
        'a: "\\x41\\u00e9\\/"\nb: "l1\n  l2\n\n  l3"\n',
        "a: {b: , 'c':}\nd: [\n  x,\n  y: z,\n]\n",
        "? a\n: b # c\n",
        "---\na: -0\n",
        "a: 'tab\tit''s'\nb: x:y\nc: b#c\n",
        "a: |+\n  x\n\n",
        "\ufeffa: 1\n",
    ],
)
def test_other_spellings_are_taken_and_keep_their_meaning_and_comments(text: str) -> None:
    after = edited(FILE, text, setting("z", to="x"))
    assert parse_yaml(FILE, after) == {**parse_yaml(FILE, text), "z": "x"}
    for comment in ("# a", "# b", "# c", "# e"):
        assert after.count(comment) == text.count(comment)
