"""Prints the log lines of a tier's containers as `<service> <time> <text>`. Arguments: tier, services, options of
`docker logs`, each of the latter two as one word with commas; then `follow` or nothing.

While it follows, containers that start later are followed as well: a release replaces them. It ends when nobody holds
its standard input open any more.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading

PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"


class Reader:
    """Reads containers' logs and prints them line by line."""

    def __init__(self, services: list[str], options: list[str]) -> None:
        self.services = services
        self.options = options
        self.last: dict[str, bytes] = {}  # time of the last line printed, by container
        self.threads: dict[str, threading.Thread] = {}
        self.children: list[subprocess.Popen[bytes]] = []
        self.writing = threading.Lock()

    def read(self, container: str, service: str, *options: str) -> None:
        """Print the lines of one container until `docker logs` ends."""
        seen = self.last.get(container, b"")
        process = subprocess.Popen(
            ["docker", "logs", "--timestamps", *options, container],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.children.append(process)
        for line in process.stdout or ():
            stamp = line.split(b" ", 1)[0]
            if seen and stamp <= seen:  # --since includes its moment
                continue
            self.last[container] = stamp
            with self.writing:
                sys.stdout.buffer.write(service.encode() + b" " + line.rstrip(b"\n") + b"\n")
                sys.stdout.buffer.flush()
        process.wait()

    def start(self, container: str, service: str) -> None:
        """Follow a container from its start, or from where it was left."""
        thread = self.threads.get(container)
        if service not in self.services:
            return
        if thread is not None:
            thread.join(1)  # `docker logs` ends soon after its container
            if thread.is_alive():
                return
        options = self.options
        if container in self.last:
            options = ["--since", self.last[container].decode()]
        thread = threading.Thread(target=self.read, args=(container, service, "--follow", *options), daemon=True)
        self.threads[container] = thread
        thread.start()

    def end(self, code: int, said: str = "") -> None:
        """End every program that was started, and this one, whatever its other threads do."""
        sys.stderr.write(said)
        sys.stderr.flush()
        for child in self.children:
            child.kill()
        os._exit(code)


def main(tier: str, services: str, options: str, follow: str = "") -> None:
    """Print what there is; then, to follow, what comes."""
    reader = Reader(services.split(","), options.split(","))
    chosen = ("--filter", f"label={PROJECT}={tier}")
    events = None
    if follow:
        threading.Thread(target=end_with_input, args=(reader,), daemon=True).start()
        shown = f'{{{{.ID}}}} {{{{index .Actor.Attributes "{SERVICE}"}}}}'
        # Before the list, so that no container starts unseen between the two.
        events = subprocess.Popen(
            ["docker", "events", *chosen, "--filter", "type=container", "--filter", "event=start", "--format", shown],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        reader.children.append(events)  # type: ignore[arg-type]
    listed = subprocess.run(
        ["docker", "ps", "--all", "--no-trunc", *chosen, "--format", f'{{{{.ID}}}} {{{{.Label "{SERVICE}"}}}}'],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        sys.exit(listed.stderr.strip())
    for container, service in (line.split() for line in listed.stdout.splitlines()):
        if follow:
            reader.start(container, service)
        elif service in reader.services:
            reader.read(container, service, *reader.options)
    for line in events.stdout or () if events else ():
        reader.options = ["--tail", "all"]  # of a new container, everything
        reader.start(*line.split())
    if events:
        reader.end(1, "docker events ended\n")


def end_with_input(reader: Reader) -> None:
    """Wait for the end of standard input; then end all."""
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    reader.end(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
