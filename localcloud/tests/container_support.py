"""Containers of images as a composition runs them: no network, a fixed user, a read-only root, no capability."""

from __future__ import annotations

import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Run = Callable[..., str]
"""Starts one: (image, user, options..., command=...), and answers its name."""
START_TIMEOUT_S = 120.0


def docker(*arguments: str, check: bool = True) -> str:
    run = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, timeout=120)
    if check:
        assert run.returncode == 0, f"{arguments}: {run.stdout}{run.stderr}"
    return run.stdout + run.stderr


def eventually(check: Callable[[], bool], container: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not check():
        assert time.monotonic() < deadline, docker("logs", container)
        time.sleep(0.2)


@contextmanager
def containers(reference: Callable[[str], str]) -> Iterator[Run]:
    """Yield a function that starts containers of the image `reference`. They are removed at the end."""
    names: list[str] = []

    def start(image: str, user: str, *options: str, command: tuple[str, ...] = (), read_only: bool = True) -> str:
        name = reference(image)
        names.append(f"imgt-{uuid.uuid4().hex[:8]}")
        strict = ("--read-only",) if read_only else ()
        docker(
            *("run", "--detach", "--name", names[-1], "--network", "none", "--user", user, *strict),
            *("--cap-drop", "ALL", "--security-opt", "no-new-privileges", *options),
            *(name, *command),
        )
        return names[-1]

    try:
        yield start
    finally:
        for name in names:
            docker("rm", "--force", "--volumes", name, check=False)


def serves(container: str, port: int, path: str = "/") -> str:
    """Ask from inside the container, with bash alone; answers the status line and the rest."""
    script = f"exec 3<>/dev/tcp/127.0.0.1/{port}; printf 'GET {path} HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3"
    return docker("exec", container, "bash", "-c", script, check=False)
