"""Check that this machine can run the local cloud, and repair what can be repaired."""

from __future__ import annotations

import json
from collections.abc import Mapping

from basec.environments import Environment
from basec.io.console import say
from basec.io.known_issues import pointer
from basec.io.programs import Program
from topology.errors import HostCheckError


def check_host(environment: Environment, *, repair: bool) -> list[dict[str, str]]:
    """Run the host checks and return the findings; a failed check is a finding here, not an error."""
    arguments = ["doctor"]
    if environment.cloud_file.exists():
        arguments += ["--config", str(environment.cloud_file)]
    if not repair:
        arguments.append("--no-repair")
    findings: list[dict[str, str]] = []

    def collect(line: str) -> None:
        findings.append(json.loads(line))

    try:
        Program("localcloud", arguments, on_result_line=collect).run()
    except HostCheckError:
        if not findings:
            raise
    return findings


def remedy_of(finding: Mapping[str, str]) -> str:
    """Return what to do about a finding, and the command that shows its known issue; nothing for a good one."""
    if finding["status"] == "ok":
        return finding["remedy"]
    return "; ".join(filter(None, (finding["remedy"], pointer(finding["message"]))))


def require_host(environment: Environment) -> None:
    """Check the host before a bring-up, and print what is wrong or was repaired. Raises HostCheckError."""
    failed: list[str] = []
    for finding in check_host(environment, repair=True):
        if finding["status"] == "failed":
            failed.append(f"doctor: {finding['check']}: {finding['message']}\nhint: {finding['remedy']}")
        elif finding["status"] != "ok":
            remedy = f" ({known})" if (known := remedy_of(finding)) else ""
            say(f"{finding['check']}: {finding['status']}: {finding['message']}{remedy}")
    if failed:
        raise HostCheckError("\n".join(failed))
