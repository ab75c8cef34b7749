"""Every field of settings, inventory and versions has a value that is refused with key, value and hint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel

from tests.unit.topology_support import REMOVED, raw_file, raw_settings, tree_copy, with_value
from topology.errors import ConfigurationError
from topology.inventory import Inventory
from topology.project import load_project
from topology.settings import SECRET_KEYS, Settings
from topology.versions import Versions

MODELS: dict[str, type[BaseModel]] = {"settings": Settings, "inventory": Inventory, "versions": Versions}

NAME_HINT = "use a lower-case letter, then letters, digits and '-' (31 at most)"

REFUSED = [
    (file, *row)
    for file, table in yaml.safe_load(Path(__file__).with_name("topology_refusals.yaml").read_text()).items()
    for row in table
]
"""File, key, refused value, message, hint. A field may have several rows; each field must have one."""


def _raw(file: str) -> Any:
    return raw_settings() if file == "settings" else raw_file(f"{file}.yaml")


def _expected(file: str, key: str, message: str, hint: str) -> str:
    where = f"Pulumi.staging.yaml: basecommerce:settings.{key}" if file == "settings" else f"{file}.yaml: {key}"
    return f"{where}: {message}\nhint: {hint}"


def _render(tmp_path: Path, file: str, key: str, value: object) -> str:
    """Load the project with one value changed; give what is reported."""
    root, settings = tree_copy(tmp_path), raw_settings()
    changed = with_value(_raw(file), key, value)
    if file == "settings":
        settings = changed
    else:
        (root / f"{file}.yaml").write_text(yaml.safe_dump(changed, sort_keys=False))
    with pytest.raises(ConfigurationError) as caught:
        load_project(root, "staging", settings, SECRET_KEYS)
    return caught.value.render()


def _fields(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Return every field of a tree of models, with entries of mappings and lists as `*`."""
    for name, field in model.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        yield key
        for path, section in _sections(field.annotation):
            yield from _fields(section, f"{key}.{path}")


def _sections(annotation: Any) -> Iterator[tuple[str, type[BaseModel]]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield "", annotation
        return
    star = "*." if get_origin(annotation) in (tuple, Mapping) else ""
    for argument in get_args(annotation):
        for path, section in _sections(argument):
            yield star + path, section


def _pattern(model: type[BaseModel], key: str) -> str:
    """Turn a key such as `firewall.0.ports.0` into the field that it belongs to, `firewall.*.ports`."""
    parts = key.split(".")
    for field in sorted(_fields(model), key=len, reverse=True):
        wanted = field.split(".")
        if len(wanted) <= len(parts) and all(w in ("*", p) for w, p in zip(wanted, parts, strict=False)):
            return field
    raise AssertionError(f"{key} is no field")


def _keys_of(model: type[BaseModel], data: Any, prefix: str = "") -> Iterator[str]:
    """Return the keys of the data that are fields of models; of mappings and lists only the first entry."""
    for name, field in model.model_fields.items():
        key = field.alias or name
        if key not in data:
            continue
        yield f"{prefix}{key}"
        for path, section in _sections(field.annotation):
            value, below = data[key], f"{prefix}{key}."
            if path:
                first = next(iter(value)) if isinstance(value, dict) else 0
                value, below = value[first], f"{below}{first}."
            yield from _keys_of(section, value, below)


def _is_required(model: type[BaseModel], key: str) -> bool:
    *parents, name = _pattern(model, key).split(".")
    section = model
    for part in parents:
        for field_name, field in section.model_fields.items():
            if part == (field.alias or field_name):
                section = next(_sections(field.annotation))[1]
    return next(f for n, f in section.model_fields.items() if name == (f.alias or n)).is_required()


def test_every_field_of_the_models_has_a_refused_value() -> None:
    rows = {(file, _pattern(MODELS[file], key)) for file, key, *_ in REFUSED}
    fields = {(file, field) for file, model in MODELS.items() for field in _fields(model)}
    assert fields - rows == set()


@pytest.mark.parametrize("row", REFUSED, ids=[f"{file}-{key}-{value}" for file, key, value, *_ in REFUSED])
def test_refused_value_is_reported_with_file_key_value_and_hint(
    tmp_path: Path, row: tuple[str, str, object, str, str]
) -> None:
    file, key, value, message, hint = row
    assert _render(tmp_path, file, key, value) == _expected(file, key, message, hint)


def _required() -> list[tuple[str, str]]:
    return sorted(
        (file, key) for file, model in MODELS.items() for key in _keys_of(model, _raw(file)) if _is_required(model, key)
    )


@pytest.mark.parametrize(("file", "key"), _required())
def test_missing_key_is_reported(tmp_path: Path, file: str, key: str) -> None:
    name = key.rsplit(".", maxsplit=1)[-1]
    expected = _expected(file, key, "is missing", f"add `{name}`; docs/settings.md lists every key")
    assert expected in _render(tmp_path, file, key, REMOVED)


@pytest.mark.parametrize(
    ("file", "key", "hint"),
    [
        ("settings", "protct", "did you mean `protect`?"),
        ("settings", "ssh.port", "remove it; known keys: user, sources"),
        ("settings", "cloudflare.zone", "did you mean `zone_id`?"),
        ("inventory", "droplets.edge.sise", "did you mean `size`?"),
        ("inventory", "droplets.infra.volume.zone", "remove it; known keys: name, size_gib, filesystem, label"),
        ("inventory", "firewall.0.form", "did you mean `from`?"),
        ("versions", "images.applications", "remove it; known keys: services"),
    ],
)
def test_unknown_key_is_an_error_and_names_the_nearest_one(tmp_path: Path, file: str, key: str, hint: str) -> None:
    assert _render(tmp_path, file, key, 1) == _expected(file, key, "is not a known key (value 1)", hint)


def test_model_field_name_is_not_accepted_instead_of_its_key(tmp_path: Path) -> None:
    text = _render(tmp_path, "inventory", "firewall.0.sources", ["edge"])
    assert text.startswith("inventory.yaml: firewall.0.sources: is not a known key")


def test_refused_name_of_a_table_entry_is_reported_at_its_key(tmp_path: Path) -> None:
    droplet = raw_file("inventory.yaml")["droplets"]["edge"]
    text = _render(tmp_path, "inventory", "droplets.Edge2", droplet)
    assert text == _expected("inventory", "droplets.Edge2", "'Edge2' is not a name", NAME_HINT)


@pytest.mark.parametrize(
    ("key", "value", "where", "report"),
    [
        (
            "droplets.edge.vertical",
            "construction",
            "droplets.edge",
            ("role edge runs no vertical, but vertical is 'construction'", "remove `vertical`"),
        ),
        (
            "droplets.vertical.vertical",
            REMOVED,
            "droplets.vertical",
            ("role vertical requires the key `vertical`", "add `vertical: construction`"),
        ),
        (
            "droplets.infra.compose",
            "store",
            "droplets.infra",
            ("role infra has a fixed folder, but compose is 'store'", "remove `compose`"),
        ),
        ("firewall.0.protocol", "icmp", "firewall.0", ("icmp has no ports, but ports is [80, 443]", "remove `ports`")),
        ("egress.0.ports", REMOVED, "egress.0", ("tcp requires ports", "add `ports: [...]`")),
    ],
)
def test_keys_that_do_not_fit_together_are_reported_at_their_section(
    tmp_path: Path, key: str, value: object, where: str, report: tuple[str, str]
) -> None:
    assert _render(tmp_path, "inventory", key, value) == _expected("inventory", where, *report)


def test_role_that_is_taken_and_role_that_is_missing_are_both_reported(tmp_path: Path) -> None:
    assert _render(tmp_path, "inventory", "droplets.edge.role", "infra") == (
        "inventory.yaml: droplets: no droplet has the role edge\nhint: add one with `role: edge`\n"
        "inventory.yaml: droplets.edge.role: 'infra' is already the role of infra\n"
        "hint: keep one: there is one PostgreSQL"
    )


OTHER_VERTICAL = {"role": "vertical", "size": "s-1vcpu-1gb", "image": "debian-13-x64"}


@pytest.mark.parametrize(
    "name", ["postgres", "nginx", "auth", "migrate", "private", "scripts", "backups", "watchdog", "infra", "edge"]
)
def test_a_vertical_has_no_name_that_means_something_on_a_droplet_or_in_the_stores(tmp_path: Path, name: str) -> None:
    report = _render(tmp_path, "inventory", "droplets.shop", {**OTHER_VERTICAL, "vertical": name})
    assert f"inventory.yaml: droplets.shop.vertical: '{name}' already has another meaning on a droplet\n" in report
    assert "hint: write another `vertical`, and rename the folder below compose/" in report


def test_a_folder_of_another_name_does_not_give_a_vertical_the_login_of_a_service(tmp_path: Path) -> None:
    report = _render(tmp_path, "inventory", "droplets.shop", {**OTHER_VERTICAL, "vertical": "migrate", "compose": "s"})
    assert "inventory.yaml: droplets.shop.vertical: 'migrate' is a service of the platform\n" in report


def test_two_droplets_with_one_tier_are_refused_with_the_key_that_says_so(tmp_path: Path) -> None:
    copied = {**OTHER_VERTICAL, "vertical": "shop", "compose": "vertical"}
    assert _render(tmp_path, "inventory", "droplets.shop", copied) == _expected(
        "inventory",
        "droplets.shop.compose",
        "'vertical' runs on vertical already",
        "write another `compose`, with a folder below compose/",
    )
