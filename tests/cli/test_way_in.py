"""The last screen of `up`: a box for people, lines for programs, the same words in both."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from basec.io import console
from basec.local.way_in import WayIn

WAY_IN = WayIn(
    environment="local",
    url="https://demo.localhost",
    user="admin@demo.example.com",
    password="p" * 24,
    authority=".local/local/cloud/ca/public.pem",
)
LINES = [
    "url       https://demo.localhost",
    "user      admin@demo.example.com",
    "password  pppppppppppppppppppppppp",
    "trust     bin/basec trust --env local",
    "          or: curl --cacert .local/local/cloud/ca/public.pem https://demo.localhost",
    "next      bin/basec status --env local",
    "          bin/basec logs --env local",
    "          bin/basec down --env local",
]


def test_in_a_pipe_it_is_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    WAY_IN.show()
    assert capsys.readouterr().out.splitlines() == LINES


@pytest.mark.parametrize("columns", [80, 120])
def test_in_a_terminal_it_is_a_box_with_the_same_words(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=columns, color_system=None)
    monkeypatch.setattr(console, "_stdout", lambda: terminal)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    WAY_IN.show()
    lines = screen.getvalue().splitlines()
    assert "local is up" in lines[0]
    words = " ".join(line.strip("│ ") for line in lines[1:-1])
    for line in LINES:
        assert all(word in words for word in line.split())
    assert max(map(len, lines)) <= columns
