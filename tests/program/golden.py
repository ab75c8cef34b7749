"""What the program registers, as text for a reviewer: `make golden` writes `tests/program/golden/<stack>.yaml` anew.

A live stack keeps what it has as long as type, name, parent, inputs, options and exports stay. Dependencies are absent:
they may gain edges, and the tests of the order hold them. What changes with every edit of a file is named by the file:
scripts, user data, the files of a bundle; digests are masked, secrets have their names.
"""

from __future__ import annotations

import base64
import functools
import io
import json
import re
import shlex
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from components.remote import SCRIPTS
from tests.program.recording import ROOT, SECRETS, STACKS, Registration, configuration, main, run, unwrap
from topology.bundle import BOOTSTRAP
from topology.keys import public_key

FOLDER = Path(__file__).parent / "golden"
_LEAST_LINE = 20
"""Characters of a line of a secret that is masked; a shorter one could be anything."""
_DIGEST = re.compile(r"\b([0-9a-f]{64}|[0-9a-f]{12})\b")
_REPEATED = re.compile(r"^(<\w+>)(\n\1)+$", re.MULTILINE)
_VARIABLE = re.compile(r"^([A-Z][A-Z0-9_]*)=", re.MULTILINE)


class _Blocks(yaml.SafeDumper):
    """Writes texts of several lines as they are."""


_Blocks.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def golden(stack: str) -> str:
    """Run the program for a stack and write down what it registers."""
    recorder = run(main, stack=stack, config=configuration(stack))
    names = {item.urn: item.name for item in recorder.registered}
    resources = [
        _resource(item, names) for item in sorted(recorder.registered, key=lambda item: (item.type, item.name))
    ]
    document = {"resources": resources, "exports": _masked(recorder.exports)}
    return yaml.dump(document, Dumper=_Blocks, sort_keys=False, allow_unicode=True, width=120)


def _resource(item: Registration, names: Mapping[str, str]) -> dict[str, Any]:
    options = {
        "protect": item.protect,
        "ignore_changes": list(item.ignore_changes),
        "delete_before_replace": item.delete_before_replace,
        "secret_outputs": list(item.secret_outputs),
        "create_timeout": item.create_timeout,
        "aliases": list(item.aliases),
    }
    inputs = {name: _input(item, name) for name in sorted(item.inputs)}
    return {
        "type": item.type,
        "name": item.name,
        "parent": names.get(item.parent, ""),
        **{name: value for name, value in options.items() if value},
        **({"secret": sorted(name for name in item.inputs if item.secret(name))} if item.custom else {}),
        **({"inputs": inputs} if inputs else {}),
    }


def _input(item: Registration, name: str) -> Any:
    value = item.plain(name)
    if name == "userData":
        return "<user data>"
    if name == "create":
        return _script(value)
    if name == "stdin" and value.startswith("{"):
        return _payload(json.loads(value))
    return _masked(value)


def _script(text: str) -> str:
    """Take the quotes off a command, and put names instead of the files that it is joined from."""
    droplet, title, line = text.strip().split("\n", 2)
    words = shlex.split(line)
    place = words.index("-c") + 1
    body = words[place].replace(BOOTSTRAP, "<BOOTSTRAP>\n")
    for path in SCRIPTS.iterdir():
        name = f"<{path.relative_to(ROOT)}>"
        body = body.replace(shlex.quote(path.read_text()), name).replace(path.read_text(), f"{name}\n")
    lines = [droplet, title, shlex.join(words[:place]), *body.splitlines(), shlex.join(words[place + 1 :])]
    return str(_masked("\n".join(line for line in lines if line)))


def _payload(payload: Mapping[str, Any]) -> dict[str, Any]:
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(payload["bundle"]))) as archive:
        files = [entry.name for entry in archive if entry.isfile()]
    secrets = {
        name: {"owner": f"{file['uid']}:{file['gid']}", "variables": _VARIABLE.findall(file["content"])}
        for name, file in payload["secrets"].items()
    }
    return {"bundle": files, "hosts": payload["hosts"], "secrets": secrets}


def _masked(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _masked(item) for key, item in sorted(unwrap(dict(value)).items())}
    if isinstance(value, list):
        return [_masked(item) for item in value]
    if not isinstance(value, str):
        return value
    for found, name in _secret_lines():
        value = value.replace(found, f"<{name}>")
    return _DIGEST.sub("<digest>", _REPEATED.sub(r"\1", value))


@functools.cache
def _secret_lines() -> tuple[tuple[str, str], ...]:
    """Return what is masked, and what stands there instead: whole values before single lines of them."""
    lines: dict[str, str] = {}
    secrets = ((key, value) for stack in STACKS for key, value in configuration(stack).items() if key in SECRETS)
    for key, value in secrets:
        name = key.removeprefix("basecommerce:")
        if name.startswith(("host_key_", "login_private_key")):
            lines[public_key(value)] = f"public half of {name}"
        shown = (line for line in value.splitlines() if len(line) >= _LEAST_LINE and "-----" not in line)
        lines |= dict.fromkeys((value, value.strip(), *shown), name)
    return tuple(sorted(lines.items(), key=lambda found: -len(found[0])))


if __name__ == "__main__":
    for each in STACKS:
        (FOLDER / f"{each}.yaml").write_text(golden(each))
