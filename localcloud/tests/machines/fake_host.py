"""A machine that only writes down what it is asked, and answers like Docker for containers and networks."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from localcloud.machine.host import COMMAND_TIMEOUT_S, CommandError, Result

EMPTY_FILTER = "*filter\n:INPUT ACCEPT [0:0]\n:DOCKER-USER - [0:0]\n-A DOCKER-USER -j RETURN\nCOMMIT\n"


@dataclass
class FakeHost:
    """Keeps containers and networks in dictionaries; `crash` lists containers that end as soon as they are started."""

    calls: list[tuple[str, ...]] = field(default_factory=list)
    stdin: list[bytes] = field(default_factory=list)
    containers: dict[str, dict[str, Any]] = field(default_factory=dict)
    networks: dict[str, dict[str, Any]] = field(default_factory=dict)
    crash: set[str] = field(default_factory=set)
    sshd: bool = True
    overlap: bool = False
    bridge_filtering: str = "1"
    filter_table: str = EMPTY_FILTER

    async def run(
        self,
        *argv: str,
        stdin: bytes | None = None,
        check: bool = True,
        deadline_s: float = COMMAND_TIMEOUT_S,  # noqa: ARG002 (as Host has it)
    ) -> Result:
        self.calls.append(argv)
        if stdin is not None:
            self.stdin.append(stdin)
        result = self._answer(argv)
        if check and result.code != 0:
            raise CommandError(" ".join(argv[:3]), result)
        return result

    def asked(self, *words: str) -> list[tuple[str, ...]]:
        """List the calls that begin with these words."""
        return [call for call in self.calls if call[: len(words)] == words]

    def _answer(self, argv: tuple[str, ...]) -> Result:
        if argv[0] == "docker":
            return self._docker(argv[1], argv[2], argv[3:])
        outputs = {
            "sysctl": self.bridge_filtering,
            "iptables-save": self.filter_table,
            "ip6tables-save": EMPTY_FILTER,
            "ip": "[]",
            "losetup": "",
        }
        return Result(0, outputs.get(argv[0], ""), "")

    def _docker(self, kind: str, verb: str, rest: tuple[str, ...]) -> Result:
        if verb == "inspect":
            return self._inspect({"container": self.containers, "network": self.networks}[kind], rest[0])
        if (kind, verb) == ("network", "create"):
            if self.overlap:
                return Result(1, "", "Error response from daemon: Pool overlaps with other one on this address space")
            subnet = next(word.partition("=")[2] for word in rest if word.startswith("--subnet="))
            self.networks[rest[-1]] = {"IPAM": {"Config": [{"Subnet": subnet}]}}
        elif (kind, verb) == ("container", "create"):
            self._create(rest)
        elif (kind, verb) == ("container", "start"):
            state = self.containers[rest[0]]["State"]
            state["Running"], state["ExitCode"] = rest[0] not in self.crash, 255 if rest[0] in self.crash else 0
        elif (kind, verb) in (("container", "stop"), ("container", "kill")):
            self.containers[rest[-1]]["State"]["Running"] = False
        elif (kind, verb) == ("container", "rm"):
            self.containers.pop(rest[-1], None)
        elif (kind, verb) == ("container", "logs"):
            return Result(0, "Failed to mount cgroup\n", "")
        elif (kind, verb) == ("container", "exec"):
            return self._exec(rest)
        return Result(0, "", "")

    def _exec(self, rest: tuple[str, ...]) -> Result:
        running = self.containers[rest[0]]["State"]["Running"]
        if rest[1] == "journalctl":
            return Result(0 if running else 1, "ssh.service: Failed\n" if running else "", "")
        return Result(0 if running and self.sshd else 1, "", "")

    def _create(self, rest: tuple[str, ...]) -> None:
        name = next(word.partition("=")[2] for word in rest if word.startswith("--name="))
        labels = dict(rest[n + 1].split("=", 1) for n, word in enumerate(rest) if word == "--label")
        self.containers[name] = {
            "Config": {"Labels": labels},
            "State": {"Running": False, "ExitCode": 0},
            "RestartCount": 0,
        }

    @staticmethod
    def _inspect(things: dict[str, dict[str, Any]], name: str) -> Result:
        if name not in things:
            return Result(1, "[]", f"Error: No such object: {name}")
        return Result(0, json.dumps([things[name]]), "")
