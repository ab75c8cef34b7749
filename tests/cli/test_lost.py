"""Which hosts stay silent, and how their machines are found to be gone and made anew."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from basec.engine import lost
from basec.environments import Environment
from basec.hosts.remote import UnreachableError, failure
from basec.session import Session
from tests.cli import fake_droplets
from tests.cli.conftest import Run
from tests.cli.dry import DryStack, clone_of_the_program, local_stack_that_is_up, production_stack

CLOUD = {"public_subnet": "198.51.100.0/24", "cloudflare_address": "198.51.100.2", "vpc_range": "10.77.0.0/24"}
LOST = "basec: {}: machines are lost\n{}: its droplet is gone: the cloud has none, and the state still does\n"


@pytest.fixture
def droplets(tmp_path: Path, clone: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    cloud = Environment(name="local", root=clone).cloud_file
    cloud.parent.mkdir(parents=True)
    cloud.write_text(json.dumps({**CLOUD, "mode": "real", "http_port": 80}))
    return fake_droplets.install(tmp_path / "droplets", clone, monkeypatch)


def test_a_host_that_gives_no_answer_is_silent_and_one_that_refuses_us_is_not(droplets: Path, clone: Path) -> None:
    (droplets / "vertical.json").write_text("")
    (droplets / "infra.down").touch()
    ssh = droplets / "ssh"
    refusal = 'if [ "$host" = edge ]; then echo "Permission denied (publickey)" >&2; exit 255; fi'
    ssh.write_text(ssh.read_text().replace("host=$2; shift 2\n", f"host=$2; shift 2\n{refusal}\n"))
    assert lost.listen(Session(Environment(name="local", root=clone)))() == lost.Answers(silent=["infra"])


def test_a_host_says_what_is_damaged_and_one_that_cannot_be_asked_for_it_says_nothing(
    droplets: Path, clone: Path
) -> None:
    (droplets / "edge.json").write_text("edge: /opt/basecommerce/edge/state.json: damaged: ValueError")
    (droplets / "infra.json").write_text("")
    (droplets / "python3").write_text('#!/bin/sh\necho "no such file" >&2; exit 2\n')  # asked on the vertical
    (droplets / "python3").chmod(0o755)
    answers = lost.listen(Session(Environment(name="local", root=clone)))()
    assert answers == lost.Answers(damaged={"edge": "edge: /opt/basecommerce/edge/state.json: damaged: ValueError"})


def test_nobody_is_asked_on_a_stack_that_was_never_up(clone: Path) -> None:
    assert lost.listen(Session(Environment(name="staging", root=clone)))() == lost.Answers()


def test_no_answer_is_told_from_a_refusal(clone: Path) -> None:
    local = Environment(name="local", root=clone)
    for said, silent in (("Connection timed out", True), ("Host key verification failed", False)):
        assert isinstance(failure(local, "infra", "true", 255, said), UnreachableError) is silent


@pytest.mark.parametrize(
    "said",
    [
        "kex_exchange_identification: read: Connection reset by peer\nConnection reset by 127.0.0.1 port 22",
        "kex_exchange_identification: read: Connection reset by peer",
        "Connection reset by 127.0.0.1 port 22",
        "Connection reset by UNKNOWN port -1",
        "kex_exchange_identification: Connection closed by remote host\nConnection closed by UNKNOWN port 65535",
    ],
)
def test_a_connection_that_is_reset_or_closed_before_the_login_is_no_answer(clone: Path, said: str) -> None:
    error = failure(Environment(name="local", root=clone), "infra", "true", 255, said)
    assert isinstance(error, UnreachableError)
    assert error.message == f"infra: cannot be reached by SSH: {said.splitlines()[-1]}"


def test_a_connection_that_is_reset_under_a_command_is_not_taken_for_a_machine_that_boots(clone: Path) -> None:
    said = "Read from remote host 127.0.0.1: Connection reset by peer"
    assert not isinstance(failure(Environment(name="local", root=clone), "infra", "true", 255, said), UnreachableError)


@pytest.mark.parametrize("spoken", [b"", b"SSH-2.0-OpenSSH_10.0\r\n"])
def test_ssh_itself_says_so_of_a_port_that_resets(clone: Path, spoken: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = ["ssh", "-F", "none", "-o", "BatchMode=yes", "-p", str(server.getsockname()[1]), "127.0.0.1", "true"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as ssh:
            connection, _ = server.accept()
            with connection:
                connection.recv(1)
                connection.sendall(spoken)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close by a reset
            said = ssh.communicate()[1].strip()
    error = failure(Environment(name="local", root=clone), "infra", "true", ssh.returncode, said)
    assert isinstance(error, UnreachableError), said


def test_status_of_a_host_that_is_not_reached_says_how_to_get_it_back(basec: Run, droplets: Path) -> None:
    for host in ("edge", "vertical"):
        fake_droplets.say(droplets, host, fake_droplets.document("nginx"))
    (droplets / "infra.down").touch()
    outcome = basec("status", "--env", "local")
    assert outcome.code == 4
    assert outcome.stdout.splitlines()[-1] == (
        "hint: basec preview --env local asks the cloud whether the machine is gone; "
        "then basec up --refresh --env local recreates it; more: basec explain BC-E067"
    )


@pytest.fixture
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DryStack]:
    with local_stack_that_is_up(tmp_path_factory) as made:
        yield made


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> lost.Answers:
    """Let hosts answer so: records have no sshd."""
    told = lost.Answers()
    monkeypatch.setattr(lost, "listen", lambda _: lambda: told)
    return told


@pytest.fixture
def silent(answers: lost.Answers) -> list[str]:
    """Let these hosts stay silent."""
    return answers.silent


@pytest.mark.engine
def test_a_host_with_a_damaged_record_gets_its_release_again_and_no_other_does(
    stack: DryStack, answers: lost.Answers
) -> None:
    answers.damaged["vertical"] = "vertical: /opt/basecommerce/vertical/state.json: damaged: ValueError"
    before = len(stack.journal().splitlines())
    said = stack.basec("up").stderr
    assert f"vertical: activates its release again: {answers.damaged['vertical']}\n" in said
    done = [json.loads(line) for line in stack.journal().splitlines()[before:]]
    assert {each["name"] for each in done} == {"vertical-stack-activation"}
    answers.damaged.clear()
    assert "up: nothing to do" in stack.basec("up").stderr


def take(stack: DryStack, kind: str, name: str) -> None:
    """Remove something from the cloud behind the engine's back, and what hangs on it from it."""
    path = stack.cloud / "dry.json"
    data = json.loads(path.read_text())
    (found,) = (each for each, record in data[kind].items() if record["urn"].endswith(f"::{name}"))
    del data[kind][found]
    for record in (*data["volume"].values(), *data["reserved_ip"].values()):
        if record.get("droplet_id") == found:
            record["droplet_id"] = None
    path.write_text(json.dumps(data))


@pytest.mark.engine
def test_a_machine_that_is_gone_is_named_and_made_anew_with_its_volume(stack: DryStack, silent: list[str]) -> None:
    before, volumes = stack.resources(), stack.records("volume")
    take(stack, "droplet", "infra-droplet")
    silent.append("infra")
    journal = stack.journal()
    for command in ("preview", "up"):
        said = stack.basec(command, code=4).stderr
        assert said.endswith(f"{LOST.format('local-dry', 'infra')}hint: basec up --refresh --env local-dry\n")
    assert json.loads(stack.basec("preview", "--json", code=4).stdout)["lost"] == ["infra"]
    assert (stack.journal(), stack.resources()) == (journal, before)

    said = stack.basec("up", "--refresh").stderr
    assert "infra: its droplet is gone: a new one is made\n" in said
    (new,) = (key for key, record in stack.records("droplet").items() if record["urn"].endswith("::infra-droplet"))
    (volume,) = stack.records("volume").items()
    assert (volume[0], volume[1]["droplet_id"]) == (next(iter(volumes)), new)
    silent.clear()
    assert "up: nothing to do" in stack.basec("up").stderr


@pytest.mark.engine
def test_a_silent_host_whose_machine_is_there_is_told_and_stops_nothing(stack: DryStack, silent: list[str]) -> None:
    silent.append("edge")
    assert "edge: does not answer by SSH, though the cloud has its droplet\n" in stack.basec("up").stderr


@pytest.mark.engine
def test_a_volume_that_is_gone_is_not_silently_made_anew(stack: DryStack) -> None:
    take(stack, "volume", "infra-volume")
    journal = stack.journal()
    said = stack.basec("up", "--refresh", code=5).stderr
    assert "BC07 local-dry: infra-volume (Volume): is gone, and the state still has it: a new one would" in said
    assert "on purpose: basec up --env local-dry --refresh --allow-replace infra-volume\n" in said
    assert stack.journal() == journal
    stack.basec("up", "--refresh", "--allow-replace", "infra-volume")
    assert len(stack.records("volume")) == 1


@pytest.mark.engine
def test_a_rule_that_somebody_added_in_the_panel_is_seen_and_removed(stack: DryStack) -> None:
    path = stack.cloud / "dry.json"
    data = json.loads(path.read_text())
    (firewall,) = (each for each in data["firewall"].values() if each["urn"].endswith("::cloud-firewall-edge"))
    wanted = list(firewall["spec"]["inbound"])
    firewall["spec"]["inbound"].append({**wanted[0], "ports": "9999"})
    path.write_text(json.dumps(data))
    assert "cloud-firewall-edge: no longer admits tcp 9999" in stack.basec("up", "--refresh").stderr
    (firewall,) = (each for each in stack.records("firewall").values() if each["urn"].endswith("::cloud-firewall-edge"))
    assert firewall["spec"]["inbound"] == wanted


@pytest.mark.engine
def test_a_protected_stack_asks_before_it_makes_a_lost_machine_anew(tmp_path_factory: pytest.TempPathFactory) -> None:
    with clone_of_the_program(tmp_path_factory.mktemp("lost")) as root, pytest.MonkeyPatch.context() as patch:
        stack = production_stack(root, patch)
        stack.basec("up", "--yes")
        take(stack, "droplet", "edge-droplet")
        before, state = stack.journal(), stack.resources()
        outcome = stack.basec("up", "--refresh", code=2)
        assert "changes must be confirmed" in outcome.stderr
        assert outcome.stderr.endswith("hint: basec up --refresh --env production --yes\n")
        assert (stack.journal(), stack.resources()) == (before, state), "the state still has it"
        stack.basec("up", "--refresh", "--yes")
        assert len(stack.records("droplet")) == 3
        assert sum(bool(each.get("protect")) for each in stack.resources()) == 5


def test_a_saved_plan_and_a_refresh_do_not_go_together(basec: Run, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    plan.touch()
    outcome = basec("up", "--refresh", "--plan", str(plan), "--env", "local")
    assert (outcome.code, "--plan" in outcome.stderr) == (2, True)
