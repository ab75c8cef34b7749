"""In which order a machine is made ready for a local stack."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from basec.engine import bring_up
from basec.environments import ROOT, Environment
from basec.io import programs
from basec.io.console import Stages
from basec.session import Session
from topology.names import LOCAL_TEMPLATE

BUILT = {"tag": "reference-0123456789ab", "for": "reference", "services": {}, "references": []}


def test_nothing_is_powered_on_before_its_images_are_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On a new machine the cloud's own registry is one of the images."""
    told: list[str] = []

    def run(program: programs.Program) -> str:
        name = program.arguments[0] if program.arguments else program.module
        told.append(f"{name} begins")
        if name == "images":
            time.sleep(0.1)
            told.append("images are there")
        return json.dumps(BUILT) if name == "images" else "/a/pulumi\n"

    monkeypatch.setattr(programs.Program, "run", run)
    monkeypatch.setattr(bring_up, "require_host", lambda _environment: told.append("host is checked"))
    (tmp_path / LOCAL_TEMPLATE).write_text((ROOT / LOCAL_TEMPLATE).read_text())
    binary, images = bring_up._prepare_machine(Session(Environment(name="local", root=tmp_path)), Stages())
    assert (binary, images) == (Path("/a/pulumi"), BUILT)
    assert told[0] == "host is checked"
    assert told[-1] == "power-on begins"
    assert "images are there" in told
