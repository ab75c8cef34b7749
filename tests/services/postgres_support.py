"""A throw-away PostgreSQL whose superuser is named as on the infra droplet."""

from __future__ import annotations

import atexit
import functools
import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from tests.services import servers

SUPERUSER = "basecommerce"
START_TIMEOUT_S = 30


def account() -> pwd.struct_passwd:
    """Return whom the server runs as: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    names = {entry.pw_name for entry in pwd.getpwall()}
    return pwd.getpwnam("postgres" if "postgres" in names else "nobody")


def as_account() -> dict[str, Any]:
    """Return what `subprocess` needs to run a program as the server's user."""
    known = account()
    return {"user": known.pw_uid, "group": known.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}


@dataclass(frozen=True, kw_only=True)
class Postgres:
    """A running server: its socket is in `directory`, its programs in `programs`."""

    directory: Path
    programs: Path
    port: int = 5432

    def psql(
        self, *arguments: str, user: str = SUPERUSER, sql: str | None = None, environment: Mapping[str, str] = {}
    ) -> subprocess.CompletedProcess[str]:
        """Run psql as the server's own user, so that `peer` knows it; the socket is the default."""
        command: list[str | Path] = [self.programs / "psql", "-qtAX", "-v", "ON_ERROR_STOP=1", "-U", user, *arguments]
        return subprocess.run(
            command,
            input=sql,
            text=True,
            capture_output=True,
            check=False,
            cwd=self.directory,
            env={
                "PATH": os.environ["PATH"],
                "PGHOST": str(self.directory),
                "PGPORT": str(self.port),
                "PGDATABASE": SUPERUSER,
                **environment,
            },
            **as_account(),
        )

    def sql(self, statement: str) -> str:
        """Run a statement as the superuser and give what it prints."""
        done = self.psql(sql=statement)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@functools.cache
def _fresh() -> Path:
    """Make a data directory once; each server gets a copy, since initdb takes seconds."""
    programs = servers.postgresql()
    assert programs
    directory = _directory()
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    initdb: list[str | Path] = [
        programs / "initdb",
        "--auth=trust",
        f"--username={SUPERUSER}",
        "--encoding=UTF8",
        "--no-sync",
    ]
    subprocess.run([*initdb, directory / "data"], check=True, stdout=subprocess.DEVNULL, cwd=directory, **as_account())
    return directory / "data"


def _directory() -> Path:
    """Make a directory for the server's user: not pytest's own, since a socket's path has at most 107 bytes."""
    directory = Path(mkdtemp(prefix="basecommerce-postgres-"))
    if os.geteuid() == 0:
        os.chown(directory, account().pw_uid, account().pw_gid)
    return directory


@contextmanager
def running_postgres(port: int = 5432, files: Mapping[str, str] = {}, **options: object) -> Iterator[Postgres]:
    """Start a server with these settings; it trusts its socket unless `hba_file` says otherwise.

    `files` are laid in its directory, whose name stands for `{directory}` in the settings and in them.
    """
    programs = servers.postgresql()
    assert programs
    directory = _directory()
    log, data = directory / "server.log", directory / "data"
    subprocess.run(["cp", "--archive", _fresh(), data], check=True)
    for name, text in files.items():
        (directory / name).write_text(text.replace("{directory}", str(directory)))
        (directory / name).chmod(0o644)
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": directory,
        "port": port,
        "fsync": "off",
        "full_page_writes": "off",
        **options,
    }
    values = {name: str(value).replace("{directory}", str(directory)) for name, value in settings.items()}
    command: list[str | Path] = [
        programs / "postgres",
        "-D",
        data,
        *(f"--{name}={value}" for name, value in values.items()),
    ]
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, cwd=directory, **as_account())
    postgres = Postgres(directory=directory, programs=programs, port=port)
    try:
        _wait(postgres, server, log)
        yield postgres
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        shutil.rmtree(directory)


def _wait(postgres: Postgres, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while postgres.psql("-c", "SELECT 1", "-d", "postgres").returncode != 0:
        if server.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"PostgreSQL did not start within {START_TIMEOUT_S} s:\n{log.read_text()[-2000:]}")
        time.sleep(0.05)
