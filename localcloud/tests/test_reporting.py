"""What messages and logs of the provider plugins may show."""

from __future__ import annotations

from pathlib import Path

import pytest

from localcloud import remedies
from localcloud.errors import CloudError
from localcloud.provider.reporting import Redactor, describe
from localcloud.provider.values import Secret

CONNECTION = Secret(
    {"host": "198.51.100.24", "user": "basec-login", "privateKey": "-----BEGIN KEY-----\nabcdefghijklmnop"}
)


def test_a_message_names_the_host_of_a_secret_connection() -> None:
    redactor = Redactor({"connection": CONNECTION})
    assert redactor.clean("198.51.100.24: refused basec-login") == "198.51.100.24: refused basec-login"


def test_a_message_shows_no_line_of_a_private_key() -> None:
    redactor = Redactor({"connection": CONNECTION, "stdin": Secret("a whole payload")})
    assert redactor.clean("key abcdefghijklmnop, a whole payload") == "key [secret], [secret]"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("losetup: exit code 1: losetup: cannot find an unused loop device", remedies.LOOP_DEVICES),
        ("docker start: Bind for 127.0.0.1:80 failed: port is already allocated", "LOCAL_HTTP_PORT=8080"),
        ("docker cp: write /x: no space left on device", remedies.DISK),
        ("Error response: cannot connect to the Docker daemon at unix:///x\nhint: its own", "its own"),
    ],
)
def test_a_fault_that_the_doctor_knows_gets_his_remedy_once_unless_it_has_a_hint(text: str, hint: str) -> None:
    lines = describe(CloudError(text), Path("/x/y.log"), "create Volume").splitlines()
    assert lines[0] == text.splitlines()[0]
    assert lines[1].startswith(f"hint: {hint}")
    assert lines[2:] == ["details: /x/y.log"]


def test_a_fault_that_nobody_knows_gets_no_advice_that_may_be_wrong() -> None:
    assert describe(CloudError("it broke"), Path("/x"), "create Volume") == "it broke\ndetails: /x"
