"""What `basec` tells the local cloud by its environment: a stack that an earlier release made is found by that."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from basec.io.programs import LOCAL_CLOUD, Program
from tests.cli.conftest import REPOSITORY, Run
from tests.cli.test_init import NAME, allocate_dry

SHOW = """
from localcloud import naming
from localcloud.images import apt_sources, build, push, rootfs
from localcloud.machine import labels
print(labels.CLOUD, labels.KIND, labels.URN, labels.ID, labels.SPEC, build.LABEL, push.LABEL)
print(apt_sources.OWN_SOURCES, rootfs._OF_CLOUDS, naming.default_cache())
"""
LABELS = "basecommerce.cloud basecommerce.kind basecommerce.urn basecommerce.id basecommerce.spec basecommerce.image"


def test_labels_files_and_cache_are_those_of_every_release_before(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "XDG_CACHE_HOME": str(tmp_path)}
    shown = subprocess.run(
        [sys.executable, "-c", SHOW], env={**environment, **LOCAL_CLOUD}, capture_output=True, text=True, check=True
    ).stdout
    assert shown.splitlines() == [
        f"{LABELS} basecommerce.kind=registry-push",
        f"/etc/basecommerce/debian.sources basecommerce- {tmp_path}/basecommerce",
    ]


def test_each_command_of_the_local_cloud_is_told_namespace_and_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tell.py").write_text(
        "import os; print(os.environ['LOCALCLOUD_NAMESPACE'], os.environ['LOCALCLOUD_CACHE'])"
    )
    monkeypatch.setattr("basec.io.programs.ROOT", tmp_path)
    monkeypatch.setenv("BASECOMMERCE_CACHE", "/some/where")
    monkeypatch.delenv("LOCALCLOUD_NAMESPACE")
    monkeypatch.setenv("LOCALCLOUD_CACHE", "/else/where")
    assert Program("tell").run() == "basecommerce /some/where\n"


def test_each_plugin_of_a_stack_is_told_the_namespace(basec: Run, clone: Path) -> None:
    allocate_dry(clone)
    assert basec("init", "--env", NAME).code == 0
    scripts = sorted((clone / ".local" / NAME / "plugins").glob("*/pulumi-resource-*"))
    assert len(scripts) == 3
    for script in scripts:
        assert "export LOCALCLOUD_NAMESPACE=basecommerce\n" in script.read_text()
