"""A bundle has the same bytes wherever it is built, holds no secret, and unpacks by the bootstrap."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from tests.unit.topology_support import project, raw_settings, tree_copy, with_value
from topology.bundle import BOOTSTRAP, Bundle, build_bundle
from topology.errors import ConfigurationError
from topology.project import load_project
from topology.settings import SECRET_KEYS

COMPOSE = "services:\n  nginx:\n    image: ${IMAGE_NGINX}\n    environment: {NAME: $DOMAIN}\n"
RELEASE = """
import sys
from pathlib import Path
import watchdog
print(*sys.argv[1:4], sorted(path.name for path in Path(__file__).parent.iterdir()))
"""
HANDED_OVER = """
import json, sys
from pathlib import Path
_, command, tier, digest, option, bundle, option, payload = sys.argv
paths = [Path(bundle).parent, Path(payload), Path(bundle, "nginx", "reload.sh")]
modes = [path.stat().st_mode & 0o7777 for path in paths]
print(json.dumps([bundle, payload, __file__, modes, json.loads(Path(payload).read_text())]))
"""
RAN = b"print('it ran')"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small tree with one tier, `edge`."""
    folder = tree_copy(tmp_path) / "compose" / "edge" / "nginx"
    folder.mkdir(parents=True)
    (folder.parent / "compose.yaml").write_text(COMPOSE)
    (folder / "site.conf.j2").write_text(
        "{% for range in cloudflare_ranges[:2] %}allow {{ range }};\n{% endfor %}# {{ domain }}\n"
    )
    (folder / "reload.sh").write_text("#!/bin/sh\n")
    (folder / "reload.sh").chmod(0o755)
    (folder.parent.parent / "release.py").write_text(RELEASE)
    (folder.parent.parent / "watchdog.py").write_text("")
    return tmp_path


def _build(root: Path) -> Bundle:
    return build_bundle(project(root=root), "edge")


def _entries(bundle: Bundle) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(bundle.tar)) as archive:
        return {entry.name: entry for entry in archive}


def _read(bundle: Bundle, name: str) -> str:
    with tarfile.open(fileobj=io.BytesIO(bundle.tar)) as archive:
        file = archive.extractfile(name)
        assert file is not None
        return file.read().decode()


def _refusal(root: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        _build(root)
    return caught.value.render()


def test_digest_is_that_of_the_tar_and_shows_in_the_command(root: Path) -> None:
    bundle = _build(root)
    assert bundle.digest == hashlib.sha256(bundle.tar).hexdigest()
    assert bundle.activation.splitlines()[0] == f"# activate edge {bundle.digest[:12]}"


def test_bytes_depend_on_neither_times_nor_umask_nor_owner(root: Path) -> None:
    first = _build(root).tar
    for path in (root / "compose").rglob("*"):
        os.utime(path, (1, 1))
        if path.is_file():
            path.chmod(path.stat().st_mode & 0o700)
    assert _build(root).tar == first


def test_entries_are_sorted_and_anonymous(root: Path) -> None:
    entries = _entries(_build(root))
    assert list(entries) == [
        ".env",
        "compose.yaml",
        "nginx",
        "nginx/reload.sh",
        "nginx/site.conf",
        "release.py",
        "tier.json",
        "watchdog.py",
    ]
    for entry in entries.values():
        assert (entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname) == (0, 0, 0, "", "")
    modes = {name: oct(entry.mode) for name, entry in entries.items()}
    assert {modes.pop("nginx"), modes.pop("nginx/reload.sh")} == {"0o755"}
    assert set(modes.values()) == {"0o644"}


def test_the_text_of_each_file_is_there_for_previews(root: Path) -> None:
    files = _build(root).files
    shipped = {"compose.yaml", "nginx/reload.sh", "nginx/site.conf", "release.py", "watchdog.py"}
    assert set(files) == {*shipped, ".env", "tier.json"}
    assert files["compose.yaml"] == COMPOSE
    assert files["nginx/site.conf"].startswith("allow 173.245.48.0/20;\n"), "as rendered"


def test_change_of_one_byte_changes_the_digest(root: Path) -> None:
    before = _build(root).digest
    (root / "compose" / "edge" / "compose.yaml").write_text(COMPOSE + "#")
    assert _build(root).digest != before


def test_template_is_rendered_and_loses_its_suffix(root: Path) -> None:
    assert _read(_build(root), "nginx/site.conf") == (
        "allow 173.245.48.0/20;\nallow 103.21.244.0/22;\n# staging-basecommerce.com.br\n"
    )


def test_template_with_an_unknown_variable_is_refused(root: Path) -> None:
    (root / "compose" / "edge" / "x.j2").write_text("{{ zone }}")
    assert _refusal(root) == (
        "compose/edge/x.j2: does not render: 'zone' is undefined\n"
        "hint: templates may use: domain, environment, vpc_ip_range, cloudflare_ranges"
    )


def test_env_file_holds_the_variables_that_the_tier_uses_and_no_others(root: Path) -> None:
    image = project().image("nginx")
    assert _read(_build(root), ".env") == f"DOMAIN='staging-basecommerce.com.br'\nIMAGE_NGINX='{image}'\n"
    assert _build(root).images == (image,), "what is pulled is what the tier runs"


def test_new_tag_of_the_applications_leaves_a_tier_without_them_alone(root: Path) -> None:
    settings = with_value(raw_settings(), "images.tag", "sha-7654321")
    assert build_bundle(load_project(root, "staging", settings, SECRET_KEYS), "edge").digest == _build(root).digest


def test_what_is_for_developers_only_is_not_shipped(root: Path) -> None:
    before = _build(root).digest
    for name in ("env.example", ".env", "README.md"):
        (root / "compose" / "edge" / name).write_text("X='for running by hand'\n")
    (root / "compose" / "__pycache__").mkdir()
    assert _build(root).digest == before


def test_link_is_refused(root: Path) -> None:
    (root / "compose" / "edge" / "hosts").symlink_to("/etc/hosts")
    assert _refusal(root) == (
        "compose/edge/hosts: is a symbolic link, which could bring in a file from elsewhere\n"
        "hint: put the file itself here"
    )


@pytest.mark.parametrize(
    "name",
    [
        *("origin.key", "origin.pem", ".env.production", "auth.env", "id_ed25519"),
        *("postgres_password", "redis_password.txt"),
    ],
)
def test_file_that_is_named_like_a_secret_is_refused(root: Path, name: str) -> None:
    (root / "compose" / "edge" / name).write_text("")
    assert _refusal(root) == (
        f"compose/edge/{name}: looks like a secret\nhint: secrets come from the stack's settings; remove the file"
    )


@pytest.mark.parametrize(
    "text", ["-----BEGIN OPENSSH PRIVATE KEY-----\n", "dop_v1_" + "0" * 64, "ghp_" + "aA0" * 12, "AKIA" + "A0" * 8]
)
def test_line_that_holds_a_key_or_a_token_is_refused(root: Path, text: str) -> None:
    (root / "compose" / "edge" / "notes.conf").write_text(f"# notes\n{text}")
    assert _refusal(root) == (
        "compose/edge/notes.conf: line 2 looks like a secret\n"
        "hint: remove it and make a new secret; secrets come from the stack's settings"
    )


@pytest.mark.parametrize("name", ["compose/edge/compose.yaml", "compose/release.py"])
def test_bundle_without_its_main_files_is_refused(root: Path, name: str) -> None:
    (root / name).unlink()
    assert _refusal(root) == f"{name}: there is no such file\nhint: restore it with `git checkout`"


@pytest.mark.parametrize("tier", ["infra", "vertical", "edge"])
@pytest.mark.parametrize("stack", ["local", "staging", "production"])
def test_tracked_tier_builds(stack: str, tier: str) -> None:
    assert {"compose.yaml", "release.py", ".env"} <= set(_entries(build_bundle(project(stack), tier)))


@pytest.mark.parametrize(("stack", "sent"), [("local", False), ("staging", True), ("production", True)])
def test_hsts_is_for_domains_that_are_ours_alone(stack: str, sent: bool) -> None:
    value = '"~https" "max-age=31536000; includeSubDomains; preload";'
    rendered = build_bundle(project(stack), "edge").files["nginx/site/domain.hsts"].splitlines()
    assert [line for line in rendered if line and not line.startswith("#")] == ([value] if sent else [])


def _bootstrap(
    bundle: Bundle, tmp_path: Path, tar: bytes | None = None, digest: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run the activation with a directory of the test instead of /run, and with what a payload has instead."""
    (tmp_path / "run").mkdir(exist_ok=True)
    packed = base64.b64encode(bundle.tar if tar is None else tar).decode()
    payload = json.dumps({"bundle": packed, "digest": digest or bundle.digest, "secrets": {}})
    script = bundle.activation.replace("/run", f"{tmp_path}/run")
    environment = {"PATH": os.environ["PATH"]}  # nothing of ours: PYTHONDONTWRITEBYTECODE would hide a missing -B
    return subprocess.run(
        ["bash", "-c", script], input=payload, capture_output=True, text=True, check=False, env=environment
    )


def test_bootstrap_unpacks_the_payload_runs_release_py_and_leaves_nothing(root: Path, tmp_path: Path) -> None:
    bundle = _build(root)
    result = _bootstrap(bundle, tmp_path)
    assert result.stderr == ""
    # Python's compiled files are not there: they would become files of the release.
    files = [".env", "compose.yaml", "nginx", "release.py", "tier.json", "watchdog.py"]
    assert result.stdout == f"activate edge {bundle.digest} {files}\n"
    assert list((tmp_path / "run").iterdir()) == []


def test_bootstrap_hands_over_the_directory_and_a_payload_for_root_alone(root: Path, tmp_path: Path) -> None:
    (root / "compose" / "release.py").write_text(HANDED_OVER)
    bundle = _build(root)
    unpacked, payload, script, modes, content = json.loads(_bootstrap(bundle, tmp_path).stdout)
    work = Path(unpacked).parent
    assert (Path(script).parent, Path(payload).parent) == (Path(unpacked), work)
    assert work.parent == tmp_path / "run"
    assert modes == [0o700, 0o600, 0o755]
    assert content == {"bundle": base64.b64encode(bundle.tar).decode(), "digest": bundle.digest, "secrets": {}}


def test_bootstrap_removes_what_a_killed_one_left_and_nothing_that_may_run(root: Path, tmp_path: Path) -> None:
    hours = time.time() - 2 * 3600
    for name, moment in (("basecommerce.killed", hours), ("basecommerce.live00", time.time()), ("basecommerce", hours)):
        (tmp_path / "run" / name).mkdir(parents=True)
        os.utime(tmp_path / "run" / name, (moment, moment))
    assert _bootstrap(_build(root), tmp_path).returncode == 0
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"basecommerce.live00", "basecommerce"}


def test_bootstrap_refuses_a_bundle_with_another_digest(root: Path, tmp_path: Path) -> None:
    bundle = _build(root)
    result = _bootstrap(bundle, tmp_path, bundle.tar + b"\0")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"the bundle does not have the digest {bundle.digest}\n"
    assert list((tmp_path / "run").iterdir()) == []


def test_bootstrap_refuses_a_payload_that_names_another_digest(root: Path, tmp_path: Path) -> None:
    bundle = _build(root)
    result = _bootstrap(bundle, tmp_path, digest="0" * 64)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"the bundle does not have the digest {bundle.digest}\n"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../evil", tarfile.REGTYPE),
        ("nginx/../../evil", tarfile.REGTYPE),
        ("/tmp/evil", tarfile.REGTYPE),
        ("../evil", tarfile.DIRTYPE),
        ("link", tarfile.SYMTYPE),
        ("hard", tarfile.LNKTYPE),
        ("pipe", tarfile.FIFOTYPE),
        ("disk", tarfile.BLKTYPE),
    ],
)
def test_bootstrap_refuses_all_but_plain_files_before_anything_runs(tmp_path: Path, name: str, kind: bytes) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        script = tarfile.TarInfo("release.py")
        script.size = len(RAN)
        archive.addfile(script, io.BytesIO(RAN))
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, "release.py"
        archive.addfile(entry)
    tar = buffer.getvalue()
    bundle = Bundle(tier="edge", digest=hashlib.sha256(tar).hexdigest(), tar=tar, images=())
    result = _bootstrap(bundle, tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"bundle: {name}: not a plain file\nhint: rebuild the bundle from compose/\n"
    assert list((tmp_path / "run").iterdir()) == []


def test_bootstrap_fails_when_release_py_fails(root: Path, tmp_path: Path) -> None:
    (root / "compose" / "release.py").write_text("raise SystemExit(7)\n")
    bundle = _build(root)
    assert _bootstrap(bundle, tmp_path).returncode == 7


def test_bootstrap_stops_at_the_first_failure() -> None:
    assert BOOTSTRAP.startswith("set -euo pipefail\numask 077\n")
    assert "|| true" not in BOOTSTRAP
