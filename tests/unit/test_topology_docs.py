"""docs/topology.md shows what the code really prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.topology_support import ROOT, raw_settings, tree_copy, with_value
from topology.errors import ConfigurationError
from topology.project import load_project
from topology.settings import SECRET_KEYS

DOCUMENT = (ROOT / "docs" / "topology.md").read_text()


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def _report(root: Path, settings: object, secrets: set[str]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_project(root, "staging", settings, secrets)
    return caught.value.render()


def test_report_of_seven_mistakes_is_the_one_that_is_shown(tmp_path: Path) -> None:
    root = tree_copy(tmp_path)
    _edit(root / "inventory.yaml", "size: s-1vcpu-2gb", "sise: s-1vcpu-2gb")
    (root / "versions.yaml").write_text((root / "versions.yaml").read_text() + "debian:\n  suite: trixie\n")
    settings = raw_settings()
    for key, value in (("vpc_ip_range", "10.244.0.0/20"), ("images.tag", "latest"), ("protect", "yes")):
        settings = with_value(settings, key, value)
    report = _report(root, settings, set(SECRET_KEYS) - {"token_key"})
    assert report.count("hint: ") == 7
    assert f"```text\n{report}\n```" in DOCUMENT


@pytest.mark.parametrize("key", SECRET_KEYS)
def test_every_secret_is_explained(key: str) -> None:
    assert key in DOCUMENT or f":{key}`" in DOCUMENT or f"`_{key.rpartition('_')[2]}`" in DOCUMENT
