"""What an operator types after `--` arrives at the remote program as it was typed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from basec.environments import Environment
from basec.hosts import facts, remote
from basec.session import Session

SSH = """#!/bin/sh
# As ssh and sshd do it: the words behind the host become one line, which the user's shell runs.
while [ "$1" != infra ]; do shift; done
shift
exec sh -c "$*"
"""


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    (tmp_path / "bin").mkdir()
    for name, text in (("ssh", SSH), ("sudo", '#!/bin/sh\n[ "$1" != -n ] || shift\nexec "$@"\n')):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr(remote, "ensure_key", lambda _: None)
    return Session(Environment(name="local", root=tmp_path))


@pytest.fixture
def known() -> facts.Facts:
    here = "infra"
    host = facts.HostFacts(
        name=here, ip="", private_ip="10.0.0.2", user="basec", role=here, tier=here, services=(), aliases=()
    )
    return facts.Facts(environment="local", domain="localhost", stand_in=None, hosts={here: host})


@pytest.mark.parametrize(
    "words",
    [
        ["{{.Names}} {{.Status}}"],
        ["a  b", "", "$HOME", "*", "`id`", "it's", "; false", 'a"b', "back\\slash", "line\nbreak", "~"],
    ],
)
def test_several_words_arrive_as_they_are(
    session: Session, known: facts.Facts, words: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert remote.interactive(session, known, "infra", ["printf", "<%s>", *words]) == 0
    assert capfd.readouterr().out == "".join(f"<{word}>" for word in words)


def test_one_word_is_a_line_for_the_remote_shell(
    session: Session, known: facts.Facts, capfd: pytest.CaptureFixture[str]
) -> None:
    assert remote.interactive(session, known, "infra", ["echo one two | wc -w; exit 7"]) == 7
    assert capfd.readouterr().out.strip() == "2"


def test_a_program_and_its_arguments_arrive_as_they_are(session: Session) -> None:
    source = "import sys; print(sys.argv[1:], sys.stdin.read())"
    assert remote.run_program(session, "infra", source, ["a  b", "$HOME"], timeout_s=30) == "['a  b', '$HOME'] \n"
    command = ["sh", "-c", 'printf "<%s>" "$0" "$@"', "a  b", "*"]
    assert remote.run_with_input(session, "infra", command, "", timeout_s=30) == "<a  b><*>"
