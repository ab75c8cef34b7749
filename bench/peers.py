"""pyinfra and Ansible, run on the same three droplets, through the same bastion, with the same login key."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

from bench.measure import Run, run
from bench.stack import ENVIRONMENT, WORK, Stack

FILES = Path(__file__).parent / "peer_files"
OLDER_KEY_EXCHANGE = (
    "echo KexAlgorithms mlkem768x25519-sha256,curve25519-sha256@libssh.org > /etc/ssh/sshd_config.d/05-peers.conf"
    " && systemctl reload ssh"
)
"""pyinfra's SSH library, paramiko, has none of the key exchanges of our hosts: the measured ones offer one more."""


@dataclass(frozen=True)
class Peers:
    """The peers' commands, ready to run."""

    stack: Stack
    environment: dict[str, str]

    @classmethod
    def prepare(cls, stack: Stack) -> Peers:
        """Install them, and write the inventories that they read. The stack must be up."""
        venv = WORK / "venv"
        if not (venv / "bin/pip").exists():
            subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        requirements = ["--quiet", "--disable-pip-version-check", "--requirement", str(FILES / "requirements.txt")]
        subprocess.run([venv / "bin/pip", "install", *requirements], check=True)
        hosts = stack.hosts
        for host in hosts:  # also loads the key into the agent, and opens the kept connections
            stack.basec("ssh", host, "--", "sudo", "sh", "-c", OLDER_KEY_EXCHANGE)
        config = stack.root / ".basec" / ENVIRONMENT / "ssh_config"
        agent = next(line.split('"')[1] for line in config.read_text().splitlines() if "IdentityAgent" in line)
        pyinfra = _pyinfra_ssh_config(config)
        (WORK / "pyinfra_inventory.py").write_text(
            f"hosts = {json.dumps([[name, _pyinfra_data(host['tier'], pyinfra)] for name, host in hosts.items()])}\n"
            "hosts = [tuple(host) for host in hosts]\n"
        )
        tiers = {name: {"tier": host["tier"]} for name, host in hosts.items()}
        (WORK / "ansible_inventory.yml").write_text(yaml.safe_dump({"all": {"hosts": tiers}}))
        ansible = {
            "ANSIBLE_SSH_ARGS": f"-F {config}",
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
            "ANSIBLE_INVENTORY": str(WORK / "ansible_inventory.yml"),
            "ANSIBLE_HOME": str(WORK / "ansible"),
        }
        return cls(stack, {"SSH_AUTH_SOCK": agent, **ansible})

    def pyinfra(self) -> Run:
        argv = [str(WORK / "venv/bin/pyinfra"), "-y", str(WORK / "pyinfra_inventory.py")]
        return run([*argv, str(FILES / "pyinfra_deploy.py")], cwd=self.stack.root, environment=self.environment)

    def ansible(self) -> Run:
        argv = [str(WORK / "venv/bin/ansible-playbook"), "--extra-vars", f"files={self.stack.root / 'compose'}"]
        return run([*argv, str(FILES / "playbook.yml")], cwd=self.stack.root, environment=self.environment)


def _pyinfra_ssh_config(config: Path) -> Path:
    """Copy the stack's SSH configuration for paramiko, which lacks `HostKeyAlias` and `IdentityFile none`."""
    keys = dict(line.split(" ", 1) for line in config.with_name("known_hosts").read_text().splitlines())
    blocks = re.findall(r"HostName (\S+)\n.*\n  HostKeyAlias (\S+)", config.read_text())
    by_address = WORK / "pyinfra_known_hosts"
    by_address.write_text("".join(f"{address} {keys[alias]}\n" for address, alias in blocks))
    copy = WORK / "pyinfra_ssh_config"
    text = config.read_text().replace(str(config.with_name("known_hosts")), str(by_address))
    copy.write_text(text.replace("  IdentityFile none\n", ""))
    return copy


def _pyinfra_data(tier: str, config: Path) -> dict[str, object]:
    return {"tier": tier, "ssh_config_file": str(config), "ssh_strict_host_key_checking": "yes"}
