"""Droplets for the tests of the release script: directories with a recording docker on PATH."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit.release_support import Droplet, make_droplet


@pytest.fixture
def vertical(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Droplet:
    return make_droplet(tmp_path, "vertical", monkeypatch)


@pytest.fixture
def edge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Droplet:
    return make_droplet(tmp_path, "edge", monkeypatch)


@pytest.fixture
def infra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Droplet:
    droplet = make_droplet(tmp_path, "infra", monkeypatch)
    monkeypatch.setattr(Path, "is_mount", lambda path: path == droplet.volume)
    monkeypatch.setattr(os, "chown", lambda *_: None)
    return droplet
