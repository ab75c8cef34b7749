"""The benchmarks' own arithmetic: what they read from `basec`, and what they write into the page."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from bench import __main__ as bench
from bench import report
from bench.fleet import fleet_of
from bench.groups import times
from bench.measure import BenchError, Figure, Run, in_turn, run, stage_figures
from bench.stack import ENVIRONMENT, Stack, free_port
from topology.bundle import build_bundle
from topology.inventory import load_inventory
from topology.project import load_project, required_secrets

OUTPUT = """\
url       http://demo.localhost
took 1.3 s: settings 0.2, toolchain and images 1.1
"""


def test_stages_are_read_from_the_line_that_basec_prints() -> None:
    assert Run(2.0, OUTPUT).stages == {"settings": 0.2, "toolchain and images": 1.1, "total": 1.3}
    figures = stage_figures("warm", [Run(2.0, OUTPUT), Run(2.2, OUTPUT.replace("0.2", "0.4"))])
    assert [(figure.name, figure.samples) for figure in figures] == [
        ("warm: settings", (0.2, 0.4)),
        ("warm: toolchain and images", (1.1, 1.1)),
    ]


@pytest.mark.parametrize(
    ("samples", "promise", "verdict"),
    [((1.0, 9.0, 2.0), 2.0, "kept"), ((1.0, 2.1, 9.0), 2.0, "MISSED"), ((1.0,), None, "")],
)
def test_a_promise_is_judged_by_the_median(samples: tuple[float, ...], promise: float | None, verdict: str) -> None:
    assert Figure(name="x", samples=samples, promise=promise).verdict == verdict


def test_a_failed_run_gives_no_figure(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="ended with 3:\nno room"):
        run([sys.executable, "-c", "print('no room'); raise SystemExit(3)"], cwd=tmp_path)


def test_commands_are_run_in_turn_and_the_first_round_is_not_counted() -> None:
    ran: list[str] = []

    def command(name: str) -> Run:
        ran.append(name)
        return Run(len(ran), "")

    found = in_turn(2, {"a": lambda: command("a"), "b": lambda: command("b")})
    assert ran == ["a", "b"] * 3
    assert [each.seconds for each in found["a"]] == [3, 5]


def test_a_page_keeps_its_words_and_the_tables_that_were_not_measured(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text(
        "# B\n<!-- figures: warm -->\nold\n<!-- end -->\nwords\n<!-- figures: noop -->\nkept\n<!-- end -->\n"
    )
    figure = Figure(name="warm up", samples=(58.0, 61.0, 59.5), promise=60)
    report.write(page, {"warm": [figure]}, "2026-01-31, a machine.")
    text = page.read_text()
    assert "| warm up | 59.5 | 58.0 | 61.0 | 3 | 60 s | kept |" in text
    assert "2026-01-31, a machine." in text
    assert "old" not in text
    assert text.endswith("words\n<!-- figures: noop -->\nkept\n<!-- end -->\n")
    with pytest.raises(BenchError, match="no place for cold"):
        report.write(page, {"cold": [figure]}, "")


def test_a_page_lists_the_seconds_that_all_its_tables_promise(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    places = ("<!-- promises -->\nold", "<!-- figures: warm -->", "<!-- figures: memory -->")
    page.write_text("".join(f"{place}\n<!-- end -->\n" for place in places))
    warm = [Figure(name="warm up", samples=(58.0, 61.0), promise=60), Figure(name="warm: doctor", samples=(1.0,))]
    report.write(page, {"warm": warm}, "A machine.")
    report.write(page, {"memory": [Figure(name="of nginx", samples=(7.0,), promise=160, unit="MiB")]}, "A machine.")
    listed = page.read_text().split("<!-- end -->")[0]
    assert listed.splitlines()[3:] == ["| warm up | 60 s | 59.5 | kept |"]
    assert "old" not in listed


def test_the_measured_stack_is_named_before_a_remote_command(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []

    def record(argv: list[str], *, cwd: Path, timeout_s: float, environment: object) -> Run:
        started.append(argv)
        assert (timeout_s, environment) == (900, None)
        return Run(0.0, "")

    monkeypatch.setattr("bench.stack.run", record)
    Stack(Path("/clone")).basec("ssh", "infra", "--", "true")
    assert started[0][3:] == ["ssh", "--env", ENVIRONMENT, "infra", "--", "true"]


def test_a_promise_that_was_not_kept_ends_the_run_with_1_after_all_groups(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    kept = Figure(name="no-op `basec up`", samples=(8.0,), promise=9)
    late = Figure(name="no-op `basec preview`", samples=(7.0,), promise=6)

    @contextlib.contextmanager
    def nothing() -> Iterator[Stack]:
        yield Stack(tmp_path)

    monkeypatch.setattr("bench.__main__.measured_stack", nothing)
    monkeypatch.setattr("bench.__main__.additions", lambda: 0.5)
    monkeypatch.setattr(report, "machine", lambda _root, speeds: f"a machine of {len(speeds)} speeds")

    def warm(_stack: Stack) -> list[Figure]:
        """Measure."""
        return [late, kept]

    def cold(_stack: Stack) -> list[Figure]:
        """Measure."""
        return [kept]

    monkeypatch.setattr(bench, "GROUPS", {"warm": warm, "cold": cold})
    with pytest.raises(SystemExit) as ended:
        bench.main(["warm", "cold"], write=False)
    assert ended.value.code == "bench: warm: no-op `basec preview`: MISSED: 7.00 s, promised 6"
    assert "a machine of 3 speeds" in capsys.readouterr().out
    bench.main(["cold"], write=False)


def test_the_measured_stack_takes_ports_that_nobody_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a stack that runs beside, and of a measured one that was not taken down, are left to them."""
    given: list[dict[str, str]] = []

    def record(argv: list[str], *, cwd: Path, timeout_s: float, environment: dict[str, str]) -> Run:
        assert argv[-3:] == ["init", "--env", ENVIRONMENT]
        given.append(environment)
        return Run(0.0, "")

    monkeypatch.setattr("bench.stack.run", record)
    first = free_port(42000)
    monkeypatch.setattr("bench.stack.FIRST_PORTS", {"LOCAL_HTTP_PORT": first, "LOCAL_HTTPS_PORT": first + 500})
    with socket.create_server(("127.0.0.1", first)):
        Stack(Path("/nowhere")).init()
    Stack(Path("/nowhere")).init()
    taken, free = (int(each["LOCAL_HTTP_PORT"]) for each in given)
    assert free == first
    assert taken > first
    assert all(set(each) == {"LOCAL_HTTP_PORT", "LOCAL_HTTPS_PORT"} for each in given)


def test_without_a_free_port_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def taken(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(socket.socket, "bind", taken)
    with pytest.raises(BenchError, match="no free port from 18080 on"):
        free_port(18080)


def test_a_peer_is_compared_round_by_round() -> None:
    figure = times(
        "up", [Run(2.0, ""), Run(9.0, ""), Run(3.0, "")], [Run(1.0, ""), Run(3.0, ""), Run(2.0, "")], promise=2
    )
    assert figure.samples == (2.0, 3.0, 1.5)
    assert report.row(figure) == ("up", "2.00", "1.50", "3.00", "3", "2 times", "kept")


def test_a_larger_fleet_passes_all_checks_and_each_tier_of_it_builds(tmp_path: Path) -> None:
    root = fleet_of(6, tmp_path / "fleet")
    document = yaml.safe_load((root / "Pulumi.staging.yaml").read_text())["config"]
    inventory = load_inventory(root / "inventory.yaml")
    project = load_project(root, "staging", document["basecommerce:settings"], required_secrets(inventory))
    assert [*project.inventory.droplets] == ["infra", "vertical", "edge", "shop-3", "edge-4", "shop-5"]
    assert len({build_bundle(project, droplet).digest for droplet in project.inventory.droplets}) == 5
