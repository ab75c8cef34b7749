"""What makes the import of the program quick, with an SDK that reports which of its modules were run."""

from __future__ import annotations

import builtins
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from pulumi import Output

from basec.engine.program_loading import SDKS, SHARED, import_by_module, load_program
from topology.errors import BasecommerceError

SDK = "an_sdk"
MODULES = {
    "_utilities": "def output_type(cls): return cls",
    "outputs": """\
from . import outputs
from ._utilities import output_type

__all__ = ['Rule', 'Unused']

@output_type
class Rule:
    port: int

@output_type
class Unused:
    run.append("outputs.Unused")
""",
    "_inputs": """\
from . import _utilities

__all__ = ['PortArgs', 'RuleArgs', 'UnusedArgs']

class PortArgs:
    number: int

class RuleArgs:
    port: 'PortArgs'

class UnusedArgs:
    run.append("_inputs.UnusedArgs")
""",
    "dns_record": """\
from . import outputs
from ._inputs import *

class DnsRecord:
    rule: 'RuleArgs'
    found: 'outputs.Rule'
""",
    "zone": "class Zone: pass",
    "get_zone": "def get_zone(): return 'a zone'\nelsewhere = 'found'",
    "__init__": "from .dns_record import *\nfrom .zone import *\nfrom .get_zone import *\nfrom ._inputs import *",
}
UNUSED = {"outputs.Unused", "_inputs.UnusedArgs"}


@pytest.fixture
def sdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    (tmp_path / SDK).mkdir()
    for name, text in MODULES.items():
        (tmp_path / SDK / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(builtins, "run", [], raising=False)
    import_by_module(SDK)
    yield import_module(SDK)
    for name in [name for name in sys.modules if name.split(".")[0] == SDK]:
        del sys.modules[name]


def run_modules() -> set[str]:
    return {name.removeprefix(f"{SDK}.") for name in sys.modules if name.startswith(f"{SDK}.")}


def run_classes() -> list[str]:
    return list(getattr(builtins, "run"))  # noqa: B009 - the fixture made it


def test_a_class_runs_its_own_module_and_of_the_shared_ones_what_it_names(sdk: Any) -> None:
    record = sdk.DnsRecord
    assert record is import_module(f"{SDK}.dns_record").DnsRecord
    assert run_modules() == {*SHARED, "_utilities", "dns_record"}
    hints = get_type_hints(record)
    assert hints == {"rule": sdk.RuleArgs, "found": import_module(f"{SDK}.outputs").Rule}
    assert get_type_hints(hints["rule"]) == {"port": import_module(f"{SDK}._inputs").PortArgs}
    assert run_classes() == []


def test_an_input_type_is_found_without_a_module_of_its_name(sdk: Any) -> None:
    assert sdk.RuleArgs is import_module(f"{SDK}._inputs").RuleArgs
    assert run_modules() == {*SHARED, "_utilities"}


def test_whatever_is_in_no_module_of_its_name_runs_the_whole_sdk(sdk: Any) -> None:
    rule = sdk.RuleArgs
    assert sdk.elsewhere == "found"
    assert run_modules() == set(MODULES) - {"__init__"}
    assert sdk.Zone().__class__.__name__ == "Zone"
    assert sdk.RuleArgs is rule
    assert sorted(run_classes()) == sorted(UNUSED)


def test_a_function_of_the_sdk_runs_its_own_module(sdk: Any) -> None:
    assert sdk.get_zone() == "a zone"
    assert run_modules() == {*SHARED, "_utilities", "get_zone"}


def test_a_module_that_is_imported_by_its_path_gets_all_names(sdk: Any) -> None:
    record = import_module(f"{SDK}.dns_record")
    assert record.UnusedArgs is import_module(f"{SDK}._inputs").UnusedArgs
    assert sdk.DnsRecord is record.DnsRecord


def test_a_traceback_out_of_a_class_names_its_line(sdk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sdk
    module = import_module(f"{SDK}.outputs")
    monkeypatch.delattr(builtins, "run")
    with pytest.raises(NameError) as caught:
        _ = module.Unused
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (last.filename, last.line) == (module.__file__, 'run.append("outputs.Unused")')


@pytest.mark.parametrize("package", SDKS)
@pytest.mark.parametrize("name", SHARED)
def test_a_class_of_the_real_sdks_can_be_run_alone(package: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every fiftieth, and the last: a class whose source were cut short would not compile, or name what is missing."""
    for known in [known for known in sys.modules if known.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, known)
    import_by_module(package)
    module = import_module(f"{package}.{name}")
    for each in [*module.__all__[::50], module.__all__[-1]]:
        assert getattr(module, each).__name__ == each
        get_type_hints(getattr(module, each).__init__, localns={"Output": Output, "T": Any})
    for known in [known for known in sys.modules if known.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, known)


@pytest.mark.parametrize("package", SDKS)
@pytest.mark.parametrize("name", SHARED)
def test_the_real_sdks_list_their_classes_at_the_left_edge(package: str, name: str) -> None:
    """What this reading of their files rests on: a list of names, each a class at the left edge."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    text = Path(str(spec.origin)).with_name(f"{name}.py").read_text()
    (listed,) = re.findall(r"^__all__ = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    names = re.findall(r"'(\w+)'", listed)
    assert len(names) > 500
    assert set(names) <= set(re.findall(r"^class (\w+)[:(]", text, re.MULTILINE))


def test_the_sdk_still_waits_for_one_output_at_a_time() -> None:
    """Else `_wait_for_outputs_together` has nothing to mend, and goes."""
    source = inspect.getsource(import_module("pulumi.runtime.stack").wait_for_rpcs)
    assert "return_when=asyncio.FIRST_COMPLETED" in source


def test_a_name_that_the_sdk_does_not_have_is_an_attribute_error(sdk: Any) -> None:
    with pytest.raises(AttributeError, match="NoSuchThing"):
        _ = sdk.NoSuchThing


def test_an_sdk_that_is_imported_already_stays_as_it_is(sdk: Any) -> None:
    import_by_module(SDK)
    assert import_module(SDK) is sdk


def test_a_missing_program_is_named_with_the_way_back(tmp_path: Path) -> None:
    with pytest.raises(BasecommerceError, match=r"__main__\.py: the program is missing"):
        load_program(tmp_path)
