"""What is measured, group by group. Each returns figures; the promises are those of `docs/benchmarks.md`."""

from __future__ import annotations

import http.client
import json
import ssl
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from http import HTTPStatus
from pathlib import Path

from bench.fleet import scale
from bench.measure import Figure, Run, in_turn, run, seconds, stage_figures
from bench.peers import Peers
from bench.stack import ENVIRONMENT, Stack

Group = Callable[[Stack], list[Figure]]

MIB = 1024 * 1024
CHANGED = Path("compose/edge/nginx/nginx.conf")
ANCHOR = "    add_header Referrer-Policy"
COLD_S = 3600
REST_S = 310
"""Between `down` and a measured `up`: ext4 without a journal avoids inodes that were deleted within the last
300 s, which makes unpacking slower (`recently_deleted` in fs/ext4/ialloc.c)."""
UNJUDGED = "from basec import main; from basec.engine import policy_pack; policy_pack.JUDGED = (); main.run()"
IMPORTED = """
import time
from pathlib import Path
started = time.perf_counter()
from basec.engine import operations, program_loading
program_loading.load_program(Path.cwd())
print(time.perf_counter() - started)
"""
PRICED = """
import sys, time
from basec.hosts import facts
from basec.session import Session
from basec.environments import resolve
from basec.engine.price import deployed_of, price_of
from topology import inventory, project
environment = resolve(sys.argv[1])
started = time.perf_counter()
price_of(Session(environment).written_project, deployed_of(environment)).document()
print(time.perf_counter() - started)
"""


def cold_up(stack: Stack) -> list[Figure]:
    """`up` on a machine that has nothing: the CLI is compiled and all images are built. Only once."""
    stack.down()
    run(["scripts/clean"], cwd=stack.root)
    stack.init()
    done = stack.basec("up", timeout_s=COLD_S)
    return [Figure(name="cold `basec up`, nothing cached", samples=(done.seconds,)), *stage_figures("cold", [done])]


def warm_up(stack: Stack) -> list[Figure]:
    """`up` from nothing with cached images, three times; the last stays up for the other groups."""
    runs, served = [], []
    for _ in range(3):
        stack.remake()
        time.sleep(REST_S)
        watcher = Watcher(stack, serves)
        watcher.start()
        runs.append(stack.up())
        watcher.join(timeout=10)
        served.append(watcher.seconds)
    return [
        Figure(name="warm `basec up`: until it serves", samples=tuple(served), promise=60),
        Figure(name="warm `basec up`: until it ends, demo tenant and smoke test", samples=seconds(runs)),
        *stage_figures("warm", runs),
    ]


def no_op(stack: Stack) -> list[Figure]:
    """Nothing to change: preview and up, and pyinfra and Ansible with the same result on the same droplets."""
    peers = Peers.prepare(stack)
    commands = {
        "preview": lambda: stack.basec("preview"),
        "up": stack.up,
        "import": lambda: run([sys.executable, "-c", IMPORTED], cwd=stack.root),
        "pyinfra": peers.pyinfra,
        "ansible": peers.ansible,
    }
    found = in_turn(5, commands)
    return [
        Figure(name="no-op `basec preview`", samples=seconds(found["preview"])),
        *stage_figures("no-op preview", found["preview"]),
        Figure(name="no-op `basec up`", samples=seconds(found["up"])),
        *stage_figures("no-op up", found["up"]),
        Figure(name="import of engine and program, in both", samples=told(found["import"])),
        Figure(name="no-op of pyinfra", samples=seconds(found["pyinfra"])),
        Figure(name="no-op of Ansible", samples=seconds(found["ansible"])),
        times("no-op `basec preview` beside pyinfra", found["preview"], found["pyinfra"], promise=1.3),
        times("no-op `basec up` beside pyinfra", found["up"], found["pyinfra"], promise=2),
    ]


def changed_file(stack: Stack) -> list[Figure]:
    """One changed line of nginx's configuration: until it is served, and until `up` has ended."""
    path = stack.root / CHANGED
    original = path.read_text()
    served, ended = [], []
    try:
        for number in range(3):
            path.write_text(original.replace(ANCHOR, f'    add_header X-Bench "{number}" always;\n{ANCHOR}', 1))
            watcher = Watcher(stack, partial(shows, str(number)))
            watcher.start()
            ended.append(stack.up().seconds)
            watcher.join(timeout=10)
            served.append(watcher.seconds)
    finally:
        path.write_text(original)
        stack.up()
    return [
        Figure(name="one changed file: until it is served", samples=tuple(served)),
        Figure(name="one changed file: until `basec up` ends", samples=tuple(ended)),
    ]


def times(name: str, ours: Sequence[Run], peer: Sequence[Run], *, promise: float) -> Figure:
    """Build the figure of how many times a peer's time ours takes, round by round: the machine drifts for both."""
    ratios = (mine / other for mine, other in zip(seconds(ours), seconds(peer), strict=True))
    return Figure(name=name, samples=tuple(ratios), unit="times", promise=promise)


def serves(answer: http.client.HTTPResponse) -> bool:
    """Return whether the edge answers, and is healthy."""
    return answer.status == HTTPStatus.OK


def shows(value: str, answer: http.client.HTTPResponse) -> bool:
    """Return whether the answer has the header of a change."""
    return answer.getheader("X-Bench") == value


class Watcher(threading.Thread):
    """Asks the public address for `/health` until the answer is as expected; `seconds` is when that was."""

    def __init__(self, stack: Stack, wanted: Callable[[http.client.HTTPResponse], bool]) -> None:
        super().__init__(daemon=True)
        self._local = stack.root / ".local" / ENVIRONMENT
        self._port = json.loads((self._local / "cloud.json").read_text())["https_port"]
        self._wanted = wanted
        self._began = time.monotonic()
        self.seconds = float("inf")

    def run(self) -> None:
        while self.seconds == float("inf"):
            try:
                if self._wanted(self._ask()):
                    self.seconds = time.monotonic() - self._began
            except OSError:  # nothing answers yet, or there is no authority to trust
                pass
            time.sleep(0.1)

    def _ask(self) -> http.client.HTTPResponse:
        trust = ssl.create_default_context(cafile=str(self._local / "cloud/ca/public.pem"))
        trust.check_hostname = False  # it is asked by its address
        connection = http.client.HTTPSConnection("127.0.0.1", self._port, timeout=2, context=trust)
        try:
            connection.request("GET", "/health", headers={"Host": "demo.localhost"})
            answer = connection.getresponse()
            answer.read()
            return answer
        finally:
            connection.close()


def daily_commands(stack: Stack) -> list[Figure]:
    """`--help` next to a Python that does nothing, `status` next to one ssh through the same kept connections."""
    config = stack.root / ".basec" / ENVIRONMENT / "ssh_config"
    host = next(name for name, known in stack.hosts.items() if "postgres" in known["services"])
    found = in_turn(
        10,
        {
            "python": lambda: run([sys.executable, "-c", "pass"], cwd=stack.root),
            "help": lambda: run(stack.argv("--help"), cwd=stack.root),
            "ssh": lambda: run(["ssh", "-F", str(config), host, "true"], cwd=stack.root),
            "status": lambda: stack.basec("status"),
        },
    )
    return [
        Figure(name="`basec --help`", samples=seconds(found["help"]), promise=0.3),
        Figure(name="`python -c pass`", samples=seconds(found["python"])),
        Figure(name="`basec status`, three droplets", samples=seconds(found["status"]), promise=2),
        Figure(name=f"`ssh {host} true`, connection kept", samples=seconds(found["ssh"])),
    ]


def policy_pack(stack: Stack) -> list[Figure]:
    """What the rules add to a preview: alternately with and without them, and the difference for each pair."""
    found = in_turn(
        25,  # differences of runs vary as much as their median
        {
            "judged": lambda: stack.basec("preview"),
            "unjudged": lambda: run([sys.executable, "-c", UNJUDGED, "preview", "--env", ENVIRONMENT], cwd=stack.root),
        },
    )
    judged, unjudged = seconds(found["judged"]), seconds(found["unjudged"])
    added = tuple(with_rules - without for with_rules, without in zip(judged, unjudged, strict=True))
    return [
        Figure(name="no-op `basec preview` under the rules", samples=judged),
        Figure(name="the same without rules", samples=unjudged),
        Figure(name="what the rules add", samples=added, promise=0.5),
    ]


def told(runs: Sequence[Run]) -> tuple[float, ...]:
    """Return the seconds that the runs reported."""
    return tuple(float(each.output) for each in runs)


def price(stack: Stack) -> list[Figure]:
    """`basec cost` as a whole, and what pricing adds to a preview: reading, checking and both bills."""
    found = in_turn(
        5,
        {
            "cost": lambda: stack.basec("cost"),
            "priced": lambda: run([sys.executable, "-c", PRICED, ENVIRONMENT], cwd=stack.root),
        },
    )
    return [
        Figure(name="`basec cost`", samples=seconds(found["cost"])),
        Figure(
            name="price of a stack, computed",
            samples=told(found["priced"]),
            promise=0.2,
        ),
    ]


def memory(stack: Stack) -> list[Figure]:
    """What each container uses, against its limit."""
    document = json.loads(stack.basec("status", "--json").output)
    return [
        Figure(
            name=f"memory of {host['name']} {container['service']}",
            samples=(container["memory"]["used_bytes"] / MIB,),
            unit="MiB",
            promise=container["memory"]["limit_bytes"] / MIB,
        )
        for host in document["hosts"]
        for container in host["containers"]
    ]


GROUPS: dict[str, Group] = {
    "cold": cold_up,
    "warm": warm_up,
    "noop": no_op,
    "change": changed_file,
    "commands": daily_commands,
    "policy": policy_pack,
    "price": price,
    "memory": memory,
    "scale": scale,
}
DEFAULT = tuple(name for name in GROUPS if name != "cold")
"""Without `cold`, which removes the machine's caches."""
