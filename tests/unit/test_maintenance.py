"""The edge's files about maintenance, by their words; tests/services/test_maintenance.py asks a running nginx."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from basec.hosts import maintenance
from basec.hosts.onhost import maintenance as onhost
from policy.server_files import Directive, read_nginx

EDGE = Path(__file__).parents[2] / "compose/edge"
FILES = {f"nginx/{path.name}": path.read_text() for path in (EDGE / "nginx").glob("*.conf")}
TREE = read_nginx(FILES, "nginx/nginx.conf")
SERVERS = [server for http in TREE.own("http") for server in http.own("server")]


def test_nginx_looks_for_the_files_that_basec_writes() -> None:
    mounted = yaml.safe_load((EDGE / "compose.yaml").read_text())["services"]["nginx"]["volumes"]
    assert f"{maintenance.DIRECTORY}:/run/http:ro" in mounted
    asked = {each.words for server in SERVERS for each in server.own("if") if each.words[0] == "(-f"}
    assert ("(-f", f"/run/http/{onhost.PAGE})") in asked
    assert onhost.RECORD not in "".join(FILES.values())


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: "-".join(next(server.own("listen")).words))
def test_every_server_asks_before_it_redirects_or_passes_on(server: Directive) -> None:
    """Whichever location is added is closed too: it is asked for the server, not in each location."""
    steps = [each.text for each in server.block if each.name in ("if", "set", "include")]
    closing = steps.index("if ($shop = closed)")
    assert steps.index("include maintenance.conf") < closing < steps.index("include locations.conf")
    redirects = [index for index, text in enumerate(steps) if text == "if ($plain_answer = redirect)"]
    assert all(closing < index for index in redirects)


def test_a_page_that_is_removed_at_this_moment_is_no_404() -> None:
    (location,) = [each for each in SERVERS[0].own("location") if each.words == ("=", f"/{onhost.PAGE}")]
    assert [each.words for each in location.own("try_files")] == [("$uri", "=503")]


def test_the_answer_of_the_api_is_json_as_its_other_errors_are() -> None:
    assert json.loads((EDGE / "nginx/pages/maintenance.json").read_text()) == {"error": "Under maintenance"}


def test_only_monitors_and_pages_of_errors_are_left_open() -> None:
    (shop,) = re.findall(r'map "\$maintenance \$uri" \$shop \{(.*?)\n    \}', FILES["nginx/nginx.conf"], re.S)
    assert re.findall(r'^\s+"(.+)" (\w+);$', shop, re.M) == [
        (r"~^on /(health|nginx-status|50x\.html|maintenance\.(html|json))\z", "open"),
        ("~^on ", "closed"),
    ]
