"""HAProxy changes from one colour to the other without a failed request, and keeps its choice."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.services.haproxy_support import HAProxy, running
from tests.unit.release_support import colours

SLOW_S = 1.5
ADDRESSES = {"blue": "", "green": ""}
TO_GREEN, TO_BLUE = (colours.Pair("construction", colour, ADDRESSES) for colour in ("green", "blue"))
WIZARD = "/web/cotacoes/new/step1"


def application(colour: str) -> ThreadingHTTPServer:
    """One colour, which says its name; `/slow` takes a while."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path == "/slow":
                time.sleep(SLOW_S)
            self.send_response(200)
            self.send_header("Content-Length", str(len(colour)))
            self.end_headers()
            self.wfile.write(colour.encode())

        do_POST = do_GET  # noqa: N815 - the name that http.server looks up

        def log_message(self, *_: Any) -> None:
            """Stays silent."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """Stays silent: who hangs up is HAProxy's check, when it ends."""

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture
def haproxy(tmp_path: Path) -> Iterator[HAProxy]:
    servers = {colour: application(colour) for colour in ("blue", "green")}
    with running(tmp_path, {name: server.server_port for name, server in servers.items()}, "blue") as found:
        yield found
    for server in servers.values():
        server.shutdown()
        server.server_close()


@pytest.fixture
def proxy(haproxy: HAProxy) -> Any:
    return colours.Proxy("vertical-haproxy-1", haproxy)


def ask(port: int, path: str = "/web/dashboard", cookie: str = "", body: int = 0) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        headers = {"Host": "acme.example", **({"Cookie": f"access_token={cookie}"} if cookie else {})}
        connection.request("POST" if body else "GET", path, b"x" * body or None, headers)
        answer = connection.getresponse()
        return answer.read().decode() if answer.status == 200 else str(answer.status)
    finally:
        connection.close()


@dataclass
class Visitors:
    """Four who ask all the time: two on connections that they keep, and each second request has a body."""

    port: int
    answers: Counter[str] = field(default_factory=Counter)
    over: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)

    def go_on(self, keeps: bool) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        while not self.over.is_set():
            try:
                for body in (None, b"x", b"x" * 10_000):
                    connection.request("POST" if body else "GET", "/web/dashboard", body)
                    answer = connection.getresponse()
                    self.answers[answer.read().decode() if answer.status == 200 else str(answer.status)] += 1
            except (OSError, http.client.HTTPException) as error:
                self.answers[repr(error)] += 1
                connection.close()
            if not keeps:
                connection.close()

    def __enter__(self) -> Counter[str]:
        self.threads = [threading.Thread(target=self.go_on, args=(keeps,)) for keeps in (True, True, False, False)]
        for thread in self.threads:
            thread.start()
        return self.answers

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()


def test_ten_switches_and_five_reloads_under_load_fail_no_request(haproxy: HAProxy, proxy: Any) -> None:
    with Visitors(haproxy.port) as answers:
        for number in range(10):
            pair = (TO_GREEN, TO_BLUE)[number % 2]
            haproxy.choices.write({"construction": pair.colour})
            proxy.serve(pair)
            time.sleep(0.2)
            while proxy.ends(pair)[0]:
                time.sleep(0.02)
            proxy.rest(pair)
            if number % 2:
                haproxy.reload()
                time.sleep(0.2)
    assert set(answers) == {"blue", "green"}, answers
    assert sum(answers.values()) > 500


def test_a_request_in_flight_ends_on_the_colour_that_began_it(haproxy: HAProxy, proxy: Any) -> None:
    answers: list[str] = []
    slow = threading.Thread(target=lambda: answers.append(ask(haproxy.port, "/slow")))
    slow.start()
    while not sum(int(row["scur"]) for row in proxy.servers("construction")):
        time.sleep(0.02)
    proxy.serve(TO_GREEN)
    assert ask(haproxy.port) == "green"
    assert proxy.ends(TO_GREEN) == (1, 0)
    slow.join()
    assert answers == ["blue"]
    assert proxy.ends(TO_GREEN) == (0, 0)


@pytest.mark.parametrize("body", [0, 10_000], ids=["small", "large"])
def test_a_colour_that_rests_is_asked_nothing(haproxy: HAProxy, proxy: Any, body: int) -> None:
    proxy.serve(TO_GREEN)
    proxy.rest(TO_GREEN)
    assert {ask(haproxy.port, body=body) for _ in range(20)} == {"green"}
    assert {row["status"].split(" ")[0] for row in proxy.servers("construction") if row["svname"] == "blue"} == {
        "MAINT"
    }


def test_a_reload_in_the_middle_of_the_drain_keeps_the_choice(haproxy: HAProxy, proxy: Any) -> None:
    answers: list[str] = []
    slow = threading.Thread(target=lambda: answers.append(ask(haproxy.port, "/slow")))
    slow.start()
    time.sleep(0.2)
    haproxy.choices.write({"construction": "green"})
    proxy.serve(TO_GREEN)
    haproxy.reload()
    assert {ask(haproxy.port) for _ in range(20)} == {"green"}
    slow.join()
    assert answers == ["blue"]


def test_a_restart_keeps_the_choice(tmp_path: Path) -> None:
    servers = {colour: application(colour) for colour in ("blue", "green")}
    with running(tmp_path, {name: server.server_port for name, server in servers.items()}, "green") as haproxy:
        assert {ask(haproxy.port) for _ in range(20)} == {"green"}
    for server in servers.values():
        server.shutdown()
        server.server_close()


def test_who_writes_a_quote_stays_with_the_colour_that_knows_it_until_it_rests(haproxy: HAProxy, proxy: Any) -> None:
    assert ask(haproxy.port, WIZARD, cookie="ana") == "blue"
    proxy.serve(TO_GREEN)
    assert ask(haproxy.port, WIZARD, cookie="ana") == "blue"
    assert ask(haproxy.port, "/web/dashboard", cookie="ana") == "green"
    assert ask(haproxy.port, WIZARD, cookie="bia") == "green"
    assert proxy.ends(TO_GREEN) == (0, 1)
    proxy.rest(TO_GREEN)
    assert ask(haproxy.port, WIZARD, cookie="ana") == "green"
