"""`basec status` judges what the droplets say, shows the ones that answer, and says how it is in its exit code."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from pydantic import TypeAdapter

from basec.hosts.onhost import status as onhost
from basec.hosts.status import Report, image_of
from basec.io.known_issues import pointer
from tests.cli.conftest import REPOSITORY, Run
from tests.cli.fake_droplets import document, install, running, say

Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def droplets(tmp_path: Path, clone: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three droplets that are well."""
    directory = install(tmp_path / "droplets", clone, monkeypatch)
    for role, services in running().items():
        say(directory, role, document(*services))
    return directory


def test_three_droplets_that_are_well_end_with_0(basec: Run, droplets: Path) -> None:
    outcome = basec("status", "--env", "local")
    assert (outcome.code, outcome.stderr) == (0, "")
    assert outcome.stdout.splitlines()[-1] == "well: 3 hosts, 9 containers"
    assert "\x1b" not in outcome.stdout


def test_only_named_hosts_are_asked_and_aliases_are_names(basec: Run, droplets: Path) -> None:
    (droplets / "edge.down").touch()
    assert basec("status", "platform", "--env", "local").stdout.endswith("well: 1 host, 4 containers\n")


def container(index: int = 0, **values: Any) -> Change:
    return lambda found: found["containers"][index].update(values)


@pytest.mark.parametrize(
    ("problem", "change"),
    [
        ("nginx is unhealthy", container(health="unhealthy")),
        ("nginx is starting", container(health="starting")),
        ("nginx is exited", container(state="exited", health="unhealthy")),
        ("auth is missing", lambda found: found["containers"].pop()),
        ("nginx uses 95% of its memory limit", container(memory={"used_bytes": 95, "limit_bytes": 100})),
        ("97% of the memory is in use", lambda found: found["memory"].update(used_bytes=990 * 1024 * 1024)),
        (
            "the containers' limits add up to 94% of the memory",
            container(memory={"used_bytes": 1, "limit_bytes": 800 * 1024 * 1024}),
        ),
        ("/ is 90% full", lambda found: found["disks"][0].update(used_bytes=90)),
        (
            "/mnt/data is 80% full",
            lambda f: f["disks"].append({"mount": "/mnt/data", "mounted": True, "used_bytes": 8, "total_bytes": 10}),
        ),
        (
            "/mnt/data is not mounted",
            lambda f: f["disks"].append({"mount": "/mnt/data", "mounted": False, "used_bytes": 0, "total_bytes": 0}),
        ),
        ("no release is active", lambda found: found.update(release=None)),
        ("the clock is not synchronised", lambda found: found.update(clock_synchronised=False)),
        (
            "the metrics agent does not run: no alert on CPU, memory or disk can fire",
            lambda found: found.update(metrics_agent={"running": False, "let_out": True}),
        ),
        (
            "the metrics agent cannot reach the metadata address: no alert on CPU, memory or disk can fire",
            lambda found: found.update(metrics_agent={"running": True, "let_out": False}),
        ),
        ("basecommerce-edge.service failed", lambda f: f.update(failed_units=["basecommerce-edge.service"])),
        ("docker ps: no daemon", lambda found: found.update(failed=["docker ps: no daemon"], containers=[])),
    ],
)
def test_what_is_not_well_is_named_and_ends_with_1(basec: Run, droplets: Path, problem: str, change: Change) -> None:
    found = document("nginx", "auth")
    change(found)
    say(droplets, "edge", found)
    outcome = basec("status", "--env", "local")
    lines = outcome.stdout.splitlines()
    assert outcome.code == 1
    assert f"edge: {problem}" in lines
    end = lines[lines.index(f"edge: {problem}") + 1 :]
    assert end[0].startswith("not well: 1 problem (3 hosts, ")
    assert end[1:] == ([f"hint: {pointer(problem)}"] if pointer(problem) else [])


def two_auths(blue: str, green: str, **changes: Any) -> dict[str, Any]:
    """Return what an edge prints whose auth has two containers, in these states; each may use 160 MiB."""
    found = document("nginx", "auth-green", "auth-blue", **changes)
    for each, state in zip(found["containers"][1:], (green, blue), strict=True):
        stopped = {"state": state, "health": "unhealthy", "memory": {"used_bytes": None, "limit_bytes": 160 * MIB}}
        each.update({"health": state} if state in HEALTH else stopped)
    return found


MIB = 1024 * 1024
HEALTH = ("healthy", "unhealthy", "starting")


@pytest.mark.parametrize(
    ("states", "shown", "problems"),
    [
        (("healthy", "exited"), ["blue healthy"], []),
        (("exited", "healthy"), ["green healthy"], []),
        (("created", "healthy"), ["green healthy"], []),
        (("healthy", "healthy"), ["blue healthy", "green healthy"], []),  # a release is on its way
        (("healthy", "starting"), ["blue healthy", "green starting"], ["auth is starting"]),
        (("exited", "unhealthy"), ["green unhealthy"], ["auth is unhealthy"]),
        (("healthy", "restarting"), ["blue healthy", "green restarting"], ["auth is restarting"]),
        (("restarting", "exited"), ["blue restarting"], ["auth is restarting"]),
        (("exited", "restarting"), ["green restarting"], ["auth is restarting"]),
        (("exited", "exited"), ["green exited"], ["auth is exited"]),
    ],
)
def test_of_two_colours_the_stopped_one_is_not_shown_while_the_other_runs(
    basec: Run, droplets: Path, states: tuple[str, str], shown: list[str], problems: list[str]
) -> None:
    say(droplets, "edge", two_auths(*states))
    outcome = basec("status", "edge", "--env", "local", "--json")
    (edge,) = json.loads(outcome.stdout)["hosts"]
    nginx, *auths = edge["containers"]
    assert nginx["service"] == "nginx"
    assert [each["service"] for each in auths] == ["auth"] * len(shown)
    assert [f"{each['name']} {each['state']}" for each in auths] == [
        f"tier-auth-{one}".replace(" ", "-1 ") for one in shown
    ]
    assert edge["limits_bytes"] == (1 + len(shown)) * 160 * MIB
    assert (edge["problems"], outcome.code) == (problems, 1 if problems else 0)


def test_a_service_without_any_of_its_two_colours_is_missing_once(basec: Run, droplets: Path) -> None:
    found = two_auths("exited", "exited")
    del found["containers"][1:]
    say(droplets, "edge", found)
    outcome = basec("status", "edge", "--env", "local")
    assert outcome.code == 1
    assert [line for line in outcome.stdout.splitlines() if "auth" in line and "missing" in line][1:] == [
        "edge: auth is missing"
    ]


def test_rows_are_in_the_order_of_the_compose_file_and_have_the_names_of_services(basec: Run, droplets: Path) -> None:
    found = two_auths("healthy", "exited")
    found["containers"].reverse()
    found["compose"] = document("auth-blue", "auth-green", "nginx")["compose"]
    say(droplets, "edge", found)
    lines = basec("status", "edge", "--env", "local").stdout.splitlines()
    rows = [line.split()[1] for line in lines[lines.index("containers") + 2 :] if line.startswith("edge ")]
    assert rows == ["auth", "nginx"]


def test_the_tag_is_that_of_the_colour_that_runs(basec: Run, droplets: Path) -> None:
    found = two_auths("exited", "healthy")
    found["containers"][2]["image"]["reference"] = "ghcr.io/x/auth:sha-of-before"
    say(droplets, "edge", found)
    (edge,) = json.loads(basec("status", "edge", "--env", "local", "--json").stdout)["hosts"]
    assert edge["release"]["tags"] == ["reference-69fc385b509d"]


def test_events_that_wait_for_more_than_a_minute_are_a_problem(basec: Run, droplets: Path) -> None:
    say(droplets, "infra", document(*running()["infra"], outbox={"unpublished": 7, "oldest_s": 61.0}))
    outcome = basec("status", "--env", "local")
    assert outcome.code == 1
    assert "infra: 7 events wait in the outbox, the oldest for 61 s" in outcome.stdout
    say(droplets, "infra", document(*running()["infra"], outbox={"unpublished": 7, "oldest_s": 60.0}))
    assert basec("status", "--env", "local").code == 0


def test_rows_that_nobody_would_send_are_no_lag(basec: Run, droplets: Path) -> None:
    say(droplets, "infra", document("postgres", "redis", outbox={"unpublished": 7, "oldest_s": 9999.0}))
    assert basec("status", "--env", "local").code == 0


def test_a_host_that_cannot_be_reached_ends_with_4_and_the_others_are_shown(basec: Run, droplets: Path) -> None:
    (droplets / "vertical.down").touch()
    outcome = basec("status", "--env", "local")
    assert outcome.code == 4
    problem = "vertical: cannot be reached by SSH: ssh: connect to host vertical port 22: Connection refused"
    assert outcome.stdout.splitlines()[-3:-1] == [problem, "not well: 1 not reached (3 hosts, 7 containers)"]
    assert "postgres" in outcome.stdout


@pytest.mark.parametrize("down", [False, True])
def test_json_has_the_shape_of_the_report(basec: Run, droplets: Path, down: bool) -> None:
    if down:
        (droplets / "edge.down").touch()
    say(droplets, "infra", document(*running()["infra"], outbox={"unpublished": 0, "oldest_s": 0.0}))
    outcome = basec("status", "--env", "local", "--json")
    found = json.loads(outcome.stdout)
    assert asdict(TypeAdapter(Report).validate_python(found)) == found
    assert found["verdict"] == ("unreachable" if down else "well")
    infra = next(host for host in found["hosts"] if host["name"] == "infra")
    assert infra["outbox"] == {"unpublished": 0, "oldest_s": 0.0}
    assert infra["containers"][0]["uptime_s"] == pytest.approx(600)


def test_the_documented_shape_of_json_has_the_keys_of_the_report() -> None:
    """Every field is on the page, in the place that the dataclasses give it, and no other."""
    page = (REPOSITORY / "docs/status.md").read_text().split("## `--json`")[1]
    block = "\n".join(line for line in page.splitlines() if line.startswith("    "))
    # One value of several is enough for the keys; `|` stands between them.
    shape = json.loads(re.sub(r" \| (?:\"[^\"]*\"|null|true|false)", "", block))

    def keys_of(kind: Any) -> dict[str, Any]:
        return {name: hint for name, hint in get_type_hints(kind).items() if name in {f.name for f in fields(kind)}}

    def compare(kind: Any, shown: Any) -> None:
        for part in get_args(kind) or (kind,):
            if is_dataclass(part):
                found = shown[0] if isinstance(shown, list) else shown
                assert set(found) == set(keys_of(part)), part
                for name, hint in keys_of(part).items():
                    compare(hint, found[name])

    compare(Report, shape)


HOSTS = {
    60: """\
host      state  tag                     activated  by
edge      well   reference-69fc385b509d    10m ago  ana
infra     well   reference-69fc385b509d    10m ago  ana
vertical  well   reference-69fc385b509d    10m ago  ana
""",
    80: """\
host      state  tag                     activated  by      memory  disk  data
edge      well   reference-69fc385b509d    10m ago  ana  400/1024M   30%     -
infra     well   reference-69fc385b509d    10m ago  ana  400/1024M   30%     -
vertical  well   reference-69fc385b509d    10m ago  ana  400/1024M   30%     -
""",
    120: """\
host      state  tag                     activated  by      memory    limits  disk  data  outbox  booted
edge      well   reference-69fc385b509d    10m ago  ana  400/1024M  480M 47%   30%     -       -  2h ago
infra     well   reference-69fc385b509d    10m ago  ana  400/1024M  640M 62%   30%     -       -  2h ago
vertical  well   reference-69fc385b509d    10m ago  ana  400/1024M  320M 31%   30%     -       -  2h ago
""",
}
SERVICE = {
    60: ["edge      auth          healthy  reference-69fc385b509d"],
    80: ["edge      auth          healthy  10m ago  50/160M  reference-69fc385b509d"],
    120: ["edge      auth          healthy  10m ago  50/160M         0  local   reference-69fc385b509d"],
}


@pytest.mark.parametrize("columns", [60, 80, 120, 160])
def test_what_has_no_room_is_left_out_by_whole_columns_and_a_row_is_a_line(
    basec: Run, droplets: Path, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = [line.rstrip() for line in basec("status", "--env", "local").stdout.splitlines()]
    seen = min(columns, 120)  # more room than that shows nothing more
    assert lines[1:5] == HOSTS[seen].splitlines()
    assert [line for line in lines if line.startswith("edge      auth")] == SERVICE[seen]
    assert len(lines) == (2 + 3) + 1 + (2 + 9) + 1 + 1
    assert max(len(line) for line in lines) <= columns


@pytest.mark.parametrize("columns", [60, 80])
def test_a_tag_longer_than_the_terminal_is_cut_and_nothing_else(
    basec: Run, droplets: Path, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for role, services in running().items():
        found = document(*services)
        for each in found["containers"]:
            each["image"]["reference"] = f"ghcr.io/x/y:sha-{'0123456789' * 8}"
        say(droplets, role, found)
    lines = [line.rstrip() for line in basec("status", "--env", "local").stdout.splitlines()]
    assert max(len(line) for line in lines) <= columns
    [edge] = [line for line in lines if line.startswith("edge      well   sha-0123456789")]
    assert edge.endswith("…    10m ago")


def test_a_name_is_shown_as_it_is(basec: Run, droplets: Path) -> None:
    release = {"digest": "53feb416" * 8, "since": "2026-01-31T08:00:00Z", "by": "Ana [work] [/x] :bug:"}
    say(droplets, "edge", document("nginx", "auth", release=release))
    assert "  Ana [work] [/x] :bug:  " in basec("status", "--env", "local").stdout


def test_digests_are_shown_on_demand_whatever_the_terminal_has(
    basec: Run, droplets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "53feb416" not in basec("status", "--env", "local").stdout
    monkeypatch.setenv("COLUMNS", "60")
    shown = basec("status", "--env", "local", "--wide").stdout
    lines = [line.split() for line in shown.splitlines()]
    assert lines[1][-4:] == ["outbox", "booted", "release", "template"]
    assert lines[2][-2:] == ["53feb41653fe", "0123456789ab"]
    assert "  registry.localcloud.internal:80/construction:reference-69fc385b509d  abababababab\n" in shown


def test_the_tag_is_of_our_own_images_and_of_all_that_run(basec: Run, droplets: Path) -> None:
    found = document("nginx", "auth")
    found["containers"][0]["image"]["reference"] = "docker.io/library/nginx:1.28.3-trixie"
    say(droplets, "edge", found)
    infra = document(*running()["infra"])
    infra["containers"][2]["image"]["reference"] = "ghcr.io/x/outbox-relay:sha-1234567"
    say(droplets, "infra", infra)
    hosts = json.loads(basec("status", "--env", "local", "--json").stdout)["hosts"]
    tags = {host["name"]: host["release"]["tags"] for host in hosts}
    assert tags["edge"] == ["reference-69fc385b509d"], "not nginx's"
    assert tags["infra"] == ["reference-69fc385b509d", "sha-1234567"], "relay's and engines'"


def test_a_machine_born_from_an_older_template_is_marked_and_still_well(basec: Run, droplets: Path) -> None:
    say(droplets, "edge", document("nginx", "auth", template="ba9876543210"))
    outcome = basec("status", "--env", "local", "--wide")
    assert outcome.code == 0
    assert "ba9876543210*" in outcome.stdout
    assert "0123456789ab*" not in outcome.stdout
    said = [line for line in basec("status", "--env", "local").stdout.splitlines() if "template" in line]
    assert said == ["edge: created from an older template than a new machine"]


@pytest.mark.parametrize(
    ("reference", "built_locally", "origin", "tag"),
    [
        ("registry.localcloud.internal:80/nginx:0db8", True, "built locally", "0db8"),
        ("docker.io/library/nginx:1.28.3-trixie", False, "official", "1.28.3-trixie"),
        ("nginx:1.28.3-trixie", False, "official", "1.28.3-trixie"),
        ("ghcr.io/procopio420/basecommerce/auth:sha-1234567", False, "ghcr.io", "sha-1234567"),
        (f"docker.io/library/redis:8.0.6@sha256:{'a' * 64}", False, "official", "8.0.6"),
        (f"docker.io/library/redis@sha256:{'a' * 64}", False, "official", ""),
    ],
)
def test_the_origin_of_an_image_is_named(reference: str, built_locally: bool, origin: str, tag: str) -> None:
    image = image_of(reference=reference, digest="sha256:1", built_locally=built_locally)
    assert (image.origin, image.tag) == (origin, tag)


def test_an_image_that_no_registry_knows_was_built_locally() -> None:
    assert image_of(reference="ghcr.io/x/auth:1", digest=None, built_locally=False).origin == "built locally"


MEMINFO = "MemTotal: 2048 kB\nMemFree: 1 kB\nMemAvailable: 512 kB\n"


def files(root: Path, **texts: str) -> None:
    for name, text in texts.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def group(root: Path, directory: str, **texts: str) -> None:
    (root / directory).mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (root / directory / name.replace("memory_", "memory.", 1)).write_text(text)


def test_memory_of_a_container_is_read_from_its_control_group_of_either_version(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    files(one, proc__7__cgroup="9:name=systemd:/docker/x\n4:memory:/docker/x\n0::/docker/x\n")
    stat = "total_inactive_file 30\ninactive_file 1\n"
    group(one, "sys/fs/cgroup/memory/docker/x", memory_usage_in_bytes="100\n", memory_stat=stat)
    files(two, proc__7__cgroup="0::/system.slice/docker-x.scope\n")
    group(two, "sys/fs/cgroup/system.slice/docker-x.scope", memory_current="100\n", memory_stat="inactive_file 30\n")
    for root in (one, two):
        directory = onhost.group_of(root, 7)
        assert directory is not None
        assert onhost.working_set(directory) == 70


def test_memory_of_a_droplet_is_the_kernels_or_its_own_limit_where_it_is_a_container(tmp_path: Path) -> None:
    machine, old, new = tmp_path / "machine", tmp_path / "old", tmp_path / "new"
    for root in (machine, old, new):
        files(root, proc__meminfo=MEMINFO)
    assert onhost.memory(machine) == {"used_bytes": 1536 * 1024, "total_bytes": 2048 * 1024}
    group(old, "sys/fs/cgroup/memory", memory_limit_in_bytes="1000\n", memory_usage_in_bytes="400\n", memory_stat="")
    group(new, "sys/fs/cgroup", memory_max="1000\n", memory_current="400\n", memory_stat="")
    for root in (old, new):
        assert onhost.memory(root) == {"used_bytes": 400, "total_bytes": 1000}
    group(new, "sys/fs/cgroup", memory_max="max\n")
    group(old, "sys/fs/cgroup/memory", memory_limit_in_bytes="9223372036854771712\n")
    for root in (old, new):
        assert onhost.memory(root)["total_bytes"] == 2048 * 1024


def test_a_data_disk_that_should_be_mounted_is_listed_though_it_is_not(tmp_path: Path) -> None:
    units = tmp_path / "etc/systemd/system"
    units.mkdir(parents=True)
    (units / "mnt-data.mount").write_text("[Mount]\nWhat=/dev/x\nWhere=/no/such/place\n")
    found = onhost.disks(tmp_path)
    assert found[0]["mount"] == "/"
    assert found[1] == {"mount": "/no/such/place", "mounted": False, "used_bytes": 0, "total_bytes": 0}
