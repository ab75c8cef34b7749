"""Try and judge TLS: requests from a container's network, scans with testssl."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.scan import process_of

TIMEOUT_S = 15
SCAN_TIMEOUT_S = 300
HARMLESS = ("OK", "INFO", "LOW")
"""testssl's severities that are no finding, or no more than a low one; the others are MEDIUM, HIGH, CRITICAL, WARN."""


def status_from(container: str, address: str, host: str, *options: str) -> int:
    """Ask an origin over https from a container's network; the origin's own certificate is not judged here.

    Answers 0 where there is no HTTP answer. Raises AssertionError when the container does not run.
    """
    whole = ["nsenter", "--target", str(process_of(container)), "--net", "curl", "--silent", "--insecure"]
    whole += ["--output", "/dev/null", "--write-out", "%{http_code}", "--max-time", str(TIMEOUT_S)]
    whole += [*options, "--connect-to", f"::{address}:443", f"https://{host}/health"]
    done = subprocess.run(whole, capture_output=True, text=True, check=False, timeout=2 * TIMEOUT_S)
    return int(done.stdout or 0)


@dataclass(frozen=True)
class Finding:
    """One line of a scan."""

    id: str
    severity: str
    text: str


def findings(
    report: Path, host: str, port: int, address: str, *options: str, within: Sequence[str] = ()
) -> list[Finding]:
    """Scan one TLS server and give what testssl found. It asks no name server and nobody else (no `--phone-out`).

    `within` starts it elsewhere, such as in a container's network. Raises AssertionError when the scan is not whole.
    """
    command = [*within, "testssl", "--quiet", "--warnings", "batch", "--color", "0", "--nodns", "none", "--sneaky"]
    command += ["--ip", address, "--connect-timeout", "10", "--openssl-timeout", "10", "--overwrite"]
    command += ["--jsonfile", str(report), *options, f"{host}:{port}"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=SCAN_TIMEOUT_S, stdin=subprocess.DEVNULL
    )
    found = list(_read(json.loads(report.read_text())))
    ids = {finding.id for finding in found}
    assert {"TLS1_3", "cert_keySize", "heartbleed", "scanTime"} <= ids, f"{done.stdout[-2000:]}{done.stderr}"
    return found


def above_low(found: Sequence[Finding], explained: Mapping[str, str]) -> dict[str, str]:
    """Give the findings above LOW that nothing explains, by id."""
    return {
        finding.id: f"{finding.severity}: {finding.text}"
        for finding in found
        if finding.severity not in HARMLESS and finding.id.partition(" ")[0] not in explained
    }


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


def in_network(container: str) -> list[str]:
    """Give the words that start a program in a container's network. Raises AssertionError when it does not run."""
    return ["nsenter", "--target", str(process_of(container)), "--net"]


def _read(lines: list[dict[str, Any]]) -> Iterator[Finding]:
    for line in lines:
        yield Finding(id=line["id"], severity=line["severity"], text=line["finding"])
