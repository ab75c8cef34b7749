"""A service with two colours has one name: in `exec`, `compose restart`, `logs` and a preview."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest

from basec.commands import compose
from basec.commands import exec as exec_
from basec.engine.review import document, effects
from basec.engine.review.changes import review
from basec.engine.review.releases import compare_releases
from tests.cli.conftest import REPOSITORY, Run
from tests.cli.fake_droplets import install
from tests.cli.test_logs import start
from tests.cli.test_review import COMPOSE, FILES, HOSTS, STACK, activation
from topology.fleet import COLOURS

# ---- exec and compose restart -----------------------------------------------------------------------

SCRIPTS = "/opt/basecommerce/scripts"
PROGRAMS = {
    # As ssh and sshd do it: the words behind the host become one line, which the user's shell runs.
    "ssh": 'while [ "$1" != edge ]; do shift; done\nshift\nexec sh -c "$*"\n',
    "sudo": '[ "$1" != -n ] || shift\nexec "$@"\n',
    "release.py": """\
if [ -e "$DROPLETS/damaged" ]; then echo "edge: state.json: damaged" >&2; exit 1; fi
case $* in
  "serving edge auth") echo auth-green ;;
  "serving edge nginx") echo nginx ;;
  *) exit 2 ;;
esac
""",
    "docker": """\
python3 -Ic 'import json, sys; print(json.dumps(sys.argv[1:]))' "$@" >>"$DROPLETS/asked"
case $1 in
  exec) exit 7 ;;
  inspect) echo healthy ;;
esac
""",
}


@pytest.fixture
def edge(tmp_path: Path, clone: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A droplet whose green auth serves."""
    directory = install(tmp_path / "droplets", clone, monkeypatch)
    for name, text in PROGRAMS.items():
        (directory / name).write_text(f"#!/bin/sh\n{text}")
        (directory / name).chmod(0o755)
    for module, name in ((exec_, "IN_CONTAINER"), (compose, "RESTART_ONE")):
        monkeypatch.setattr(module, name, getattr(module, name).replace(SCRIPTS, str(directory)))
    return directory


def asked(droplet: Path) -> list[list[str]]:
    """Return what docker was called with."""
    file = droplet / "asked"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


WORDS = [
    "a  b",
    "",
    "$HOME",
    "*",
    "`id`",
    "it's",
    "; false",
    'a"b',
    "back\\slash",
    "line\nbreak",
    "~",
    "--",
    "-e",
    "$0",
]


@pytest.mark.parametrize(("service", "container"), [("auth", "edge-auth-green-1"), ("nginx", "edge-nginx-1")])
@pytest.mark.parametrize("words", [["env"], ["sh", "-c", 'printf "<%s>" "$0" "$@" | wc -l', *WORDS]])
def test_a_command_arrives_unchanged_in_the_container_that_serves(
    basec: Run, edge: Path, service: str, container: str, words: list[str]
) -> None:
    outcome = basec("exec", "edge", service, "--env", "local", "--", *words)
    assert asked(edge) == [["exec", "-i", container, *words]]
    assert outcome.code == 7, "the command's own"


def test_nothing_is_run_when_nobody_knows_which_container_serves(basec: Run, edge: Path) -> None:
    (edge / "damaged").touch()
    outcome = basec("exec", "edge", "auth", "--env", "local", "--", "env")
    assert (outcome.code, asked(edge)) == (1, [])
    assert "edge: state.json: damaged\n" in outcome.stderr


@pytest.mark.parametrize(("service", "container"), [("auth", "edge-auth-green-1"), ("nginx", "edge-nginx-1")])
def test_the_container_that_serves_is_restarted_and_must_be_healthy(
    basec: Run, edge: Path, service: str, container: str
) -> None:
    outcome = basec("compose", "restart", "edge", service, "--env", "local")
    assert (outcome.code, outcome.stdout) == (0, f"edge: {service} restarted and healthy\n")
    assert asked(edge) == [
        ["restart", container],
        ["inspect", "--format", "{{.State.Health.Status}}", container],
    ]


def test_nothing_is_restarted_when_nobody_knows_which_container_serves(basec: Run, edge: Path) -> None:
    (edge / "damaged").touch()
    outcome = basec("compose", "restart", "edge", "auth", "--env", "local")
    assert (outcome.code, asked(edge)) == (4, [])
    assert "edge: state.json: damaged\n" in outcome.stderr


@pytest.mark.parametrize("command", [("exec", "edge", "auth-blue", "env"), ("compose", "restart", "edge", "auth-blue")])
def test_a_colour_is_no_name_of_a_service(basec: Run, edge: Path, command: tuple[str, ...]) -> None:
    outcome = basec(*command, "--env", "local")
    assert (outcome.code, asked(edge)) == (2, [])
    assert outcome.stderr == "basec: edge: unknown service 'auth-blue'\nhint: one of nginx, haproxy, auth\n"


# ---- logs -------------------------------------------------------------------------------------------


@pytest.fixture
def two_auths(tmp_path: Path, clone: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A release after which green serves, and blue, whose lines are older but for one, is kept."""
    droplets = install(tmp_path / "droplets", clone, monkeypatch)
    (droplets / "edge.ps").write_text("edge-green auth-green\nedge-nginx nginx\nedge-blue auth-blue\n")
    for colour, minutes in (("blue", (1, 2, 4)), ("green", (3, 5))):
        lines = [f"2026-01-31T08:{minute:02}:00.000000000Z {colour} {minute}\n" for minute in minutes]
        (droplets / f"edge-{colour}.log").write_text("".join(lines))
    return droplets


TWO_AUTHS = [
    f"edge auth | 01-31 08:{minute:02}:00 {colour} {minute}"
    for minute, colour in enumerate(("blue", "blue", "green", "blue", "green"), start=1)
]


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ([], TWO_AUTHS),
        (["--tail", "3"], TWO_AUTHS[2:]),
        (["--tail", "1"], TWO_AUTHS[4:]),
        (["--since", "2026-01-31"], TWO_AUTHS),
        (["--grep", "blue"], [TWO_AUTHS[0], TWO_AUTHS[1], TWO_AUTHS[3]]),
    ],
)
def test_two_colours_are_one_service_and_the_last_lines_are_those_of_both(
    basec: Run, two_auths: Path, options: list[str], shown: list[str]
) -> None:
    outcome = basec("logs", "edge", "auth", "--env", "local", *options)
    assert (outcome.code, outcome.stdout.splitlines(), outcome.stderr) == (0, shown, "")


@pytest.mark.parametrize(("colour", "minute"), list(zip(COLOURS, (4, 5), strict=True)))
def test_each_colour_is_followed_from_its_own_last_line_and_a_new_one_from_its_start(
    two_auths: Path, clone: Path, colour: str, minute: int
) -> None:
    (two_auths / f"edge-{colour}.more").write_text("2026-01-31T08:06:00.000000000Z more of it\n")
    (two_auths / "new.log").write_text("2026-01-31T08:00:00.000000000Z of a container that came later\n")
    (two_auths / "edge.events").write_text(f"new auth-{colour}\n")
    with start(clone, "logs", "edge", "auth", "--follow", "--tail", "2", "--env", "local") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().rstrip("\n") for _ in range(4)]
        os.killpg(process.pid, signal.SIGINT)
        rest, _ = process.communicate(timeout=20)
    assert lines[:2] == TWO_AUTHS[3:]
    assert sorted(lines[2:]) == [
        "edge auth | 01-31 08:00:00 of a container that came later",
        "edge auth | 01-31 08:06:00 more of it",
    ]
    assert (process.returncode, rest) == (130, "")
    asked = (two_auths / "arguments").read_text()
    assert f"--follow --since 2026-01-31T08:{minute:02}:00.000000000Z edge-{colour}\n" in asked
    assert "--follow new\n" in asked


# ---- a preview --------------------------------------------------------------------------------------


COLOURED = COMPOSE.replace("  auth:", "  auth-blue: &auth").replace(
    "  migrate:", "  auth-green:\n    <<: *auth\n    networks: {edge: {ipv4_address: 172.30.0.22}}\n  migrate:"
)
TWO = {**FILES, "compose.yaml": COLOURED}


@pytest.mark.parametrize(
    ("old", "new", "switches", "services", "kind"),
    [
        (TWO, {"auth/health.py": "print(1)\n"}, ("auth",), (), "switch"),
        (TWO, {".env": FILES[".env"].replace("sha-1111111", "sha-2222222")}, ("auth",), (), "switch"),
        (TWO, {"compose.yaml": COLOURED.replace("unless-stopped", "always")}, ("auth",), ("nginx",), "restart"),
        (TWO, {"nginx/nginx.conf": "one\n2\n", "auth/health.py": "print(1)\n"}, ("auth",), (), "switch"),
        (TWO, {"nginx/nginx.conf": "one\n2\n"}, (), (), "reload"),
        (TWO, {"release.py": "print(1)\n"}, (), (), "none"),
        (FILES, TWO, ("auth",), (), "switch"),  # the first colours
        (TWO, FILES, (), ("auth",), "restart"),
    ],
)
def test_of_a_service_with_two_colours_the_other_one_takes_over(
    old: dict[str, str], new: dict[str, str], switches: tuple[str, ...], services: tuple[str, ...], kind: str
) -> None:
    new = {**old, **new}
    found = compare_releases(old, new)
    assert (found.switches, found.services) == (switches, services)
    (change,) = review([activation()], {STACK: (old, new)}, HOSTS).changes
    assert change.effect.kind == kind
    (resource,) = document.of(review([activation()], {STACK: (old, new)}, HOSTS))["resources"]
    assert (resource["release"]["switches"], resource["release"]["services"]) == (list(switches), list(services))


def test_a_switch_says_who_takes_over_and_what_the_old_one_holds() -> None:
    found = effects.of_switches(["auth", "construction"])
    assert (found.kind, found.text) == (
        "switch",
        "auth: the new one starts beside the old one and takes over; "
        "construction: the new one starts beside the old one and takes over, "
        "and a quote that is being written has 30 s left",
    )
    (seconds,) = re.findall(r"^DRAIN_WAIT = (\d+)", (REPOSITORY / "compose/switch.py").read_text(), re.MULTILINE)
    assert all(f" {seconds} s " in text for text in effects.KEPT.values())
