"""What messages and logs of the provider plugins may show."""

from __future__ import annotations

from localcloud.providers.reporting import Redactor
from localcloud.providers.values import Secret

CONNECTION = Secret(
    {"host": "198.51.100.24", "user": "basec-login", "privateKey": "-----BEGIN KEY-----\nabcdefghijklmnop"}
)


def test_a_message_names_the_host_of_a_secret_connection() -> None:
    redactor = Redactor({"connection": CONNECTION})
    assert redactor.clean("198.51.100.24: refused basec-login") == "198.51.100.24: refused basec-login"


def test_a_message_shows_no_line_of_a_private_key() -> None:
    redactor = Redactor({"connection": CONNECTION, "stdin": Secret("a whole payload")})
    assert redactor.clean("key abcdefghijklmnop, a whole payload") == "key [secret], [secret]"
