"""BC22 for nginx: whom it trusts, what it reaches, and which TLS it uses. Included files are read as well."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping

from policy.server_files import Directive, Fault, Server, network, read_nginx, shipped, words_of
from topology.names import HTTP_PORT

START = "/etc/nginx/current/nginx.conf"
COMMAND = ["nginx", "-c", START, "-g", "daemon off;"]
PAGES = "/etc/nginx/current/pages"
SWITCHES = "/run/http"
"""The directory that Host and `basec maintenance` keep: files that nginx asks for by name, the page among them."""
AUTHORITIES = "secrets/origin_pull_ca.pem"
"""Beside the configuration: `x-live` of compose/edge/compose.yaml."""
ONLY: Mapping[str, tuple[tuple[str, ...], str]] = {
    "ssl_verify_client": (("on",), "on: Cloudflare alone has our certificate"),
    "ssl_client_certificate": ((AUTHORITIES,), AUTHORITIES),
    "ssl_trusted_certificate": ((AUTHORITIES,), AUTHORITIES),
    "real_ip_header": (("CF-Connecting-IP",), "CF-Connecting-IP, which Cloudflare overwrites"),
    "root": ((PAGES, SWITCHES), f"{PAGES}, or {SWITCHES}"),
    "alias": ((PAGES,), PAGES),
    "autoindex": (("off",), "off"),
    "dav_methods": (("off",), "off"),
}
"""Allowed values of a directive, wherever it stands. Source: https://nginx.org/en/docs/dirindex.html"""
TLS = ("TLSv1.2", "TLSv1.3")
WEAK_CIPHERS = re.compile(r"(?<![!A-Z-])(NULL|RC4|3?DES|MD5|EXP|EXPORT|ADH|AECDH|aNULL|eNULL|ALL|LOW|DEFAULT)\b")
CODE = ("load_module", "js_import", "js_path", "perl_modules", "perl_require")
TENANT = ("X-Tenant-Slug", "$tenant_slug")
VISITORS_WORD = re.compile(r"\$\{?http_(x_|cf_|true_|forwarded)")
COMPOSE_NETWORKS = ipaddress.IPv4Network("172.30.0.0/22")
"""Of the tiers: compose/*/compose.yaml."""


def nginx_faults(server: Server) -> Iterator[Fault]:
    """Judge the edge's nginx."""
    command = [*words_of(server.service, "entrypoint"), *words_of(server.service, "command")]
    start = shipped(server.service, START)
    if command != COMMAND or start not in server.files:
        wanted = f"nginx -c {START} -g 'daemon off;' with the release's files there"
        yield "compose.yaml", f"entrypoint: {' '.join(command)}", wanted
    tree = read_nginx(server.files, start)
    for check in _CHECKS:
        yield from check(tree, server)


def _values(tree: Directive, _server: Server) -> Iterator[Fault]:
    for each in tree.all(*ONLY, *CODE):
        allowed, wanted = ONLY.get(each.name, ((), f"no {each.name}: it runs other people's code"))
        if " ".join(each.words) not in allowed:
            yield each.file, each.shown, wanted


def _tls(tree: Directive, _server: Server) -> Iterator[Fault]:
    for each in tree.all("ssl_protocols"):
        if set(each.words) - set(TLS):
            yield each.file, each.shown, " ".join(TLS)
    for each in tree.all("ssl_ciphers"):
        if WEAK_CIPHERS.search(" ".join(each.words)):
            yield each.file, each.shown, "ECDHE with AES-GCM or ChaCha20"
    for http in tree.own("http"):
        for server in http.own("server"):
            asks = any((*http.own("ssl_verify_client"), *server.own("ssl_verify_client")))
            yield from _listeners(server, asks=asks)


def _listeners(server: Directive, *, asks: bool) -> Iterator[Fault]:
    for listen in server.own("listen"):
        address = " ".join(listen.words[:1])
        if address.rpartition(":")[2] == str(HTTP_PORT) or address.startswith("127."):
            continue
        if "ssl" not in listen.words:
            yield listen.file, listen.shown, "ssl on every port but 80"
        elif not asks:
            yield listen.file, "ssl_verify_client: none", "ssl_verify_client on in each server with ssl"


def _visitors(tree: Directive, server: Server) -> Iterator[Fault]:
    ranges = server.project.settings.cloudflare.ranges
    for each in tree.all("set_real_ip_from"):
        source = network(" ".join(each.words))
        if source is None or not any(source.subnet_of(known) for known in ranges):
            yield each.file, each.shown, "ranges of the setting cloudflare.ranges alone"
    for each in tree.all("proxy_set_header"):
        other = each.words[:1] == TENANT[:1] and each.words != TENANT
        if other or VISITORS_WORD.search(each.text):
            yield each.file, each.shown, "values that nginx sets, never those that a visitor sends"


def _tenant(tree: Directive, _server: Server) -> Iterator[Fault]:
    """Check each level: one that sets any header inherits none, and then passes on the tenant that a visitor sends."""
    wanted = f"proxy_set_header {' '.join(TENANT)} wherever a header is set, and in http"
    named = [block for block in tree.blocks() if TENANT in {each.words for each in block.own("proxy_set_header")}]
    for block in tree.blocks():
        sets = any(block.own("proxy_set_header"))
        if block not in named and (sets or (block.name == "http" and not named)):
            yield block.file, f"proxy_set_header: no {TENANT[0]} in `{block.text}`", wanted


def _reach(tree: Directive, server: Server) -> Iterator[Fault]:
    upstreams = {name for each in tree.all("upstream") for name in each.words}
    for each in tree.all("proxy_pass"):
        target = re.match(r"https?://([^/]+)", " ".join(each.words))
        if target is None or target[1] not in upstreams:
            yield each.file, each.shown, f"an upstream: {', '.join(sorted(upstreams))}"
    for each in (member for upstream in tree.all("upstream") for member in upstream.own("server")):
        host = " ".join(each.words[:1]).partition(":")[0]
        address = network(host)
        inside = address is not None and address.subnet_of(COMPOSE_NETWORKS)
        if not (inside or host.endswith(".internal") or host in server.services):
            yield each.file, each.shown, "a service of the tier, or a droplet by its name"
    for each in tree.all("include"):
        if any(word.removeprefix("/etc/nginx/current/").startswith("/") or ".." in word for word in each.words):
            yield each.file, each.shown, "files of the release"


_CHECKS: tuple[Callable[[Directive, Server], Iterator[Fault]], ...] = (_values, _tls, _visitors, _tenant, _reach)
