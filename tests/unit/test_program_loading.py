"""What makes the import of the program quick, with an SDK that reports which of its modules were run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from basec.engine.program_loading import SHARED, import_by_module, load_program
from topology.errors import BasecommerceError

SDK = "an_sdk"
MODULES = {
    "_utilities": "",
    "outputs": "from . import _utilities",
    "_inputs": "from . import _utilities\nclass RuleArgs: pass",
    "dns_record": "from . import outputs\nfrom ._inputs import *\nclass DnsRecord: pass",
    "zone": "class Zone: pass",
    "get_zone": "def get_zone(): return 'a zone'",
    "__init__": "from .dns_record import *\nfrom .zone import *\nfrom .get_zone import *\nfrom ._inputs import *",
}


@pytest.fixture
def sdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    (tmp_path / SDK).mkdir()
    for name, text in MODULES.items():
        (tmp_path / SDK / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    import_by_module(SDK)
    yield import_module(SDK)
    for name in [name for name in sys.modules if name.split(".")[0] == SDK]:
        del sys.modules[name]


def run_modules() -> set[str]:
    return {name.removeprefix(f"{SDK}.") for name in sys.modules if name.startswith(f"{SDK}.")}


def test_a_class_runs_its_own_module_and_what_all_modules_share(sdk: Any) -> None:
    assert sdk.DnsRecord is import_module(f"{SDK}.dns_record").DnsRecord
    assert run_modules() == {*SHARED, "dns_record"}


def test_an_input_type_is_found_without_a_module_of_its_name(sdk: Any) -> None:
    assert sdk.RuleArgs is import_module(f"{SDK}._inputs").RuleArgs
    assert run_modules() == set(SHARED)


def test_whatever_is_no_class_of_a_module_runs_the_whole_sdk(sdk: Any) -> None:
    assert sdk.get_zone() == "a zone"
    assert run_modules() == set(MODULES) - {"__init__"}
    assert sdk.Zone().__class__.__name__ == "Zone"


def test_a_name_that_the_sdk_does_not_have_is_an_attribute_error(sdk: Any) -> None:
    with pytest.raises(AttributeError, match="NoSuchThing"):
        _ = sdk.NoSuchThing


def test_an_sdk_that_is_imported_already_stays_as_it_is(sdk: Any) -> None:
    import_by_module(SDK)
    assert import_module(SDK) is sdk


def test_a_missing_program_is_named_with_the_way_back(tmp_path: Path) -> None:
    with pytest.raises(BasecommerceError, match=r"__main__\.py: the program is missing"):
        load_program(tmp_path)
