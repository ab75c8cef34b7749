"""Secret files hold what the services read, quoted for shell and compose; unfit secrets are refused unseen."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping

import pytest

from tests.unit.topology_support import private_key, project, secret_values
from topology.errors import ConfigurationError
from topology.logins import database_login
from topology.secrets import NO_TOKEN_KEY, check_secrets, quote, service_secrets


def edge_values() -> Mapping[str, str]:
    """Return what the edge's files are made of: the secrets, what Cloudflare issued, and who may connect."""
    return {**secret_values(), "origin_certificate": "issued\n", "origin_pull_authorities": "pinned\n"}


def _variables(tier: str, name: str) -> dict[str, str]:
    """Read an environment file as the services do: by a shell."""
    content = service_secrets(project(), tier, edge_values())[name]["content"]
    shell = subprocess.run(
        ["sh", "-c", 'set -a; eval "$(cat)"; exec env -0'],
        input=content,
        env={},
        capture_output=True,
        text=True,
        check=True,
    )
    pairs = (entry.partition("=") for entry in shell.stdout.split("\0") if entry)
    return {key: value for key, _, value in pairs if key not in ("PWD", "OLDPWD", "SHLVL", "_")}


@pytest.mark.parametrize(
    ("tier", "owners"),
    [
        (
            "infra",
            {
                "database_logins.json": 0,
                "redis_auth.conf": 999,
                "migrate.env": 10001,
                "relay.env": 10001,
                "engines.env": 10001,
            },
        ),
        ("vertical", {"construction.env": 10001}),
        ("edge", {"auth.env": 10001, "origin.pem": 101, "origin.key": 101, "origin_pull_ca.pem": 101}),
    ],
)
def test_each_tier_has_its_files_owned_by_the_user_of_the_service(tier: str, owners: dict[str, int]) -> None:
    files = service_secrets(project(), tier, edge_values())
    assert {name: file["uid"] for name, file in files.items()} == owners
    assert {name: file["gid"] for name, file in files.items()} == owners


def _url(service: str) -> str:
    login, password = database_login(service, secret_values()), secret_values()[f"database_password_{service}"]
    return f"postgresql+psycopg2://{login}:{password}@infra.internal:5432/basecommerce"


@pytest.mark.parametrize("worker", ["relay", "engines"])
def test_a_worker_has_a_login_of_its_own_in_both_stores_and_not_the_key_of_tokens(worker: str) -> None:
    variables = _variables("infra", f"{worker}.env")
    assert variables == {
        "DATABASE_URL": _url(worker),
        "SECRET_KEY": NO_TOKEN_KEY,
        "REDIS_URL": f"redis://{worker}:redis_password_{worker}-for-tests-0123456789@redis:6379/0",
    }


def test_the_stores_get_digests_of_passwords_and_not_the_passwords() -> None:
    files = service_secrets(project(), "infra", secret_values())
    stores = files["database_logins.json"]["content"] + files["redis_auth.conf"]["content"]
    kept = {name for name, value in secret_values().items() if value in stores}
    assert kept == {"redis_password"}  # of Redis' administrator, whom its own health check asks as


def test_every_login_is_made_from_its_own_password() -> None:
    logins = json.loads(service_secrets(project(), "infra", secret_values())["database_logins.json"]["content"])
    assert [login["role"] for login in logins] == ["basecommerce_owner", "auth", "construction", "relay", "engines"]
    assert len({login["verifier"] for login in logins}) == len({login["login"] for login in logins}) == 5


def test_another_password_is_another_login() -> None:
    before, after = secret_values(), {**secret_values(), "database_password_auth": "another-password-of-auth"}
    assert database_login("auth", before) != database_login("auth", after)
    assert database_login("relay", before) == database_login("relay", after)


def test_migrations_get_their_own_login_and_not_the_key_of_tokens() -> None:
    assert _variables("infra", "migrate.env") == {"DATABASE_URL": _url("migrate"), "SECRET_KEY": NO_TOKEN_KEY}


def test_construction_gets_what_it_reads_and_no_developer_origins() -> None:
    assert _variables("vertical", "construction.env") == {
        "DATABASE_URL": _url("construction"),
        "SECRET_KEY": secret_values()["token_key"],
        "CORS_ORIGINS": "",
        "FORWARDED_ALLOW_IPS": "*",
    }


def test_auth_gets_the_environment_that_decides_on_secure_cookies() -> None:
    assert _variables("edge", "auth.env") == {
        "DATABASE_URL": _url("auth"),
        "SECRET_KEY": secret_values()["token_key"],
        "ENVIRONMENT": "staging",
        "CORS_ORIGINS": "",
        "FORWARDED_ALLOW_IPS": "*",
    }


def test_the_edge_gets_its_certificate_its_key_and_the_authority_of_the_one_client() -> None:
    values = edge_values()
    files = service_secrets(project(), "edge", values)
    assert files["origin.pem"]["content"] == "issued\n"
    assert files["origin.key"]["content"] == values["origin_private_key"]
    assert files["origin_pull_ca.pem"]["content"] == "pinned\n"
    assert values["origin_pull_private_key"] not in "".join(file["content"] for file in files.values())


@pytest.mark.parametrize("text", ["", "plain", "two words", "$HOME `id` $(id)", 'a "quoted" word', "*?#~"])
def test_quoted_value_is_read_unchanged_by_a_shell(text: str) -> None:
    shell = subprocess.run(["sh", "-c", f'x={quote(text)}; printf %s "$x"'], capture_output=True, text=True, check=True)
    assert shell.stdout == text


@pytest.mark.parametrize("text", ["it's", "a\\b", "a\nb", "a\rb", "a\0b"])
def test_value_that_shell_and_compose_would_read_differently_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="cannot be written in an environment file"):
        quote(text)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "database_password_auth",
            "short",
            "this secret (5 characters) is not made of 24 or more letters, digits, '_' and '-'",
        ),
        (
            "database_password_auth",
            "a-percent%sign-breaks-alembic",
            "this secret (29 characters) is not made of 24 or more letters, digits, '_' and '-'",
        ),
        (
            "redis_password",
            "two words are two arguments",
            "this secret (27 characters) is not made of 24 or more letters, digits, '_' and '-'",
        ),
        ("token_key", "", "this secret (0 characters) is not made of 24 or more letters, digits, '_' and '-'"),
        ("login_private_key", "made-up", "this secret is not an unencrypted private key in OpenSSH format"),
        ("host_key_edge", private_key(1).lower(), "this secret is not an unencrypted private key in OpenSSH format"),
    ],
)
def test_unfit_secret_is_refused_with_its_key_and_never_its_value(name: str, value: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_secrets(project(), {**secret_values(), name: value})
    assert caught.value.render() == (
        f"Pulumi.staging.yaml: basecommerce:{name}: {message}\n"
        f"hint: run `basec pulumi --env staging -- config set --secret basecommerce:{name}` with a new value"
    )


def test_all_unfit_secrets_are_reported_at_once() -> None:
    values = {**secret_values(), "token_key": "x", "host_key_infra": "y"}
    with pytest.raises(ConfigurationError) as caught:
        service_secrets(project(), "edge", values)
    assert [problem.path for problem in caught.value.problems] == [
        "basecommerce:token_key",
        "basecommerce:host_key_infra",
    ]


def test_fit_secrets_pass() -> None:
    check_secrets(project(), secret_values())
