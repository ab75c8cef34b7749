"""Our YAML has one meaning, whoever reads it: PyYAML here, Go in the engine and in Docker."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import yaml

from tests.unit.topology_support import ROOT, raw_settings, tree_copy
from topology import files
from topology.errors import ConfigurationError, ExitCode
from topology.files import dump_yaml, parse_yaml, read_yaml
from topology.project import load_project
from topology.settings import SECRET_KEYS

NUMBERS = {
    "010": "10",
    "05432": "5432",
    "00": "0",
    "09": "9",
    "0_1": "1",
    "0o36": "30",
    "0O36": "30",
    "0x1F": "31",
    "0X1F": "31",
    "0b11": "3",
    "1_000": "1000",
    "+5": "5",
    "30.0": "30",
    "30.": "30",
    ".5": "0.5",
    "+.5": "0.5",
    "1.10": "1.1",
    "3e1": "30",
    "3e+1": "30",
    "3.0e1": "30",
    "1.5e3": "1500",
    "1e3_": "1000",
    "1e1_0": "10000000000",
    "1e_3": "1000",
    "-_5": "-5",
    "0_x1F": "31",
}
"""Written so, and what was meant: PyYAML and the engine disagree about half of them, people about the rest."""
SWITCHES = {"yes": "true", "on": "true", "Yes": "true", "no": "false", "off": "false", "NO": "false"}
ONLY_TEXTS = (
    *("22:22", "8:20", "1:2:3", "190:20:30.15"),  # base 60
    *("2026-11-01", "2026-02-30", "2026-1-2", "2026-11-01T10:00:00Z", "2026-11-01 10:00:00"),
    *("=", ".inf", "-.inf", ".nan", "1e400", "12e4567", "99999999999999999999", "0o08"),
)


def _refusal(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parse_yaml("inventory.yaml", text)
    assert caught.value.exit_code is ExitCode.CONFIGURATION
    return caught.value.render()


@pytest.mark.parametrize(("written", "meant"), (NUMBERS | SWITCHES).items())
def test_a_word_with_two_meanings_is_refused_with_what_to_write(written: str, meant: str) -> None:
    assert _refusal(f"a: 1\nb: [x, {written}]\n") == (
        f"inventory.yaml: line 2, column 8: `{written}` is not the same value for every reader of YAML\n"
        f'hint: write {meant}, or "{written}" in quotes if a string is meant'
    )


@pytest.mark.parametrize("written", ONLY_TEXTS)
def test_what_some_reader_takes_for_a_string_is_refused_without_quotes(written: str) -> None:
    assert _refusal(f"b: {written}\n") == (
        f"inventory.yaml: line 1, column 4: `{written}` is not the same value for every reader of YAML\n"
        f'hint: write "{written}" in quotes'
    )


@pytest.mark.parametrize("written", [*NUMBERS, *SWITCHES, *ONLY_TEXTS])
def test_the_same_in_quotes_is_a_string(written: str) -> None:
    assert parse_yaml("x.yaml", f"b: \"{written}\"\nc: '{written}'\n") == {"b": written, "c": written}


@pytest.mark.parametrize("written", [*NUMBERS, *SWITCHES, *ONLY_TEXTS])
def test_a_string_is_written_so_that_the_engine_reads_a_string(written: str) -> None:
    text = dump_yaml({"b": written, written: 1})
    assert parse_yaml("x.yaml", text) == {"b": written, written: 1}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        *[("30", 30), ("0", 0), ("-5", -5), ("0.5", 0.5), ("1.25", 1.25)],
        *[("true", True), ("False", False), ("~", None), ("null", None), ("", None)],
        *[("y", "y"), ("1.7.12", "1.7.12"), ("10.80.0.0/20", "10.80.0.0/20"), ("8000-8010", "8000-8010")],
        *[("sha-1234567", "sha-1234567"), ("101:101", "101:101"), ("2026-11-01 a1B2", "2026-11-01 a1B2")],
    ],
)
def test_what_all_read_alike_is_taken(written: str, value: object) -> None:
    assert parse_yaml("x.yaml", f"b: {written}\n") == {"b": value}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nsize: {{ size }}\n", 2),
        ("a: 1\n? [b]\n: 2\n", 2),
        ("a: 1\nb: !!set {c}\n", 2),
        ("a: 1\nb: !!binary '*'\n", 2),
        ('a: 1\nb: !!int "010"\n', 2),
        ("a: 1\nb: &x [*x]\n", 2),
        ("a: 1\nb: &x {c: *x}\n", 2),
        ("a: 1\nb: {<<: 5}\n", 2),
        ("a: 1\nb: \x07\n", 2),
        ("a: 1\nb: [c\n", 3),
        ("a: 1\nb: 2\na: 3\n", 3),
    ],
)
def test_every_fault_names_file_line_and_a_hint(text: str, line: int) -> None:
    message, hint = _refusal(text).splitlines()
    assert message.startswith("inventory.yaml: ")
    assert f"line {line}" in message
    assert hint.startswith("hint: ")


FRAGMENTS = (
    *(
        "a",
        "b c",
        "1",
        "010",
        "yes",
        "true",
        "~",
        "''",
        '"x"',
        "2026-01-01",
        "é",
        "- ",
        "? ",
        ": ",
        ":",
        ",",
        "#",
        " #",
        "&x ",
    ),
    *(
        "*x",
        "[",
        "]",
        "{",
        "}",
        "|",
        "|#",
        ">-",
        "!",
        "!!int ",
        "!!bool {}",
        "%",
        "@",
        "\t",
        "\ufeff",
        "\n",
        "\n  ",
        "\n- ",
        "\n---\n",
    ),
)


def test_the_quick_reader_takes_nothing_that_the_strict_one_reads_differently() -> None:
    chance = random.Random(20261129)  # noqa: S311 - the same texts each time
    seen = 0
    for _ in range(4000):
        text = "".join(chance.choices(FRAGMENTS, k=chance.randint(1, 9)))
        try:
            found = parse_yaml("x", text)
        except ConfigurationError:
            continue
        assert repr(found) == repr(yaml.load(text, Loader=files._StrictLoader)), repr(text)  # noqa: S506 - a safe one
        seen += 1
    assert seen > 500


@pytest.mark.parametrize("start", ["[", "{", "- ", "? "])
def test_depth_without_end_ends_no_process(start: str) -> None:
    with pytest.raises(ConfigurationError, match="nested too deeply"):
        parse_yaml("x", start * 200_000 + "a")


def test_a_tag_on_what_is_no_single_value_is_refused() -> None:
    assert "bool is the tag of a single value" in _refusal("a: !!bool {}")
    assert "int is the tag of a single value" in _refusal("a: !!int [1]")


def test_brackets_without_end_are_refused() -> None:
    assert _refusal("a: " + "[" * 5000) == (
        "inventory.yaml: is nested too deeply to be read\nhint: remove unneeded brackets"
    )


def test_bytes_that_are_not_text_are_refused_with_their_line(tmp_path: Path) -> None:
    file = tmp_path / "inventory.yaml"
    file.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(ConfigurationError, match=r"^inventory\.yaml: cannot be read: line 2: .*0xff"):
        read_yaml(file)


def test_a_merge_key_takes_over_what_the_table_does_not_say_itself() -> None:
    text = "base: &base {image: debian-13-x64, size: small}\nb: {<<: *base, size: big}\n"
    assert parse_yaml("x.yaml", text)["b"] == {"image": "debian-13-x64", "size": "big"}
    assert "the key '<<' is in this mapping twice" in _refusal("b: {<<: {a: 1}, <<: {c: 2}}\n")


def test_a_droplet_may_be_written_with_a_merge_key(tmp_path: Path) -> None:
    root = tree_copy(tmp_path)
    text = (root / "inventory.yaml").read_text()
    merged = text.replace("    image: debian-13-x64\n", "    <<: {image: debian-13-x64}\n", 1)
    assert merged != text
    (root / "inventory.yaml").write_text(merged)
    assert load_project(root, "staging", raw_settings(), SECRET_KEYS).droplet("infra").image == "debian-13-x64"


def test_the_program_refuses_what_only_the_engine_takes_for_a_number(tmp_path: Path) -> None:
    root = tree_copy(tmp_path)
    text = (ROOT / "Pulumi.staging.yaml").read_text().replace("monthly_limit_usd: 40", "monthly_limit_usd: 0o50")
    (root / "Pulumi.staging.yaml").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_project(root, "staging", raw_settings(), SECRET_KEYS)  # where the engine has made a 40 of it
    assert "Pulumi.staging.yaml: line 13, column 24: `0o50` is not the same value" in caught.value.render()


@pytest.mark.parametrize("path", sorted(ROOT.glob("compose/*/compose.yaml")), ids=lambda path: path.parent.name)
def test_docker_and_the_rules_read_compose_files_alike(path: Path) -> None:
    assert read_yaml(path) == yaml.safe_load(path.read_text())
