"""The metadata service of one droplet: says which droplet it is, and takes the figures of its metrics agent.

Usage: metadata.py META_DATA FIGURES. The first is cloud-init's document of this droplet; into the second goes what was
delivered last. The paths are those that do-agent asks. User data is not served: it holds the host key.
"""

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

METADATA, METRICS = "/metadata/v1/", "/v1/metrics/droplet_id/"
ADDRESS = ("169.254.169.254", 80)
LONGEST = 64 * 1024
"""Bytes of one delivery."""


class Metadata(BaseHTTPRequestHandler):
    """Answers one request."""

    droplet: ClassVar[dict[str, str]] = {}
    figures: ClassVar[Path]

    def do_GET(self) -> None:
        known = {"id": self.droplet["instance-id"], "region": self.droplet["region"]}
        name = self.path.removeprefix(METADATA)
        if self.path.startswith(METADATA) and name in known:
            self._answer(200, known[name])
        else:
            self._answer(404, "")

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if self.path != METRICS + self.droplet["instance-id"] or not 0 < length <= LONGEST:
            self._answer(404, "")
            return
        figure = self.rfile.read(length).decode(errors="replace")
        partial = self.figures.with_suffix(".new")
        partial.write_text(
            json.dumps({"time": time.time(), "droplet_id": self.droplet["instance-id"], "figure": figure})
        )
        partial.replace(self.figures)
        self._answer(202, "")

    def _answer(self, code: int, text: str) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Log nothing: a figure a minute would fill the journal."""


def main(meta_data: str, figures: str) -> None:
    Metadata.droplet = json.loads(Path(meta_data).read_text())
    Metadata.figures = Path(figures)
    Metadata.figures.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    HTTPServer(ADDRESS, Metadata).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
