"""What holds for every test of the repository, those in `localcloud/` too.

A failure is named when it happens, a test that runs the engine takes its turn, and only those that may ask for Docker.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import local_cloud, turns
from tests.no_docker import pytest_runtest_setup, pytest_runtest_teardown

__all__ = ["local_cloud", "pytest_runtest_setup", "pytest_runtest_teardown"]


class NameFailures:
    """Writes the name of each test that fails, and the line that failed it, between the dots."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            reason = str(crash.message).splitlines()[0] if crash else ""
            self._terminal.ensure_newline()
            self._terminal.write_line(f"{report.when} failed: {report.nodeid}: {reason}", red=True)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(NameFailures(terminal))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    if item.get_closest_marker("engine"):
        with turns.busy():
            return (yield)
    return (yield)
