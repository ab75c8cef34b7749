"""Each service has a login of its own and reaches what is its own; a new password works beside the old one."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from tests.services.nginx_support import free_port
from tests.services.postgres_support import SUPERUSER, Postgres, account, as_account, running_postgres
from tests.services.reference_apps.conftest import Alembic
from tests.unit.release_support import release
from topology.logins import DATABASE_SERVICES, database_login, database_logins, database_password

ROOT = Path(__file__).parents[3]
COMPOSE = ROOT / "compose/infra"
SECOND_VERSION = ROOT / "reference_apps/versions/reference-v2/construction/alembic/versions"
OWNED = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tableowner {}"
PASSWORDS = {database_password(service): f"first-password-of-{service}-000" for service in DATABASE_SERVICES}
OTHERS = {database_password(service): f"other-password-of-{service}-000" for service in DATABASE_SERVICES}


@dataclass(frozen=True, kw_only=True)
class Store:
    """A server with the droplet's own rules of who comes in, and its scripts."""

    server: Postgres

    def run(self, script: str, passwords: Mapping[str, str]) -> None:
        """Run roles.sql or retire.sql as release.py does: by the socket, as the container's user."""
        text = release.PSQL_SETTINGS.format(logins=database_logins(DATABASE_SERVICES, passwords))
        text += "".join((COMPOSE / "database" / name).read_text() for name in ("privileges.sql", script))
        done = self.server.psql("--single-transaction", "-f", "-", sql=text)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""

    def by_hand(self, line: str, content: bytes = b"") -> bytes:
        """Run a line as `basec exec` does in the container, by the socket; give what it prints."""
        program, *arguments = line.split()
        done: subprocess.CompletedProcess[bytes] = subprocess.run(
            [self.server.programs / program, *arguments],
            input=content,
            stdout=subprocess.PIPE,
            check=True,
            cwd=self.server.directory,
            env={"PGHOST": str(self.server.directory), "PGPORT": str(self.server.port)},
            **as_account(),
        )
        return done.stdout

    def url(self, user: str, password: str) -> str:
        return f"postgresql+psycopg2://{user}:{password}@127.0.0.1:{self.server.port}/{SUPERUSER}"

    def url_of(self, service: str, passwords: Mapping[str, str] = PASSWORDS) -> str:
        return self.url(database_login(service, passwords), passwords[database_password(service)])

    def ask(self, service: str, statement: str, passwords: Mapping[str, str] = PASSWORDS) -> str:
        """Run a statement as a service does, by TCP with its password; give what it prints, or the error."""
        return self.ask_as(
            database_login(service, passwords), passwords[database_password(service)], statement, "127.0.0.1"
        )

    def ask_as(self, user: str, password: str, statement: str, host: str) -> str:
        environment = {"PGHOST": host, "PGPASSWORD": password}
        done = self.server.psql("-c", statement, user=user, environment=environment)
        return (done.stdout or done.stderr).strip()


@pytest.fixture
def store() -> Iterator[Store]:
    """A database as PostgreSQL's first start leaves it: empty, and all of it the superuser's."""
    files = {file.name: file.read_text() for file in (COMPOSE / "postgres").glob("pg_*.conf")}
    files["pg_ident.conf"] = files["pg_ident.conf"].replace("postgres  ", account().pw_name)
    rules = {"hba_file": "{directory}/pg_hba.conf", "ident_file": "{directory}/pg_ident.conf"}
    with running_postgres(free_port(), files, listen_addresses="127.0.0.1", **rules) as server:
        created = server.psql("-d", "postgres", sql=f"CREATE DATABASE {SUPERUSER};")
        assert created.returncode == 0, created.stderr
        yield Store(server=server)


@pytest.fixture
def migrated(store: Store, alembic: Alembic) -> Store:
    """The same after an activation: roles, migrations by the owner, and the privileges on what they made."""
    store.run("roles.sql", PASSWORDS)
    done = alembic(store.url_of("migrate"), "upgrade", "head")
    assert done.returncode == 0, done.stderr
    store.run("roles.sql", PASSWORDS)
    store.run("retire.sql", PASSWORDS)
    return store


def test_the_migrations_make_everything_as_the_owner_who_is_no_superuser(migrated: Store) -> None:
    assert int(migrated.server.sql(OWNED.format("= 'basecommerce_owner'"))) > 20
    assert migrated.server.sql(OWNED.format("<> 'basecommerce_owner'")) == "0"
    assert migrated.server.sql("SELECT rolname FROM pg_roles WHERE rolsuper") == SUPERUSER
    owners = (
        "SELECT datdba::regrole FROM pg_database WHERE datname = current_database()"
        " UNION ALL SELECT nspowner::regrole FROM pg_namespace WHERE nspname = 'public'"
    )
    assert migrated.server.sql(owners) == "basecommerce_owner\nbasecommerce_owner"


MAY = [
    ("auth", "SELECT count(*) FROM users JOIN tenants ON tenants.id = users.tenant_id"),
    ("auth", "UPDATE users SET password_hash = 'x' WHERE false"),
    ("construction", "INSERT INTO event_outbox (tenant_id, event_type, event_id) SELECT id, '', id FROM obras"),
    ("construction", "DELETE FROM cotacoes WHERE false"),
    ("construction", "SELECT nome, email FROM users"),
    ("construction", "SELECT count(*) FROM engine_stock_alerts"),
    ("relay", "SELECT id FROM event_outbox FOR UPDATE SKIP LOCKED"),
    ("relay", "UPDATE event_outbox SET published_at = now() WHERE false"),
    ("engines", "INSERT INTO engine_processed_events (event_id, tenant_id, event_type) SELECT id, id, '' FROM tenants"),
    ("engines", "SELECT count(*) FROM estoque"),
    ("engines", "UPDATE event_outbox SET retry_count = retry_count + 1 WHERE false"),
]  # fmt: skip
REFUSED = ("permission denied", "must be owner", "must be superuser")
MAY_NOT = [
    ("auth", "SELECT * FROM clientes"),
    ("auth", "SELECT * FROM event_outbox"),
    ("auth", "INSERT INTO tenants (nome, slug, email) VALUES ('', '', '')"),
    ("construction", "SELECT password_hash FROM users"),
    ("construction", "SELECT * FROM users"),
    ("construction", "UPDATE users SET role = 'admin'"),
    ("construction", "UPDATE tenants SET ativo = false"),
    ("construction", "DELETE FROM engine_processed_events"),
    ("relay", "SELECT * FROM users"),
    ("relay", "SELECT * FROM clientes"),
    ("relay", "DELETE FROM event_outbox"),
    ("relay", "SELECT * FROM engine_sales_facts"),
    ("engines", "SELECT * FROM users"),
    ("engines", "UPDATE pedidos SET status = 'entregue'"),
    ("engines", "DELETE FROM event_outbox"),
    *((service, statement) for service in ("auth", "construction", "relay", "engines") for statement in (
        "COPY (SELECT 1) TO PROGRAM 'id'",
        "SELECT pg_read_file('PG_VERSION')",
        "SELECT * FROM pg_authid",
        "ALTER SYSTEM SET work_mem = '8MB'",
        "CREATE TABLE mine (id int)",
        "DROP TABLE tenants",
        "TRUNCATE users",
        "UPDATE alembic_version SET version_num = ''",
        "SET ROLE basecommerce_owner",
        "SET ROLE basecommerce",
    )),
    ("migrate", "COPY (SELECT 1) TO PROGRAM 'id'"),
    ("migrate", "SET ROLE basecommerce"),
]  # fmt: skip


def test_a_service_does_its_work_and_reaches_neither_the_others_data_nor_the_shell(migrated: Store) -> None:
    for service, statement in MAY:
        assert "ERROR" not in migrated.ask(service, statement), (service, statement)
    for service, statement in MAY_NOT:
        said = migrated.ask(service, statement)
        assert any(words in said for words in REFUSED), (service, statement, said)


def test_who_is_no_service_comes_in_by_the_socket_alone(migrated: Store) -> None:
    migrated.server.sql(
        "ALTER ROLE basecommerce PASSWORD 'known-to-somebody'; CREATE ROLE other LOGIN PASSWORD 'known'"
    )
    assert "pg_hba.conf rejects" in migrated.ask_as(SUPERUSER, "known-to-somebody", "SELECT 1", "127.0.0.1")
    assert "pg_hba.conf rejects" in migrated.ask_as("other", "known", "SELECT 1", "127.0.0.1")
    assert "pg_hba.conf rejects" in migrated.ask_as("other", "known", "SELECT 1", str(migrated.server.directory))
    assert "password authentication failed" in migrated.ask_as(
        database_login("auth", PASSWORDS), "not-the-password", "SELECT 1", "127.0.0.1"
    )


def test_what_a_migration_adds_is_there_for_the_applications_and_not_for_the_relay(
    migrated: Store, alembic: Alembic, tmp_path: Path
) -> None:
    shutil.copytree(ROOT / "reference_apps/construction", tmp_path / "second")
    shutil.copytree(SECOND_VERSION, tmp_path / "second/alembic/versions", dirs_exist_ok=True)
    done = alembic(migrated.url_of("migrate"), "-c", str(tmp_path / "second/alembic.ini"), "upgrade", "head")
    assert done.returncode == 0, done.stderr
    added = "INSERT INTO avisos (tenant_id, texto) SELECT id, '' FROM tenants; SELECT count(*) FROM avisos"
    assert migrated.ask("construction", added) == "0"
    assert migrated.ask("auth", added) == "0"
    assert "permission denied" in migrated.ask("relay", "SELECT count(*) FROM avisos")


def test_old_and_new_password_both_work_until_the_old_one_is_retired(migrated: Store) -> None:
    migrated.run("roles.sql", OTHERS)
    for passwords in (PASSWORDS, OTHERS):
        for service in ("auth", "construction", "relay", "engines", "migrate"):
            assert migrated.ask(service, "SELECT 1", passwords) == "1"
    migrated.run("retire.sql", OTHERS)
    for service in ("auth", "construction", "relay", "engines", "migrate"):
        assert migrated.ask(service, "SELECT 1", OTHERS) == "1"
        assert "pg_hba.conf rejects" in migrated.ask(service, "SELECT 1", PASSWORDS)
    assert "ERROR" not in migrated.ask("auth", "SELECT count(*) FROM users", OTHERS)


def test_a_release_that_was_taken_back_goes_on_with_the_logins_that_it_had(migrated: Store) -> None:
    migrated.run("roles.sql", OTHERS)
    migrated.run("roles.sql", PASSWORDS)
    migrated.run("retire.sql", PASSWORDS)
    assert migrated.ask("auth", "SELECT 1") == "1"
    assert "pg_hba.conf rejects" in migrated.ask("auth", "SELECT 1", OTHERS)


@pytest.mark.parametrize("script", ["roles.sql", "retire.sql"])
def test_a_second_run_changes_nothing(migrated: Store, script: str) -> None:
    state = (
        "SELECT rolname, rolpassword, rolcanlogin FROM pg_authid WHERE rolname NOT LIKE 'pg\\_%' ORDER BY 1;"
        "SELECT relname, relowner, relacl FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1;"
        "SELECT defaclacl::text FROM pg_default_acl ORDER BY 1;"
        "SELECT roleid, member FROM pg_auth_members ORDER BY 1, 2"
    )
    before = migrated.server.sql(state)
    migrated.run(script, PASSWORDS)
    assert migrated.server.sql(state) == before


def test_a_database_whose_applications_were_superuser_moves_over_without_a_refused_login(
    store: Store, alembic: Alembic
) -> None:
    old = "password-of-the-superuser"
    (store.server.directory / "pg_hba.conf").rename(store.server.directory / "rules.new")
    (store.server.directory / "pg_hba.conf").write_text("local all all trust\nhost all all all scram-sha-256\n")
    store.server.sql(f"ALTER ROLE basecommerce PASSWORD '{old}'; SELECT pg_reload_conf()")
    assert alembic(store.url(SUPERUSER, old), "upgrade", "head").returncode == 0
    store.server.sql("CREATE VIEW seen AS SELECT slug FROM tenants; CREATE TYPE mood AS ENUM ('good')")
    store.server.sql("CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE SEQUENCE counted")

    (store.server.directory / "rules.new").rename(store.server.directory / "pg_hba.conf")
    store.server.sql("SELECT pg_reload_conf()")
    store.run("roles.sql", PASSWORDS)
    # The other tiers still run with what they had, and would go on with it if this release were taken back.
    assert store.ask_as(SUPERUSER, old, "SELECT count(*) FROM users", "127.0.0.1") == "0"
    assert store.ask("auth", "SELECT count(*) FROM users") == "0"
    assert alembic(store.url_of("migrate"), "upgrade", "head").returncode == 0
    for table, prefix in (("pg_class", "rel"), ("pg_type", "typ"), ("pg_proc", "pro")):
        mine = f"{prefix}namespace = 'public'::regnamespace AND {prefix}owner = 'basecommerce'::regrole"
        assert store.server.sql(f"SELECT {prefix}name FROM {table} WHERE {mine}") == ""  # noqa: S608 - our own words

    store.run("roles.sql", PASSWORDS)
    store.run("retire.sql", PASSWORDS)
    assert "pg_hba.conf rejects" in store.ask_as(SUPERUSER, old, "SELECT 1", "127.0.0.1")
    assert store.server.sql("SELECT rolpassword IS NULL FROM pg_authid WHERE rolname = 'basecommerce'") == "t"


def test_whoever_still_has_the_old_password_is_sent_away(migrated: Store) -> None:
    engine = create_engine(migrated.url_of("auth"))
    with engine.connect() as connection:
        migrated.run("roles.sql", OTHERS)
        migrated.run("retire.sql", OTHERS)
        with pytest.raises(OperationalError, match="terminat"):
            connection.execute(text("SELECT 1"))
    engine.dispose()


def test_what_the_runbook_dumps_and_restores_has_rows_owners_and_privileges_again(migrated: Store) -> None:
    page = (ROOT / "docs/runbooks/README.md").read_text()
    dump, restore = (
        re.findall(rf"-- ({program} .+) [<>] shop\.dump$", page, re.MULTILINE) for program in ("pg_dump", "pg_restore")
    )
    tenants = "SELECT string_agg(slug, ',' ORDER BY slug) FROM tenants"
    migrated.server.sql("INSERT INTO tenants (id, nome, slug, email) VALUES (gen_random_uuid(), 'A', 'acme', 'a@b.c')")
    before = migrated.server.sql(tenants)
    dumped = migrated.by_hand(dump[0])
    migrated.server.sql("UPDATE tenants SET slug = 'spoiled'; DROP TABLE event_outbox CASCADE;")
    assert migrated.by_hand(restore[0], dumped) == b""
    assert migrated.server.sql(tenants) == before
    assert "acme" in before
    assert migrated.server.sql(OWNED.format("<> 'basecommerce_owner'")) == "0"
    test_a_service_does_its_work_and_reaches_neither_the_others_data_nor_the_shell(migrated)
