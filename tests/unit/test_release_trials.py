"""release.py asks each service about its new configuration before anything that runs is touched."""

from __future__ import annotations

import re

import pytest
import yaml

from tests.unit.release_support import COMPOSE, PASSWORD, Droplet, containers

TRIAL = "run --rm -T --no-deps --name {tier}-trial --entrypoint"


def test_every_service_with_a_configuration_of_ours_has_a_trial() -> None:
    mounted, checked = set(), {path.parent.name for path in COMPOSE.glob("*/*/health.py")}
    for path in COMPOSE.glob("*/compose.yaml"):
        for name, service in yaml.safe_load(path.read_text())["services"].items():
            folders = re.findall(r"\$\{(\w+)_DIR:-\./", str(service.get("volumes", [])))
            mounted |= {name for folder in folders if folder.lower() == name}
            mounted |= {name} if "x-live" in service else set()
    assert mounted - checked == set(containers.TRIALS)  # theirs is a health check


def test_the_trial_comes_after_the_pull_and_before_anything_is_started(vertical: Droplet) -> None:
    vertical.answer("image inspect .*haproxy", rc=1)
    assert vertical.activate() == 0
    done = [call for call in vertical.calls() if re.search(r" pull | run | up ", call)]
    assert [re.sub(r".* (pull|run|up) .*", r"\1", call) for call in done] == ["pull", "run", "up"]
    trial = TRIAL.format(tier="vertical")
    current = vertical.variables()["HAPROXY_CURRENT"]
    assert done[1].endswith(
        f"{trial} haproxy haproxy -c -f /etc/basecommerce/colours.cfg -f /etc/basecommerce/{current}/haproxy.cfg"
    )


def test_stores_are_tried_before_they_are_touched(infra: Droplet) -> None:
    assert infra.activate() == 0
    calls = infra.calls()
    tried = [n for n, call in enumerate(calls) if TRIAL.format(tier="infra") in call]
    assert len(tried) == 2
    assert max(tried) < min(n for n, call in enumerate(calls) if " up " in call)


def test_a_trial_of_a_killed_run_is_removed_first(vertical: Droplet) -> None:
    assert vertical.activate() == 0
    calls = vertical.calls()
    trial = next(n for n, call in enumerate(calls) if "--name vertical-trial" in call)
    assert calls[trial - 1] == "docker rm -f vertical-trial"


REFUSALS = {
    "nginx": (
        "edge",
        'nginx: [emerg] unknown directive "bogus" in /etc/nginx/nginx.conf:12',
        '[emerg] unknown directive "bogus" in /etc/nginx/nginx.conf:12',
    ),
    "haproxy": (
        "vertical",
        "[NOTICE]   (1) : haproxy version is 3.0.11-1+deb13u5\n"
        "[ALERT]    (1) : config : parsing [/etc/basecommerce/haproxy.cfg:6] : unknown keyword 'bogus' in 'global'\n"
        "[ALERT]    (1) : config : Fatal errors found in configuration.",
        "[ALERT] (1) : config : parsing [/etc/basecommerce/haproxy.cfg:6] : unknown keyword 'bogus' in 'global'",
    ),
    "postgres": (
        "infra",
        'LOG:  skipping missing configuration file "/var/lib/postgresql/data/postgresql.auto.conf"\n'
        'LOG:  unrecognized configuration parameter "bogus" in file "/etc/basecommerce/postgresql.conf" line 65\n'
        'FATAL:  configuration file "/etc/basecommerce/postgresql.conf" contains errors',
        'LOG: unrecognized configuration parameter "bogus" in file "/etc/basecommerce/postgresql.conf" line 65',
    ),
    "redis": (
        "infra",
        "*** FATAL CONFIG FILE ERROR (Redis 8.0.2) ***\nReading the configuration file, at line 44\n"
        ">>> 'maxmemory much'\nargument must be a memory value\nsh: 1: kill: No such process",
        ">>> 'maxmemory much' argument must be a memory value",
    ),
}
"""By service: its tier, what it printed when its configuration was wrong, and what an operator is told of that."""


@pytest.mark.parametrize("service", REFUSALS)
def test_a_refused_configuration_touches_nothing_and_shows_the_decisive_line(
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], service: str
) -> None:
    tier, said, told = REFUSALS[service]
    droplet: Droplet = request.getfixturevalue(tier)
    assert droplet.activate("1") == 0
    state, target = droplet.state(), (droplet.home / "current").readlink()
    droplet.calls()
    trial = TRIAL.format(tier=tier)
    droplet.answer(f"{droplet.digest('2')}.*{trial} \\S+ {service} ", rc=1, stderr=f"{PASSWORD}\n{said}\n")
    assert droplet.activate("2") == 1
    assert droplet.steps() == []
    assert (droplet.state(), (droplet.home / "current").readlink()) == (state, target)
    error = capsys.readouterr().err
    assert error.splitlines()[-3:] == [
        f"release: {tier}: {service}: refuses its new configuration",
        f"  {told}",
        f"release: hint: correct compose/{tier}/{service}/ and run the same command again",
    ]
    assert PASSWORD not in error


def test_the_release_that_is_active_already_is_not_tried_again(vertical: Droplet) -> None:
    vertical.activate("1")
    vertical.calls()
    assert vertical.activate("1") == 0
    assert [call for call in vertical.calls() if "-trial" in call] == []
