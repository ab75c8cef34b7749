"""The stand-in's table of names follows DNS, and its configuration is exactly what is reviewed in the golden file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from localcloud.cloudflare.backend import RecordSpec
from localcloud.cloudflare.real.edge import Tls, render
from localcloud.cloudflare.real.zone import Server, read_records, visitor_names, zone_servers
from localcloud.cloudflare.tls import Zone
from localcloud.errors import CloudError

GOLDEN = Path(__file__).parent / "golden/cloudflare_edge.conf"
"""Rewritten by: GOLDEN_UPDATE=1 pytest localcloud/tests/test_cloudflare_edge.py"""


def record(name: str, content: str = "198.51.100.24", *, proxied: bool = True, kind: str = "A") -> RecordSpec:
    return RecordSpec(zone_id="0" * 32, name=name, type=kind, content=content, proxied=proxied, ttl=1)


ZONE, STRICT_ZONE = "0" * 32, "1" * 32


def tls(*, https_port: int = 443, **zones: Zone) -> Tls:
    named = {"loose": ZONE, "strict": STRICT_ZONE}
    return Tls(
        visitors="visitors-0.pem",
        origin_ca="origin-ca-0.pem",
        https_port=https_port,
        zones={named[name]: zone for name, zone in zones.items()},
        clients={named[name]: "client-0.pem" for name, zone in zones.items() if zone.client_bundle},
    )


def table(*records: RecordSpec) -> dict[str, tuple[str, ...]]:
    return {server.name: server.origins for server in zone_servers(records)}


def write(folder: Path, **fields: object) -> Path:
    document = {"zone_id": "0" * 32, "name": "a.example.com", "type": "A", "content": "198.51.100.24"}
    folder.mkdir(exist_ok=True)
    path = folder / "one.json"
    path.write_text(json.dumps({**document, "proxied": True, "ttl": 1, **fields}))
    return path


def test_a_wildcard_and_its_own_suffix_are_two_servers_with_the_same_origin() -> None:
    origin = ("198.51.100.24",)
    assert table(record("*.localhost"), record("localhost")) == {"*.localhost": origin, "localhost": origin}


def test_an_exact_name_hides_the_wildcard_from_what_is_below_it() -> None:
    assert table(record("*.example.com"), record("shop.example.com", "198.51.100.25")) == {
        "*.example.com": ("198.51.100.24",),
        "shop.example.com": ("198.51.100.25",),
        "*.shop.example.com": (),
    }


def test_a_name_that_exists_only_because_of_a_deeper_one_hides_the_wildcard_too() -> None:
    found = table(record("*.example.com"), record("a.b.example.com"))
    assert found["b.example.com"] == ()
    assert found["*.b.example.com"] == ()
    assert found["a.b.example.com"] == ("198.51.100.24",)


def test_a_deeper_wildcard_serves_below_its_own_name_but_not_the_name() -> None:
    found = table(record("*.example.com"), record("*.staging.example.com", "198.51.100.26"))
    assert found["*.staging.example.com"] == ("198.51.100.26",)
    assert found["staging.example.com"] == ()


def test_a_record_that_is_not_proxied_exists_but_is_not_served() -> None:
    assert table(record("*.example.com"), record("ssh.example.com", proxied=False))["ssh.example.com"] == ()


def test_two_records_of_one_name_are_one_server_with_two_origins() -> None:
    found = table(record("example.com", "198.51.100.25"), record("example.com", "198.51.100.24"))
    assert found == {"example.com": ("198.51.100.24", "198.51.100.25")}


def test_records_are_read_from_their_files_and_a_missing_folder_is_an_empty_zone(tmp_path: Path) -> None:
    assert read_records(tmp_path / "records") == ()
    write(tmp_path / "records")
    assert read_records(tmp_path / "records") == (record("a.example.com"),)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "a; return 200"}, "name: not a lower-case host name: 'a; return 200'"),
        ({"name": "A.example.com"}, "name: not a lower-case host name: 'A.example.com'"),
        ({"content": "1.2.3.4; }"}, "content: not an IPv4 address: '1.2.3.4; }'"),
        ({"type": "CNAME"}, "type: the stand-in proxies A records only, got 'CNAME'"),
    ],
)
def test_a_record_that_cannot_be_served_is_refused_with_its_file_and_value(
    tmp_path: Path, fields: dict[str, object], message: str
) -> None:
    path = write(tmp_path, **fields)
    with pytest.raises(CloudError) as caught:
        read_records(tmp_path)
    assert str(caught.value) == f"{path}: {message}"


def test_a_malformed_record_is_refused_with_its_file_and_key(tmp_path: Path) -> None:
    path = write(tmp_path, proxied="perhaps")
    with pytest.raises(CloudError, match="proxied: ") as caught:
        read_records(tmp_path)
    assert str(caught.value).startswith(f"{path}: proxied: ")


def test_the_rendered_configuration_is_the_reviewed_one() -> None:
    servers = (
        Server("*.example.com", ("198.51.100.24", "198.51.100.25"), ZONE),
        Server("ssh.example.com", (), ZONE),
        Server("*.localhost", ("198.51.100.24",), STRICT_ZONE),
    )
    strict = Zone(strict=True, always_use_https=True, min_tls_version="1.2", client_bundle="pem")
    rendered = render(servers, tls(https_port=8443, strict=strict))
    if os.environ.get("GOLDEN_UPDATE"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(rendered)
    assert rendered == GOLDEN.read_text()


def test_each_set_of_servers_has_a_digest_of_its_own_in_the_first_line_and_in_the_status_answer() -> None:
    one, two = render((), tls()), render((Server("example.com", ("198.51.100.24",)),), tls())
    digest = one.splitlines()[0].rpartition(" ")[2]
    assert len(digest) == 64
    assert f'return 200 "{digest}\\n";' in one
    assert digest not in two


@pytest.mark.parametrize(
    ("version", "protocols"),
    [("1.0", "TLSv1 TLSv1.1 TLSv1.2 TLSv1.3"), ("1.2", "TLSv1.2 TLSv1.3"), ("1.3", "TLSv1.3")],
)
def test_the_oldest_version_of_the_strictest_zone_is_that_of_all_visitors(version: str, protocols: str) -> None:
    rendered = render((), tls(loose=Zone(), strict=Zone(min_tls_version=version)))
    assert f"    ssl_protocols {protocols};\n" in rendered


@pytest.mark.parametrize(("port", "suffix"), [(443, ""), (8443, ":8443")])
def test_a_redirect_names_the_port_that_visitors_find_it_at(port: int, suffix: str) -> None:
    servers = (Server("example.com", ("198.51.100.24",), STRICT_ZONE),)
    assert f"return 301 https://$host{suffix}$request_uri;" in render(
        servers, tls(https_port=port, strict=Zone(always_use_https=True))
    )


def test_visitors_tls_covers_served_names_and_labels_only_where_no_client_takes_the_wildcard() -> None:
    servers = zone_servers(
        [record("*.localhost"), record("localhost"), record("*.example.com"), record("ssh.org", proxied=False)]
    )
    names = ("*.example.com", "*.localhost", "acme.localhost", "demo.localhost", "localhost")
    assert visitor_names(servers, ["demo", "acme"]) == names


def test_an_origin_below_one_label_must_be_the_label_and_any_other_the_visitors_host() -> None:
    assert [Server(name, ()).verify_name for name in ("*.localhost", "localhost")] == ["localhost", "localhost"]
    assert [Server(name, ()).verify_name for name in ("*.example.com", "example.com")] == ["$host", "$host"]
