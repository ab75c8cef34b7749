"""The user data of each role equals its golden file, and does what that file promises.

Write the golden files again with `python -m tests.unit.test_topology_cloud_init`, and read the difference.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.topology_support import ROOT, private_key, project, tree_copy
from topology.cloud_init import PACKAGES, SSHD_FILE, SSHD_PEERS_FILE, TEMPLATE_FILE, render_user_data, template_digest
from topology.keys import public_key

GOLDEN = Path(__file__).parent / "golden"
DROPLETS = ("infra", "vertical", "edge")
LOGIN_KEY = public_key(private_key(1))
HOST_KEY = private_key(4)
UNUSED_OPTIONS = {"bootcmd", "packages", "swap", "mounts", "chpasswd", "password", "apt", "power_state"}
"""Options that fail or wait in a system container, set a password, or download on every first boot."""


def _text(droplet: str) -> str:
    return render_user_data(project(), droplet, LOGIN_KEY, HOST_KEY)


def _golden(droplet: str) -> str:
    """Return the user data without the private key, which is made anew for each run."""
    return _text(droplet).replace(HOST_KEY.strip().replace("\n", "\n    "), "<the host key>")


def _data(droplet: str) -> Any:
    return yaml.safe_load(_text(droplet))


def _file(droplet: str, path: str) -> str:
    return next(str(entry["content"]) for entry in _data(droplet)["write_files"] if entry["path"] == path)


def _append(root: Path, text: str) -> None:
    template = root / "cloud-init" / "base.yaml.j2"
    template.write_text(template.read_text() + text)


def _script(droplet: str) -> str:
    return "\n".join(_data(droplet)["runcmd"])


@pytest.mark.parametrize("droplet", DROPLETS)
def test_user_data_equals_its_golden_file(droplet: str) -> None:
    assert _golden(droplet) == (GOLDEN / f"user-data-{droplet}.yaml").read_text()


@pytest.mark.parametrize("droplet", DROPLETS)
def test_user_data_is_tiny_and_starts_with_the_line_that_cloud_init_looks_for(droplet: str) -> None:
    assert _text(droplet).startswith("#cloud-config\n")
    assert len(_text(droplet).encode()) < 8 * 1024


@pytest.mark.parametrize("droplet", DROPLETS)
def test_only_the_operator_may_log_in_and_by_key_only(droplet: str) -> None:
    data = _data(droplet)
    (user,) = data["users"]
    assert user["name"] == "basec"
    assert user["ssh_authorized_keys"] == [LOGIN_KEY]
    assert (user["lock_passwd"], user["sudo"]) == (True, "ALL=(ALL) NOPASSWD:ALL")
    assert (data["disable_root"], data["ssh_pwauth"]) == (True, False)
    lines = _file(droplet, SSHD_FILE).splitlines()
    for line in ("PermitRootLogin no", "PasswordAuthentication no", "KbdInteractiveAuthentication no"):
        assert line in lines
    assert {"AuthenticationMethods publickey", "AllowUsers basec"} <= set(lines)


@pytest.mark.parametrize("droplet", DROPLETS)
def test_sshd_offers_the_given_ed25519_host_key_and_no_other(droplet: str) -> None:
    data = _data(droplet)
    assert data["ssh_deletekeys"] is True
    assert data["ssh_keys"] == {"ed25519_private": HOST_KEY, "ed25519_public": public_key(HOST_KEY)}
    keys = [line for line in _file(droplet, SSHD_FILE).splitlines() if line.startswith("HostKey")]
    assert keys == ["HostKey /etc/ssh/ssh_host_ed25519_key"]


def test_bastion_may_forward_but_to_nobody_yet() -> None:
    assert {"AllowTcpForwarding local", "PermitOpen none"} <= set(_file("edge", SSHD_PEERS_FILE).splitlines())


@pytest.mark.parametrize("droplet", ["infra", "vertical"])
def test_other_droplets_forward_nothing(droplet: str) -> None:
    lines = _file(droplet, SSHD_PEERS_FILE).splitlines()
    assert "AllowTcpForwarding no" in lines
    assert not any(line.startswith("PermitOpen") for line in lines)


@pytest.mark.parametrize("droplet", DROPLETS)
def test_many_logins_from_the_private_network_are_not_penalised(droplet: str) -> None:
    assert "PerSourcePenaltyExemptList 10.81.0.0/20" in _file(droplet, SSHD_PEERS_FILE).splitlines()
    assert "MaxSessions 100" in _file(droplet, SSHD_FILE).splitlines()


@pytest.mark.parametrize("droplet", DROPLETS)
def test_pending_logins_are_limited_by_address_from_first_boot_and_can_change_later(droplet: str) -> None:
    limits = {"MaxStartups 100:30:200", "PerSourceMaxStartups 20", "LoginGraceTime 20"}
    assert limits <= set(_file(droplet, SSHD_PEERS_FILE).splitlines())
    # sshd takes the first value that it reads: one in this file could never be changed on a running machine.
    assert not any(word in _file(droplet, SSHD_FILE) for word in ("Startups", "LoginGraceTime"))


@pytest.mark.parametrize(
    ("droplet", "source"), [("edge", "0.0.0.0/0"), ("infra", "10.81.0.0/20"), ("vertical", "10.81.0.0/20")]
)
def test_host_firewall_is_on_from_the_first_boot_and_admits_ssh_only(droplet: str, source: str) -> None:
    assert [line for line in _script(droplet).splitlines() if line.startswith("ufw")] == [
        "ufw default deny incoming",
        f"ufw allow proto tcp from {source} to any port 22 comment first-boot",
        "ufw --force enable",
    ]


def test_docker_keeps_containers_running_bounds_logs_and_takes_no_address_of_ours() -> None:
    daemon = json.loads(_file("edge", "/etc/docker/daemon.json"))
    assert (daemon["live-restore"], daemon["userland-proxy"], daemon["no-new-privileges"]) == (True, False, True)
    assert (daemon["log-driver"], daemon["log-opts"]) == ("local", {"max-size": "10m", "max-file": "3"})
    assert daemon["bip"] == "172.29.0.1/24"
    assert daemon["default-address-pools"] == [{"base": "172.31.0.0/16", "size": 24}]


def test_only_root_and_the_metrics_agent_reach_the_metadata_address() -> None:
    unit = _file("edge", "/etc/systemd/system/basecommerce-metadata.service")
    assert [line.partition(" raw ")[2] for line in unit.splitlines() if line.startswith("ExecStart=")] == [
        "-A PREROUTING -d 169.254.169.254/32 -j DROP",
        "-A OUTPUT -d 169.254.169.254/32 -m owner ! --uid-owner 0 -j DROP",
        "-I OUTPUT -d 169.254.169.254/32 -m owner --uid-owner do-agent -j ACCEPT",
    ]


def test_the_rule_for_the_metrics_agent_finds_its_user_at_the_first_boot() -> None:
    script = _script("edge").splitlines()
    enable = script.index("systemctl enable --now basecommerce-metadata.service")
    assert script[enable - 1] == (
        "id do-agent >/dev/null 2>&1 || useradd --system --no-create-home --shell /bin/false do-agent"
    )


@pytest.mark.parametrize("droplet", DROPLETS)
def test_packages_are_looked_for_before_anything_is_downloaded(droplet: str) -> None:
    data, script = _data(droplet), _script(droplet)
    assert (data["package_update"], data["package_upgrade"]) == (False, False)
    assert script.index('[ "$status" = installed ]') < script.index('if [ -n "$missing" ]') < script.index("apt-get")
    assert f"for package in {' '.join(PACKAGES)}; do" in script
    assert not UNUSED_OPTIONS & set(data)


@pytest.mark.parametrize("droplet", DROPLETS)
def test_first_failure_of_the_first_boot_is_the_status_of_cloud_init(droplet: str) -> None:
    assert _data(droplet)["runcmd"][0].startswith("set -eu\n")
    assert "|| true" not in _script(droplet)


def test_digest_changes_with_the_template_and_not_with_the_keys(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "cloud-init", tree_copy(tmp_path) / "cloud-init")
    before = template_digest(project(root=tmp_path), "edge")
    assert before == template_digest(project(), "edge")
    _append(tmp_path, "# one more line\n")
    assert template_digest(project(root=tmp_path), "edge") != before


@pytest.mark.parametrize("droplet", DROPLETS)
def test_a_machine_keeps_the_digest_of_the_template_that_it_was_born_with(droplet: str) -> None:
    files = {file["path"]: file["content"] for file in _data(droplet)["write_files"]}
    assert files[TEMPLATE_FILE] == f"{template_digest(project(), droplet)}\n"


def test_user_data_above_digitaloceans_limit_is_refused(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "cloud-init", tree_copy(tmp_path) / "cloud-init")
    _append(tmp_path, "#" * 64 * 1024)
    with pytest.raises(ValueError, match=r"the user data of edge has \d+ bytes, 65536 are allowed"):
        render_user_data(project(root=tmp_path), "edge", LOGIN_KEY, HOST_KEY)


def test_host_key_that_is_not_a_key_is_refused_without_being_shown() -> None:
    with pytest.raises(ValueError, match="is not an unencrypted private key in OpenSSH format") as caught:
        render_user_data(project(), "edge", LOGIN_KEY, "made-up-secret")
    assert "made-up-secret" not in str(caught.value)


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name in DROPLETS:
        (GOLDEN / f"user-data-{name}.yaml").write_text(_golden(name))
