"""`scripts/bootstrap` makes the virtual environment, and needs only a suitable Python from the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("argument", ["", "dev"])
def test_packages_of_python_are_all_that_it_installs_and_only_once(tmp_path: Path, argument: str) -> None:
    for name in ("scripts/bootstrap", "requirements.txt", "requirements-dev.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for name, asked in ((".venv/bin/python", "python-asked"), ("fakes/apt-get", "apt-asked")):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/{asked}\n')
        (tmp_path / name).chmod(0o755)
    command = [str(tmp_path / "scripts/bootstrap"), *([argument] if argument else [])]
    environment = {"PATH": f"{tmp_path / 'fakes'}:{os.environ['PATH']}"}
    for _ in range(2):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    file = f"requirements{'-dev' if argument else ''}.txt"
    (asked,) = (tmp_path / "python-asked").read_text().splitlines()
    assert asked == f"-m pip install --quiet --disable-pip-version-check --requirement {file}"
    assert not (tmp_path / "apt-asked").exists()


OLD, NEW = "exit 1", "exit 0"
"""What a Python answers that is asked whether it is new enough and can make environments."""


@dataclass(frozen=True)
class System:
    """A machine by its programs: each is a shell script, and nothing else is on PATH but what bootstrap itself uses."""

    root: Path

    def make(self, **programs: str) -> System:
        for name in ("scripts/bootstrap", "requirements.txt", "requirements-dev.txt"):
            (self.root / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, self.root / name)
        fakes = self.root / "fakes"
        fakes.mkdir()
        for tool in ("sh", "dirname", "cat", "sha256sum", "cut", "ln", "mkdir", "chmod"):
            (fakes / tool).symlink_to(shutil.which(tool) or tool)
        for name, script in {"uname": "echo Linux", "id": "echo 0", **programs}.items():
            self.add(name.replace("_", "-").replace("11", ".11"), script)
        return self

    def add(self, name: str, script: str) -> None:
        (self.root / "fakes" / name).write_text(f'#!/bin/sh\necho "{name} $*" >>{self.root}/asked\n{script}\n')
        (self.root / "fakes" / name).chmod(0o755)

    def python(self, *, new: str) -> str:
        """Write a Python: `-V`, the question for its age, and `-m venv`."""
        pip = f"{self.root}/.venv/bin/python"
        make = f"mkdir -p {self.root}/.venv/bin; printf '#!/bin/sh\\n' >{pip}; chmod +x {pip}"
        answers = {"-V": 'echo "Python 3.10.12"', '"-m venv .venv"': make, "*venv,*": new, "*": "exit 0"}
        return f'case "$*" in {" ".join(f"{asked}) {answer} ;;" for asked, answer in answers.items())} esac'

    def bootstrap(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.root / "scripts/bootstrap")],
            env={"PATH": str(self.root / "fakes")},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def asked(self) -> list[str]:
        return [line for line in (self.root / "asked").read_text().splitlines() if line.startswith("apt-get")]


@pytest.fixture
def system(tmp_path: Path) -> System:
    return System(tmp_path)


def test_a_machine_with_a_new_python_needs_neither_apt_nor_root(system: System) -> None:
    done = system.make(id="echo 1000", python3=system.python(new=NEW)).bootstrap()
    assert done.returncode == 0, done.stderr
    assert (system.root / ".venv/requirements.txt.stamp").exists()


def test_a_newer_python_beside_the_systems_own_is_used(system: System) -> None:
    done = system.make(python3=system.python(new=OLD), python311=system.python(new=NEW)).bootstrap()
    assert done.returncode == 0, done.stderr
    assert "python3.11 -m venv .venv" in (system.root / "asked").read_text().splitlines()


def test_an_old_python_gets_a_newer_one_by_apt(system: System) -> None:
    """As on Ubuntu 22.04, whose python3 is 3.10."""
    script = f'cat >{system.root}/fakes/python3.11 <<"END"\n#!/bin/sh\n{system.python(new=NEW)}\nEND\n'
    script += f"chmod +x {system.root}/fakes/python3.11"
    done = system.make(python3=system.python(new=OLD), apt_get=script).bootstrap()
    assert done.returncode == 0, done.stderr
    assert system.asked == ["apt-get install --yes --quiet python3.11-venv"]


@pytest.mark.parametrize(("elsewhere", "calls"), [(True, ["venv --clear"]), (False, [])])
def test_a_clone_that_was_moved_or_copied_gets_an_environment_of_its_own(
    system: System, elsewhere: bool, calls: list[str]
) -> None:
    """The real `activate`, as it was written for the clone of before, and for this one."""
    before = system.root / "before" if elsewhere else system.root
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(before / ".venv")], check=True)
    if elsewhere:
        shutil.copytree(before / ".venv", system.root / ".venv", symlinks=True)
    again = f'case "$*" in *--clear*) echo venv --clear >>{system.root}/calls; rm -r {system.root}/.venv ;; esac\n'
    system.make(python3=again + system.python(new=NEW).replace('"-m venv .venv"', '"-m venv"*.venv'))
    (system.root / ".venv/bin/python").unlink()
    (system.root / ".venv/bin/python").write_text("#!/bin/sh\n")
    (system.root / ".venv/bin/python").chmod(0o755)
    done = system.bootstrap()
    assert done.returncode == 0, done.stderr
    written = system.root / "calls"
    assert (written.read_text().splitlines() if written.exists() else []) == calls


def test_an_environment_that_is_a_link_is_left_as_it_is(system: System) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(system.root / "theirs")], check=True)
    (system.root / "theirs/bin/python").unlink()
    (system.root / "theirs/bin/python").write_text("#!/bin/sh\n")
    (system.root / "theirs/bin/python").chmod(0o755)
    (system.root / ".venv").symlink_to("theirs")
    done = system.make(python3=system.python(new=NEW)).bootstrap()
    assert done.returncode == 0, done.stderr
    assert not [line for line in (system.root / "asked").read_text().splitlines() if "--clear" in line]
    assert (system.root / "theirs/bin/activate").exists()


@pytest.mark.parametrize(
    ("programs", "problem", "hint"),
    [
        ({"uname": "echo Darwin"}, "Linux is needed; this is Darwin", "scripts/in-container up"),
        ({}, "python3 is missing", "scripts/in-container up"),
        ({"python3": OLD}, "python3 is Python 3.10.12", "scripts/in-container up"),
        (
            {"python3": OLD, "apt_get": "exit 100"},
            "and apt does not install python3.11-venv",
            "scripts/in-container up",
        ),
        ({"python3": OLD, "apt_get": "exit 0"}, "also after apt installed python3.11-venv", "scripts/in-container up"),
        ({"apt_get": "exit 0", "id": "echo 1000"}, "python3 is missing", "run the same command as root"),
    ],
)
def test_a_machine_that_cannot_get_a_new_python_is_refused_with_one_hint(
    system: System, programs: dict[str, str], problem: str, hint: str
) -> None:
    scripts = {name: system.python(new=text) if name == "python3" else text for name, text in programs.items()}
    done = system.make(**scripts).bootstrap()
    *_, first, second = done.stderr.splitlines()
    assert done.returncode == 3
    assert first.startswith("bootstrap: ")
    assert first.endswith(problem)
    assert second.startswith(f"hint: {hint}")
    assert done.stderr.count("hint:") == 1
    assert not (system.root / ".venv").exists()
