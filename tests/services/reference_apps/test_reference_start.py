"""How both applications start: settings, logs, and one line when they cannot."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from auth_app.settings import load_settings as load_auth
from construction_app.settings import load_settings as load_construction

APPS = ("auth", "construction")
REFERENCE_APPS = Path(__file__).parents[3] / "reference_apps"
GIVEN = {"DATABASE_URL": "postgresql+psycopg2://basecommerce:s3cret@127.0.0.1:1/x", "SECRET_KEY": "k" * 32}
LOG_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - [\w.]+ - INFO - .+ - /.+\.py:\d+")
START_TIMEOUT_S = 30


def environment_of(app: str, given: Mapping[str, str]) -> dict[str, str]:
    source = {
        "PYTHONPATH": f"{REFERENCE_APPS / app / 'src'}:{REFERENCE_APPS / 'common'}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return {"PATH": os.environ["PATH"], **source, **given}


def start(app: str, given: Mapping[str, str], directory: Path) -> subprocess.CompletedProcess[str]:
    """Import the application as the server does."""
    command = [sys.executable, "-c", f"import {app}_app.main"]
    environment = environment_of(app, given)
    return subprocess.run(command, env=environment, cwd=directory, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("app", "missing"), [("auth", "DATABASE_URL"), ("construction", "SECRET_KEY")])
def test_missing_setting_ends_the_process_with_its_name(app: str, missing: str, tmp_path: Path) -> None:
    result = start(app, {name: value for name, value in GIVEN.items() if name != missing}, tmp_path)
    assert result.returncode == 1
    assert result.stderr == (
        f"{app}: {missing}: Field required\nhint: set it in the container's environment and start again\n"
    )


@pytest.mark.parametrize("load", [load_auth, load_construction])
@pytest.mark.parametrize("missing", GIVEN)
def test_no_required_setting_has_a_default(load: Callable[[Mapping[str, str]], object], missing: str) -> None:
    with pytest.raises(SystemExit, match=f"{missing}: Field required"):
        load({name: value for name, value in GIVEN.items() if name != missing})


@pytest.mark.parametrize(("app", "load"), [("auth", load_auth), ("construction", load_construction)])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "s3cret"),
        ("DATABASE_URL", "postgresql://u:s3cret@host:port/x"),
        ("SECRET_KEY", ""),
        ("ALGORITHM", "none"),
        ("CORS_ORIGINS", '["https://a"'),
    ],
)
def test_refused_setting_is_named_and_its_value_not_shown(
    app: str, load: Callable[[Mapping[str, str]], object], name: str, value: str
) -> None:
    with pytest.raises(SystemExit) as refusal:
        load({**GIVEN, name: value})
    message = str(refusal.value)
    assert message.startswith(f"{app}: {name}: ")
    assert len(message.splitlines()) == 2
    assert "s3cret" not in message


@pytest.mark.parametrize("app", APPS)
def test_unwritable_log_directory_ends_the_process_with_its_name(app: str, tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file in the directory's place")
    result = start(app, GIVEN, tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith(f"{app}: logs/app.log: File exists\nhint: ")


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        (None, ("http://localhost:3000", "http://localhost:5173")),
        ("", ()),
        ("https://a.com, https://b.com", ("https://a.com", "https://b.com")),
        ('["https://a.com"]', ("https://a.com",)),
    ],
)
def test_cors_origins_are_a_list_in_either_notation(text: str | None, origins: tuple[str, ...]) -> None:
    environment = GIVEN if text is None else {**GIVEN, "CORS_ORIGINS": text}
    assert load_auth(environment).cors_origins == origins


def test_names_that_are_no_settings_are_ignored() -> None:
    settings = load_auth({**GIVEN, "DEBUG": "1", "REDIS_URL": "redis://nowhere"})
    assert settings.access_token_expire_minutes == 1440


@pytest.mark.parametrize("app", APPS)
def test_server_logs_every_line_in_one_format_to_output_and_file_and_stops_on_sigterm(app: str, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", f"{app}_app.main:app", "--port", str(port)]
    with (tmp_path / "output").open("w") as output:
        environment = environment_of(app, GIVEN)
        server = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=output, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                with urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
                    assert answer.status == 200
                break
            except URLError:
                assert server.poll() is None, (tmp_path / "output").read_text()
                assert time.monotonic() < deadline, "no answer in time"
                time.sleep(0.05)
        server.send_signal(signal.SIGTERM)
        server.wait(10)
    finally:
        server.kill()
        server.wait()
    lines = (tmp_path / "logs/app.log").read_text().splitlines()
    assert any('"GET /health HTTP/1.1" 200' in line for line in lines)
    assert [line for line in lines if not LOG_LINE.fullmatch(line)] == []
    # Nothing after the import may reach the output alone, or the file alone.
    assert (tmp_path / "output").read_text().splitlines()[-len(lines) :] == lines


@pytest.mark.parametrize("app", APPS)
def test_log_file_rotates_at_10_mb_and_keeps_5(app: str, tmp_path: Path) -> None:
    show = "file = logging.getLogger().handlers[1]; print(file.maxBytes, file.backupCount)"
    command = [sys.executable, "-c", f"import logging, {app}_app.main; {show}"]
    result = subprocess.run(command, env=environment_of(app, GIVEN), cwd=tmp_path, capture_output=True, check=True)
    assert result.stdout == b"10485760 5\n"
