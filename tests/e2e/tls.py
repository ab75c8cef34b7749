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
SCAN_TIMEOUT_S = 1200
"""A scan makes hundreds of handshakes, each by a program of its own: minutes on a busy machine."""
CHECKS = ("-p", "-s", "-f", "-S", "-h", "-U")
"""Protocols, ciphers, forward secrecy, the certificate and other defaults, headers, vulnerabilities."""
WITHOUT_NAME_SERVERS = 'mount --bind /dev/null /etc/resolv.conf && exec "$@"'
"""testssl tries OpenSSL's options on the name `invalid.`, and would wait for name servers each time."""
HARMLESS = ("OK", "INFO", "LOW")
"""testssl's severities that are no finding, or no more than a low one; the others are MEDIUM, HIGH, CRITICAL, WARN."""
OF_THE_SCANNER = {
    "engine_problem": "this machine's OpenSSL has no GOST ciphers to try",
    "sessionresumption_ticket": "testssl 3.0 cannot read what OpenSSL 3 says of a resumed session",
}
"""Warnings that a check could not be made, whatever the server."""


def status_from(container: str, address: str, host: str, *options: str) -> int:
    """Ask an origin over https from a container's network; the origin's own certificate is not judged here.

    Answers 0 where there is no HTTP answer. Raises AssertionError when the container does not run.
    """
    return _asked(container, "--insecure", *options, "--connect-to", f"::{address}:443", f"https://{host}/health")


def plain_status_from(container: str, address: str, host: str, path: str) -> int:
    """Ask an origin over http as Cloudflare does for a visitor who came by https; answers as `status_from` does."""
    visitor = ("--header", f"Host: {host}", "--header", "X-Forwarded-Proto: https")
    return _asked(container, *visitor, f"http://{address}{path}")


def _asked(container: str, *arguments: str) -> int:
    whole = ["nsenter", "--target", str(process_of(container)), "--net", "curl", "--silent"]
    whole += ["--output", "/dev/null", "--write-out", "%{http_code}", "--max-time", str(TIMEOUT_S), *arguments]
    done = subprocess.run(whole, capture_output=True, text=True, check=False, timeout=2 * TIMEOUT_S)
    return int(done.stdout or 0)


@dataclass(frozen=True)
class Finding:
    """One line of a scan."""

    id: str
    severity: str
    text: str


def findings(report: Path, host: str, port: int, address: str, ca_file: Path, *, within: str = "") -> list[Finding]:
    """Scan one TLS server, trusting one authority more, and give what testssl found.

    The scan asks nobody else: no name server is known to it, and without `--phone-out` it looks for no revocation.
    `within` is a container in whose network it runs. Raises AssertionError when the scan is not whole.
    """
    command = ["nsenter", "--target", str(process_of(within)), "--net"] if within else []
    command += ["unshare", "--mount", "sh", "-c", WITHOUT_NAME_SERVERS, "sh"]
    command += ["testssl", "--quiet", "--warnings", "batch", "--color", "0", "--nodns", "none", "--sneaky"]
    command += ["--connect-timeout", "10", "--openssl-timeout", "10", *CHECKS]
    command += ["--ip", address, "--add-ca", str(ca_file), "--jsonfile", str(report), f"{host}:{port}"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=SCAN_TIMEOUT_S, stdin=subprocess.DEVNULL
    )
    assert report.exists(), f"{done.stdout[-2000:]}{done.stderr}"
    found = list(_read(json.loads(report.read_text())))
    severities = {finding.id: finding.severity for finding in found}
    assert {"TLS1_3", "cert_keySize", "heartbleed", "RC4"} <= set(severities), done.stdout[-2000:]
    assert severities.get("scanTime") == "INFO", "the scan was interrupted"
    return found


def above_low(found: Sequence[Finding], explained: Mapping[str, str]) -> dict[str, str]:
    """Return the findings above LOW that nothing explains, by id."""
    return {
        finding.id: f"{finding.severity}: {finding.text}"
        for finding in found
        if finding.severity not in HARMLESS and finding.id not in {**explained, **OF_THE_SCANNER}
    }


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


def _read(lines: list[dict[str, Any]]) -> Iterator[Finding]:
    for line in lines:
        yield Finding(id=line["id"], severity=line["severity"], text=line["finding"])
