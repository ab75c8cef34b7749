"""The stand-in for DigitalOcean's metrics agent gets through the droplet's own packet filter, and nobody else does.

Real namespaces, filter and programs, without Docker: a network, mounts and a user list of the test's own.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from components.remote import read_script
from topology.cloud_init import METADATA_UNIT, METADATA_UNIT_NAME, METRICS_AGENT_USER

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "localcloud/images/droplet/files"
RULES = "\n".join(line.partition("=")[2] for line in METADATA_UNIT.splitlines() if line.startswith("ExecStart="))
ACCEPT = next(line for line in RULES.splitlines() if line.endswith("ACCEPT"))
NAMESPACES = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
DROPLET = f"""
set -eu
mount -t tmpfs tmpfs /run
cp /etc/passwd "$1/passwd"
grep -q '^do-agent:' "$1/passwd" || echo 'do-agent:x:64001:65534::/nonexistent:/bin/false' >>"$1/passwd"
mount --bind "$1/passwd" /etc/passwd
mount --bind {FILES}/usr/local/lib /usr/local/lib
ip link set lo up
sh {FILES}/usr/local/sbin/localcloud-metadata "$1/meta-data" "$1/figures.json" &
"""
ASK = "curl --silent --max-time 1 http://169.254.169.254/metadata/v1/id"
UNTIL_UP = f"for _ in $(seq 50); do {ASK} >/dev/null && break; sleep 0.1; done"


def as_user(user: str, command: str) -> str:
    return f'setpriv --reuid="$(id -u {user})" --clear-groups -- {command}'


@pytest.fixture
def droplet(tmp_path: Path) -> Path:
    if subprocess.run([*NAMESPACES, "true"], capture_output=True, check=False).returncode or not shutil.which("curl"):
        pytest.skip("no namespaces of its own (root with SYS_ADMIN is needed), or no curl")
    tmp_path.chmod(0o755)
    (tmp_path / "meta-data").write_text(json.dumps({"instance-id": "400000001", "region": "nyc3"}))
    return tmp_path


def inside(droplet: Path, *steps: str) -> str:
    """Run shell lines in a droplet whose metadata service answers, and give what they print."""
    done = subprocess.run(
        [*NAMESPACES, "bash", "-c", "\n".join((DROPLET, UNTIL_UP, *steps)), "droplet", droplet],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


AGENT = as_user("do-agent", f"timeout 2 sh {FILES}/usr/local/bin/do-agent || true")


def test_the_agent_delivers_a_figure_through_the_filter_of_a_droplet(droplet: Path) -> None:
    inside(droplet, RULES, AGENT)
    figure = json.loads((droplet / "figures.json").read_text())
    assert figure["droplet_id"] == "400000001"
    assert figure["figure"].startswith("load_1 ")


def test_root_gets_through_and_no_other_user(droplet: Path) -> None:
    answers = inside(droplet, RULES, ASK, f"{as_user('nobody', ASK)} || echo ' refused'")
    assert answers == "400000001 refused\n"


def test_an_agent_that_is_not_let_out_delivers_nothing(droplet: Path) -> None:
    """The stand-in proves something: without the one rule it fails as the real agent does."""
    inside(droplet, RULES, ACCEPT.replace(" -I ", " -D "), AGENT)
    assert not (droplet / "figures.json").exists()


BORN_EARLIER = "\n".join(line for line in RULES.splitlines() if line != ACCEPT)
MEND = f"""
{read_script("lib.sh", "upkeep.sh")}
{read_script("prepare-host.sh").rpartition(chr(10) + "wait_for_cloud_init" + chr(10))[0]}
UNITS_DIR=$1 METRICS_AGENT_USER={METRICS_AGENT_USER} METADATA_UNIT_NAME={METADATA_UNIT_NAME}
METADATA_UNIT=$(cat "$1/unit")
systemctl() {{ say "systemctl $*"; }}
let_metrics_agent_out
"""


def test_a_machine_that_was_born_earlier_is_mended_once_and_its_agent_started_anew(droplet: Path) -> None:
    (droplet / "unit").write_text(METADATA_UNIT)
    said = inside(droplet, BORN_EARLIER, MEND, "echo again", MEND, AGENT, "iptables -t raw -S OUTPUT")
    first, again = said.split("again\n")
    assert "the metrics agent is let out to the metadata address\n" in first
    assert "systemctl restart do-agent.service" in first
    assert re.findall(r"-j (\w+)", again) == ["ACCEPT", "DROP"], again
    assert "systemctl restart" not in again
    assert (droplet / METADATA_UNIT_NAME).read_text() == f"{METADATA_UNIT}\n"
    assert (droplet / "figures.json").exists()


def test_status_tries_as_the_agents_user_whether_it_is_let_out(droplet: Path) -> None:
    systemctl = droplet / "systemctl"
    systemctl.write_text("#!/bin/sh\nprintf 'ActiveState=active\\nUser=do-agent\\n'\n")
    systemctl.chmod(0o755)
    program = f"import sys; sys.path[:0] = ['{ROOT}']; from basec.hosts.onhost.status import *; "
    look = f'PATH="$1:$PATH" /usr/bin/python3 -c "{program} print(parse_agent(ask_agent()))"'
    said = inside(droplet, RULES, look, ACCEPT.replace(" -I ", " -D "), look)
    assert said.splitlines() == [
        "{'running': True, 'let_out': True}",
        "{'running': True, 'let_out': False}",
    ]
