"""`basec settings`: what an environment is set to, and what each key is for. Needs neither engine nor passphrase."""

from __future__ import annotations

import re
from collections.abc import Mapping

import typer

from basec.commands.arguments import AS_JSON, READ_ENV
from basec.environments import resolve
from basec.io.console import answer, print_json, show, table
from basec.session import Session
from topology.names import LOCAL_TEMPLATE
from topology.settings_doc import described

LONGEST = 40
"""Characters of a value; of a longer list the first entry is shown, and how many more there are."""


def register(app: typer.Typer) -> None:
    app.command("settings", epilog="Examples: basec settings; basec settings --env staging --json")(settings)


def settings(env: str = READ_ENV, as_json: bool = AS_JSON) -> None:
    """Show an environment's settings and what they mean. Without secrets: `basec secrets list` has those."""
    environment = resolve(env)
    found = list(described(Session(environment).written_project.settings))
    if as_json:
        print_json(environment.name, {"settings": {key: _plain(value) for key, value, _ in found}})
        return
    rows = [(key, _shown(_plain(value)), _short(meaning)) for key, value, meaning in found]
    show(table(f"settings: {environment.name}", ("key", "value", "meaning"), rows))
    file = environment.stack_file.name
    if environment.is_local:
        file = f"{LOCAL_TEMPLATE} and {environment.stack_file.relative_to(environment.root)}"
    answer(f"from {file}; every rule: docs/settings.md; secrets: basec secrets list --env {environment.name}")


def _plain(value: object) -> object:
    """Turn a value of the settings into what JSON has: lists, mappings, strings, numbers, true and false."""
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return value if isinstance(value, bool | int | str) else str(value)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        value = [f"{name}={each}" for name, each in value.items()]
    if not isinstance(value, list):
        return str(value)
    text = ", ".join(map(str, value)) or "none"
    return text if len(text) <= LONGEST else f"{value[0]} and {len(value) - 1} more"


def _short(meaning: str) -> str:
    """Return the first sentence: the page of the settings has the rest."""
    return re.split(r"[.:;](?:\s|$)", meaning, maxsplit=1)[0]
