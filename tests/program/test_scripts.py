"""The scripts that run on droplets: linted, and their pure parts run here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from components.remote import SCRIPTS, command_text, read_script

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\ncanary\n-----END OPENSSH PRIVATE KEY-----\n"


def bash(script: str, *, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **variables}
    return subprocess.run(
        ["bash", "-c", script], input=stdin, env=environment, capture_output=True, text=True, timeout=30, check=False
    )


def functions(name: str) -> str:
    """Return a script without its last block, which runs it."""
    text = read_script("lib.sh", name)
    return text[: text.rindex("\n}\n") + 3]


def test_scripts_are_clean_for_shellcheck() -> None:
    checker = Path(sys.executable).parent / "shellcheck"
    assert checker.exists(), "install requirements-dev.txt"
    run = subprocess.run([checker, *sorted(SCRIPTS.glob("*.sh"))], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


def test_a_rendered_command_is_valid_for_the_login_shell() -> None:
    for names in (("upkeep.sh", "prepare-host.sh"), ("apply-firewall.sh",), ("wait-peer.sh",), ("origin-http.sh",)):
        script = read_script("lib.sh", *names)
        text = command_text(droplet_id="1", title=names[-1], script=script, variables={"A": "it's"})
        assert len(text) < 128 * 1024  # the kernel's limit of one argument
        run = subprocess.run(["bash", "-n", "-c", text], capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr


def test_put_writes_once_and_touches_nothing_the_second_time(tmp_path: Path) -> None:
    file = tmp_path / "unit"
    script = read_script("lib.sh") + '\nput "$FILE" 0640 "$(stat -c %U "$DIR")" <<<text\nsay "$WRITTEN"'
    variables = {"FILE": str(file), "DIR": str(tmp_path)}
    first = bash(script, **variables)
    assert (first.stdout, first.returncode) == ("yes\n", 0), first.stderr
    before = file.stat()
    assert oct(before.st_mode)[-3:] == "640"
    second = bash(script, **variables)
    assert second.stdout == "no\n"
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_waiting_ends_with_the_reason_and_the_seconds() -> None:
    run = bash(read_script("lib.sh") + "\nwait_until 1 'the thing' false")
    assert run.returncode == 1
    assert run.stderr == "error: the thing: not within 1 s\n"


def test_the_key_is_cut_out_of_the_seed_and_its_copies_are_removed(tmp_path: Path) -> None:
    cloud, running = tmp_path / "cloud", tmp_path / "run"
    seed = cloud / "seed" / "nocloud" / "user-data"
    copy = cloud / "instances" / "1" / "user-data.txt"
    other = cloud / "data" / "instance-id"
    sensitive = running / "instance-data-sensitive.json"
    for file, text in (
        (seed, f"#cloud-config\nkey: |\n{KEY}user: basec\n"),
        (copy, KEY),
        (other, "1\n"),
        (sensitive, KEY.replace("\n", "\\n")),
    ):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    run = bash(read_script("scrub-user-data.sh"), CLOUD_DIR=str(cloud), RUN_DIR=str(running))
    assert run.returncode == 0, run.stderr
    assert seed.read_text() == "#cloud-config\nkey: |\nuser: basec\n"
    assert not copy.exists()
    assert not sensitive.exists()
    assert other.exists()


def chain(family: str, table: str) -> list[str]:
    run = bash(functions("apply-firewall.sh") + "read_table\nuser_chain " + family, stdin=table)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def switch(directory: Path, state: str) -> tuple[str, str, float]:
    """Run origin-http.sh; return its output, the sleep that it asked for, and when the file was written."""
    script = 'sleep() { say "waits $1"; }\n' + read_script("origin-http.sh")
    variables = {"HTTP_DIR": str(directory / "http"), "PLAIN_HTTP": state, "WAIT_SECONDS": "30"}
    run = bash(read_script("lib.sh") + script, **variables)
    assert run.returncode == 0, run.stderr
    marker = directory / "http" / "open"
    return run.stdout, oct((directory / "http").stat().st_mode)[-3:], marker.stat().st_mtime if marker.exists() else 0


def test_plain_http_is_closed_where_nothing_was_open_without_a_wait(tmp_path: Path) -> None:
    assert switch(tmp_path, "closed") == ("plain HTTP is closed\n", "755", 0)


def test_plain_http_that_was_open_is_closed_after_cloudflare_had_time_to_learn(tmp_path: Path) -> None:
    said, mode, written = switch(tmp_path, "open")
    assert (said, mode) == ("plain HTTP is open\n", "755")
    assert written
    assert switch(tmp_path, "open") == (said, mode, written), "a second run touches nothing"
    assert switch(tmp_path, "closed") == ("waits 30\nplain HTTP is closed\n", "755", 0)


TABLE = """\
ufw allow tcp 22 10.80.0.4/32 infra-ssh
docker tcp 5432 10.80.0.4/32 10.80.0.2
docker tcp 80 173.245.48.0/20 any
docker tcp 80 2400:cb00::/32 any
"""


def test_docker_admits_named_peers_at_the_published_port_and_drops_the_rest() -> None:
    lines = chain("4", TABLE)
    assert lines[:2] == ["*filter", ":DOCKER-USER - [0:0]"]
    assert lines[-2:] == ["-A DOCKER-USER -j DROP", "COMMIT"]
    assert lines[6:-2] == [
        "-A DOCKER-USER -p tcp -s 10.80.0.4/32 -m conntrack --ctstate DNAT --ctdir ORIGINAL"
        " --ctorigdst 10.80.0.2 --ctorigdstport 5432 -j RETURN",
        "-A DOCKER-USER -p tcp -s 173.245.48.0/20 -m conntrack --ctstate DNAT --ctdir ORIGINAL"
        " --ctorigdstport 80 -j RETURN",
    ]


def test_addresses_of_the_other_family_stay_out_of_a_chain() -> None:
    assert [line for line in chain("6", TABLE) if " -s " in line] == [
        "-A DOCKER-USER -p tcp -s 2400:cb00::/32 -m conntrack --ctstate DNAT --ctdir ORIGINAL"
        " --ctorigdstport 80 -j RETURN"
    ]


def test_a_table_without_a_rule_for_the_machine_is_refused() -> None:
    run = bash(functions("apply-firewall.sh") + "read_table", stdin="docker tcp 80 10.0.0.0/8 any\n")
    assert run.returncode == 1
    assert run.stderr == "error: the table has no UFW rule\n"


def test_the_kept_block_is_replaced_in_place_and_the_rest_of_the_file_stays(tmp_path: Path) -> None:
    rules = tmp_path / "after.rules"
    rules.write_text("*filter\nCOMMIT\n")
    script = functions("apply-firewall.sh") + 'keep_block "$FILE" <<<"$BLOCK"\nsay "$WRITTEN"'
    for block, written in (("one", "yes"), ("one", "no"), ("two", "yes")):
        run = bash(script, FILE=str(rules), BLOCK=block)
        assert (run.stdout, run.returncode) == (f"{written}\n", 0), run.stderr
    assert rules.read_text() == (
        "*filter\nCOMMIT\n# BEGIN basecommerce (written by basec up; edits are lost)\ntwo\n# END basecommerce\n"
    )


def test_what_ufw_refuses_stands_before_what_it_admits(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    fake = (
        'ufw() { say "$*" >>"$CALLS"; '
        "if [[ $* == 'status verbose' ]]; then say 'Status: active'; say 'Default: deny (incoming)'; fi; }\n"
    )
    table = "ufw deny tcp 22 10.80.0.0/20 edge-ssh-vpc\nufw allow tcp 22 0.0.0.0/0 edge-ssh\n"
    run = bash(functions("apply-firewall.sh") + fake + "read_table\nconverge_ufw", stdin=table, CALLS=str(calls))
    assert run.returncode == 0, run.stderr
    changes = [line.split(" comment ")[0] for line in calls.read_text().splitlines() if " comment " in line]
    assert changes == [
        "prepend deny proto tcp from 10.80.0.0/20 to any port 22",
        "allow proto tcp from 0.0.0.0/0 to any port 22",
    ]


@pytest.mark.parametrize(
    ("container", "already", "changes"),
    [
        ("no", "no", ["enable --quiet systemd-timesyncd.service", "start systemd-timesyncd.service"]),
        ("no", "yes", []),
        ("yes", "no", []),
    ],
    ids=["a machine whose clock is left alone", "a machine that is set up", "a container"],
)
def test_a_machine_of_its_own_keeps_its_clock_and_a_container_leaves_it(
    tmp_path: Path, container: str, already: str, changes: list[str]
) -> None:
    calls = tmp_path / "calls"
    calls.touch()
    fake = (
        "\nin_container() { [[ $CONTAINER == yes ]]; }\n"
        'systemctl() { if [[ $1 == is-* ]]; then [[ $ALREADY == yes ]]; else say "$*" >>"$CALLS"; fi; }\n'
        "start_time_sync\n"
    )
    script = read_script("lib.sh", "upkeep.sh") + fake
    run = bash(script, CONTAINER=container, ALREADY=already, CALLS=str(calls), PACKAGES="")
    assert run.returncode == 0, run.stderr
    assert calls.read_text().splitlines() == changes


def test_a_left_over_that_cannot_be_removed_hides_no_other_and_is_a_failure(tmp_path: Path) -> None:
    script = read_script("upkeep.sh").partition("<<'PRUNE'\n")[2].partition("\nPRUNE\n")[0]
    docker = tmp_path / "docker"
    docker.write_text(f'#!/bin/sh\necho "$1" >>{tmp_path}/calls\n[ "$1" != container ]\n')
    docker.chmod(0o755)
    run = bash(f"PATH={tmp_path}:$PATH\n{script}")
    assert (run.returncode, (tmp_path / "calls").read_text().split()) == (1, ["container", "image"])
