"""`scripts/in-container` against a Docker engine that is a shell script and records its calls."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from localcloud.digitalocean.real.container import CAPABILITIES

ROOT = Path(__file__).resolve().parents[2]
ENGINE = """#!/bin/bash
echo "$*" >>{root}/asked
case "$*" in
  version*|"image inspect"*) exit {engine} ;;
  "container ls"*) [ ! -e {root}/made ] || echo 3f2a ;;
  "volume ls"*) [ ! -e {root}/made ] || echo volume ;;
  "container run"*) touch {root}/made ;;
  "container rm"*) rm -f {root}/made ;;
  "container inspect"*State*) echo true ;;
  "container inspect"*LOCAL_HTTPS_PORT*) echo 443 ;;
  "container inspect"*LOCAL_HTTP_PORT*) echo 80 ;;
  "container exec --interactive"*"sh -seu"*) cat >{root}/prepare ;;
  "container exec"*losetup*|"container exec"*docker.pid*) ;;
  "container exec"*) while [ "$1" != {name} ]; do shift; done; shift; exec setsid --wait "$@" ;;
esac
"""
"""Its `container exec` runs the command here, in a session of its own; but nothing on loop devices, and no kill."""


@dataclass(frozen=True)
class Clone:
    """A clone of the project and a Docker engine for it."""

    root: Path

    @property
    def name(self) -> str:
        number = subprocess.run(
            ["sh", "-c", f"printf %s '{self.root / 'clone'}' | cksum | cut -d' ' -f1"],
            capture_output=True,
            text=True,
            check=True,
        )
        return f"basecommerce-{number.stdout.strip()}"

    def engine(self, answer: int) -> None:
        path = self.root / "fakes/docker"
        path.write_text(ENGINE.format(root=self.root, engine=answer, name=self.name))
        path.chmod(0o755)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        # Not with the signals of the test run itself: one that was put into the background ignores SIGINT.
        return subprocess.Popen(
            ["env", "--default-signal=INT,TERM", str(self.root / "clone/scripts/in-container"), *arguments],
            env={"PATH": f"{self.root / 'fakes'}:{os.environ['PATH']}", **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, **environment: str) -> tuple[int, str, str]:
        process = self.start(*arguments, **environment)
        output, errors = process.communicate(timeout=60)
        return process.returncode, output, errors

    @property
    def asked(self) -> list[str]:
        path = self.root / "asked"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def made(self) -> list[str]:
        return [line for line in self.asked if line.startswith("container run ")]


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """Make a clone with a Makefile of one target, and an engine that answers."""
    (tmp_path / "clone/scripts").mkdir(parents=True)
    (tmp_path / "fakes").mkdir()
    shutil.copy(ROOT / "scripts/in-container", tmp_path / "clone/scripts")
    (tmp_path / "fakes/make").write_text('#!/bin/sh\necho "made $*"\n[ "$1" != fail ] || exit 7\n')
    (tmp_path / "fakes/make").chmod(0o755)
    made = Clone(tmp_path)
    made.engine(0)
    return made


def test_it_has_the_capabilities_of_a_droplet_and_neither_more_nor_all(clone: Clone) -> None:
    assert clone.run("up")[0] == 0
    (made,) = clone.made
    words = made.split()
    assert [words[at + 1] for at, word in enumerate(words) if word == "--cap-add"] == [*CAPABILITIES]
    assert "--cap-drop ALL" in made
    assert "--privileged" not in made
    assert "--cgroupns private" in made


def test_the_shop_is_published_on_loopback_only(clone: Clone) -> None:
    assert clone.run("up", LOCAL_HTTP_PORT="8080")[0] == 0
    words = clone.made[0].split()
    published = [words[at + 1] for at, word in enumerate(words) if word in ("--publish", "-p", "-P", "--network")]
    assert published == ["127.0.0.1:8080:8080", "127.0.0.1:443:443"]


def test_only_the_clone_is_mounted_and_what_is_made_in_it_is_in_volumes(clone: Clone) -> None:
    assert clone.run("up")[0] == 0
    words = clone.made[0].split()
    mounted = dict(words[at + 1].split(":", 1) for at, word in enumerate(words) if word == "--volume")
    root = clone.root / "clone"
    assert {source for source in mounted if source.startswith("/")} - {"/lib/modules"} == {str(root)}
    assert mounted.get("/lib/modules", "/lib/modules:ro") == "/lib/modules:ro"
    assert {mounted[f"{clone.name}-{volume}"] for volume in ("docker", "cache", "venv", "local", "basec")} == {
        *("/var/lib/docker", "/root/.cache"),
        *(f"{root}/{directory}" for directory in (".venv", ".local", ".basec")),
    }


def test_mounted_directories_are_never_empty_so_that_make_down_leaves_them(clone: Clone) -> None:
    assert clone.run("up")[0] == 0
    (loop,) = [
        line for line in (clone.root / "prepare").read_text().splitlines() if line.startswith("for directory in")
    ]
    for directory in (".local", ".basec"):
        (clone.root / directory).mkdir()
    subprocess.run(["sh", "-euc", loop], cwd=clone.root, check=True)
    assert all(any((clone.root / directory).iterdir()) for directory in (".local", ".basec"))


def test_make_gets_the_arguments_and_its_exit_code_is_the_scripts(clone: Clone) -> None:
    code, output, _ = clone.run("test", "PARTS=a b")
    assert (code, output) == (0, "made test PARTS=a b\n")
    assert clone.run("fail")[0] == 7
    assert clone.run("shell", "sh", "-c", "echo $((6 * 7)); exit 3")[:2] == (3, "42\n")


def test_a_second_run_makes_nothing_anew_and_refuses_other_ports(clone: Clone) -> None:
    assert clone.run("up")[0] == 0
    assert clone.run("up", LOCAL_HTTP_PORT="80")[0] == 0
    assert len(clone.made) == 1
    code, _, errors = clone.run("up", LOCAL_HTTPS_PORT="8443")
    assert (code, errors) == (
        2,
        "in-container: LOCAL_HTTPS_PORT: the container has 443, not 8443\n"
        "hint: scripts/in-container remove, then run the same command again\n",
    )


def test_remove_takes_what_this_clone_made_and_nothing_else(clone: Clone) -> None:
    assert clone.run("up")[0] == 0
    (clone.root / "asked").unlink()
    assert clone.run("remove")[0] == 0
    removed = {line for line in clone.asked if " rm " in line}
    assert f"container rm --force {clone.name}" in removed
    assert any("losetup" in line and "--detach" in line for line in clone.asked)  # they are the machine's
    assert all(line.split()[-1].startswith(clone.name) for line in removed)
    assert (clone.root / "clone/scripts/in-container").exists()


def test_down_stops_the_engine_inside_before_the_container_and_keeps_the_volumes(clone: Clone) -> None:
    code, output, _ = clone.run("down")
    assert (code, output) == (0, "made down\n")
    *_, engine, container = [line for line in clone.asked if "docker.pid" in line or line.startswith("container stop")]
    assert engine.startswith(f"container exec {clone.name} ")
    assert container == f"container stop -t 30 {clone.name}"
    assert not any("volume rm" in line for line in clone.asked)


def test_another_base_image_may_be_named(clone: Clone) -> None:
    assert clone.run("up", BASE_IMAGE="mine:1")[0] == 0
    assert " mine:1 sh -c " in clone.made[0]


def test_help_needs_no_docker_and_its_absence_has_a_hint(clone: Clone) -> None:
    clone.engine(1)
    for arguments in ((), ("--help",)):
        code, output, _ = clone.run(*arguments)
        assert code == 0
        assert output.startswith("usage: scripts/in-container ")
    assert clone.asked == []
    code, _, errors = clone.run("up")
    assert (code, errors.splitlines()[0]) == (3, "in-container: docker: no engine answers")
    assert errors.count("hint:") == 1
    assert clone.made == []


def test_ctrl_c_reaches_what_runs_inside_and_its_end_is_awaited(clone: Clone) -> None:
    """`docker exec` without a terminal passes no signal on."""
    step = clone.root / "fakes/step"
    step.write_text(
        f"#!/bin/bash\ntrap 'echo ends; sleep 0.5; touch {clone.root}/ended; exit 130' INT\n"
        f"touch {clone.root}/begun\nfor second in $(seq 200); do sleep 0.1; done\n"
    )
    step.chmod(0o755)
    (clone.root / "fakes/make").write_text("#!/bin/bash\ntrap : INT\nstep\n")  # a step is a process of its own
    process = clone.start("up")
    until = time.monotonic() + 30
    while not (clone.root / "begun").exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert (process.returncode, output) == (130, "ends\n")
    assert (clone.root / "ended").exists()


def test_an_engine_that_does_not_end_by_itself_is_reported(clone: Clone) -> None:
    engine = clone.root / "fakes/docker"
    text = engine.read_text()
    engine.write_text(
        text.replace(
            '"container exec"*losetup*|"container exec"*docker.pid*) ;;', '"container exec"*docker.pid*) exit 1 ;;'
        )
    )
    code, _, errors = clone.run("down")
    assert code == 0
    assert "in-container: the engine in it did not end in time; it is stopped with the container\n" in errors
    assert any(line.startswith("container stop") for line in clone.asked)
