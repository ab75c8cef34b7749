"""One local stack under test: how the end-to-end tests start commands, ask over HTTP and look inside."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import time
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import turns
from tests.e2e.visitor import TIMEOUT_S, Visitor

LANE = int(os.environ.get("BASECOMMERCE_E2E_LANE", "1"))
"""1 or 2: two runs beside each other have a stack, ports and a copy of the tree each."""
STACK = os.environ.get("BASECOMMERCE_E2E_STACK", f"local-e2e{LANE}")
"""Name a stack of this clone that is up already to run one file of tests against it: no copy, no `down`."""
REUSED = "BASECOMMERCE_E2E_STACK" in os.environ
HTTP_PORT, HTTPS_PORT = 8079 + LANE, 8442 + LANE
TIERS = ("infra", "vertical", "edge")
HEAVY = frozenset({"up", "down", "preview"})
"""Commands that load both cores."""
COMMAND_TIMEOUT_S = 900
BACK_TIMEOUT_S = 120
"""Seconds for all checks of `smoke` to pass after a reboot."""


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; header names are lower case and keep every repetition."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: str

    def all(self, name: str) -> list[str]:
        """Return every value of one header, in order."""
        return [value for key, value in self.headers if key == name.lower()]

    def json(self) -> Any:
        """Parse the body. Raises json.JSONDecodeError."""
        return json.loads(self.body)


@dataclass
class LocalStack:
    """A copy of the work tree in which `basec` brings up a stack of its own, beside any stack of a user."""

    root: Path
    logs: Path
    outputs: dict[str, str] = field(default_factory=dict)

    def start(self, *args: str, **environment: str) -> subprocess.Popen[str]:
        """Start basec in a process group of its own, so that a test can kill it as a terminal would.

        Not with the signals of the test run itself: one that was put into the background ignores SIGINT, and so would
        all below it.
        """
        return subprocess.Popen(
            ["env", "--default-signal=INT,TERM", self.root / "bin/basec", *args],
            cwd=self.root,
            env={**os.environ, "NO_COLOR": "1", "COLUMNS": "160", **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def basec(self, *args: str, expect: int | None = 0, **environment: str) -> str:
        """Run basec to its end and give its output; `expect=None` accepts any exit code."""
        with turns.busy() if HEAVY & set(args) else contextlib.nullcontext():
            process = self.start(*args, **environment)
            try:
                output, _ = process.communicate(timeout=COMMAND_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                output, _ = process.communicate()
                words = " ".join(args)
                raise AssertionError(f"basec {words} did not end in {COMMAND_TIMEOUT_S} s:\n{output}") from None
        name = f"{time.monotonic_ns()}-{args[0]}.log"
        (self.logs / name).write_text(output)
        if expect is not None and process.returncode != expect:
            raise AssertionError(f"basec {' '.join(args)} ended with {process.returncode}, not {expect}:\n{output}")
        return output

    def init(self) -> None:
        """Initialise the stack on the ports of this run."""
        self.basec("init", "--env", STACK, LOCAL_HTTP_PORT=str(HTTP_PORT), LOCAL_HTTPS_PORT=str(HTTPS_PORT))

    def login(self) -> tuple[str, str]:
        """Return the demo user's e-mail and password, as `up` printed them."""
        if "first up" not in self.outputs:
            self.outputs["first up"] = self.up()
        return demo_login(self.outputs["first up"])

    def cookie(self) -> str:
        """Log the demo user in by the form and give the session's cookie, `access_token=...`."""
        user, password = self.login()
        form = urllib.parse.urlencode({"email": user, "password": password})
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = self.request("POST", "/auth/login/form", headers=kind, body=form)
        if answer.status != 302 or not answer.all("location")[0].endswith("/web/dashboard"):
            raise AssertionError(f"login: {answer}")
        return answer.all("set-cookie")[0].split(";")[0]

    def token(self) -> str:
        """Log in and give the bearer token for the API."""
        return self.cookie().removeprefix("access_token=")

    def up(self, expect: int | None = 0) -> str:
        """Bring the stack up (again)."""
        return self.basec("up", "--env", STACK, expect=expect)

    def smoke_until_green(self) -> None:
        """Wait until all checks pass, as after a reboot. Raises AssertionError with the last run's table."""
        deadline = time.monotonic() + BACK_TIMEOUT_S
        while True:
            process = self.start("smoke", "--env", STACK)
            output, _ = process.communicate(timeout=BACK_TIMEOUT_S)
            if process.returncode == 0:
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"not green after {BACK_TIMEOUT_S} s:\n{output}")
            time.sleep(1)

    @property
    def cloud(self) -> dict[str, Any]:
        """The stack's `cloud.json`."""
        return json.loads((self.root / ".local" / STACK / "cloud.json").read_text())  # type: ignore[no-any-return]

    def request(
        self,
        method: str,
        path: str,
        *,
        host: str = "demo.localhost",
        headers: dict[str, str] | None = None,
        body: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Answer:
        """Ask the Cloudflare stand-in on loopback, as a browser on this machine would that trusts the stack's CA."""
        connection = Visitor(host, self.cloud["https_port"], self.ca_file, timeout_s)
        return self._answer(connection, method, path, {"Host": host, **(headers or {})}, body)

    def plain(self, path: str, host: str = "demo.localhost") -> Answer:
        """GET one path over plain HTTP."""
        connection = http.client.HTTPConnection("127.0.0.1", self.cloud["http_port"], timeout=15)
        return self._answer(connection, "GET", path, {"Host": host}, None)

    @property
    def ca_file(self) -> Path:
        """The authority that visitors of the stack trust."""
        return self.root / ".local" / STACK / "cloud/ca/public.pem"

    @staticmethod
    def _answer(
        connection: http.client.HTTPConnection, method: str, path: str, headers: dict[str, str], body: str | None
    ) -> Answer:
        try:
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            pairs = tuple((key.lower(), value) for key, value in response.getheaders())
            return Answer(response.status, pairs, response.read().decode())
        finally:
            connection.close()

    def get(self, path: str, host: str = "demo.localhost", **headers: str) -> Answer:
        """GET one path with the Host header of a tenant; underscores in header names become dashes."""
        return self.request("GET", path, host=host, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def container(self, thing: str) -> str:
        """Return the name of a container or network of the stack."""
        return f"bc-{STACK}-{thing}"

    def inside(self, droplet: str, command: str, check: bool = True) -> str:
        """Run one shell line as root in a droplet, past sshd, so that it works while sshd is down."""
        return docker("exec", self.container(droplet), "bash", "-c", command, check=check)

    def serving(self, tier: str, service: str) -> str:
        """Return the name of the container that serves, which has a colour where the service has two."""
        return f"{tier}-{self.inside(tier, f'/opt/basecommerce/scripts/release.py serving {tier} {service}').strip()}-1"

    def sql(self, statement: str) -> str:
        """Run SQL on the infra droplet, past everything else, and give what psql prints."""
        psql = "docker exec infra-postgres-1 psql -qtAX -v ON_ERROR_STOP=1 -U basecommerce"
        return self.inside("infra", f'{psql} -c "{statement}"').strip()

    def journal(self) -> list[dict[str, Any]]:
        """The local cloud's event log, oldest first."""
        lines = (Path(self.cloud["state"]) / "events.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def container_ids(self) -> dict[str, str]:
        """Every inner container of each droplet, by `droplet/name`."""
        ids = {}
        for droplet in TIERS:
            for line in self.inside(droplet, "docker ps --no-trunc --format '{{.Names}} {{.ID}}'").splitlines():
                name, identifier = line.split()
                ids[f"{droplet}/{name}"] = identifier
        return ids


def docker(*args: str, check: bool = True, stdin: str | None = None) -> str:
    """Run the machine's docker client. Raises AssertionError with its words on failure."""
    done = subprocess.run(["docker", *args], capture_output=True, text=True, check=False, input=stdin)
    if check and done.returncode != 0:
        raise AssertionError(f"docker {' '.join(args[:6])}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def demo_login(output: str) -> tuple[str, str]:
    """Find the demo user and the password in what `up` printed."""
    user = re.search(r"\b(\S+@\S+)\b", output)
    password = re.search(r"password\W+(\S{16,})", output, re.IGNORECASE)
    if user is None or password is None:
        raise AssertionError(f"no demo user in:\n{output}")
    return user.group(1), password.group(1)
