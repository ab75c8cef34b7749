"""A bucket on loopback that speaks as much of S3 as the engine uses: get, head, put, copy, delete, list.

Signatures are not checked and nothing is kept: this shows that our side works over `s3://`, not that a provider does.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

NAME = "states"
DAY = "Mon, 02 Nov 2026 00:00:00 GMT"


class Bucket(ThreadingHTTPServer):
    """One bucket; `objects` holds what was put, by key."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, bytes] = {}

    @property
    def url(self) -> str:
        """What to put into PULUMI_BACKEND_URL."""
        return f"s3://{NAME}?endpoint=http://127.0.0.1:{self.server_port}&s3ForcePathStyle=true&region=us-east-1"

    def keys(self, part: str) -> list[str]:
        return sorted(key for key in self.objects if part in key)


@contextmanager
def serving() -> Iterator[Bucket]:
    """Serve a bucket until the end of the block."""
    with Bucket() as bucket:
        thread = threading.Thread(target=bucket.serve_forever)
        thread.start()
        try:
            yield bucket
        finally:
            bucket.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Bucket

    @property
    def key(self) -> str:
        return unquote(urlsplit(self.path).path).removeprefix(f"/{NAME}").removeprefix("/")

    def do_GET(self) -> None:
        if not self.key:
            self._list()
        elif (body := self.server.objects.get(self.key)) is None:
            self._answer(404, b"<Error><Code>NoSuchKey</Code><Message>none</Message></Error>")
        else:
            self._answer(200, body)

    do_HEAD = do_GET  # noqa: N815 - the base class looks for this name

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if source := self.headers.get("x-amz-copy-source"):
            body = self.server.objects[unquote(source).removeprefix("/").removeprefix(f"{NAME}/")]
            self.server.objects[self.key] = body
            self._answer(200, b"<CopyObjectResult><ETag>&quot;x&quot;</ETag></CopyObjectResult>")
        else:
            self.server.objects[self.key] = body
            self._answer(200, b"")

    def do_DELETE(self) -> None:
        self.server.objects.pop(self.key, None)
        self._answer(204, b"")

    def _list(self) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        contents, folders = [], []
        for key in self.server.keys(prefix):
            if not key.startswith(prefix):
                continue
            head, cut, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
            if cut:
                folders.append(prefix + head + cut)
            else:
                size = len(self.server.objects[key])
                contents.append(
                    f"<Contents><Key>{escape(key)}</Key><LastModified>2026-11-02T00:00:00.000Z</LastModified>"
                    f"<ETag>&quot;x&quot;</ETag><Size>{size}</Size></Contents>"
                )
        common = "".join(
            f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in sorted(set(folders))
        )
        listed = f"<Name>{NAME}</Name><IsTruncated>false</IsTruncated>{''.join(contents)}{common}"
        self._answer(200, f"<ListBucketResult>{listed}</ListBucketResult>".encode())

    def _answer(self, code: int, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"x"')
        self.send_header("Last-Modified", DAY)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Log nothing."""
