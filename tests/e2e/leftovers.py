"""What a stack could leave behind on the machine when it goes."""

from __future__ import annotations

import subprocess

from tests.e2e.stack import STACK, LocalStack, docker


def left_behind(stack: LocalStack) -> dict[str, str]:
    """Return, by kind, what is still there of the stack; an empty mapping when it is gone without a trace."""
    label = f"label=basecommerce.cloud={STACK}"
    prefix = f"bc-{STACK}-"
    found = {
        "containers": docker("ps", "--all", "--quiet", "--filter", label)
        + docker("ps", "-aq", "--filter", f"name={prefix}"),
        "networks": docker("network", "ls", "--quiet", "--filter", f"name={prefix}"),
        "volumes": docker("volume", "ls", "--quiet", "--filter", f"name={prefix}"),
        "loops": "\n".join(line for line in _run("losetup", "--list").splitlines() if STACK in line),
        "mounts": "\n".join(line for line in _run("findmnt", "--list").splitlines() if STACK in line),
        "rules": "\n".join(line for line in _run("iptables-save").splitlines() if STACK in line.lower()),
        "state": "\n".join(map(str, (stack.root / ".local").glob(f"{STACK}*"))),
        "basec": "\n".join(map(str, (stack.root / ".basec").glob(f"{STACK}*"))),
    }
    return {kind: text.strip() for kind, text in found.items() if text.strip()}


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
