"""Load the program quickly: imported whole, the providers' SDKs take most of a command that finds nothing to change."""

from __future__ import annotations

import ast
import asyncio
import gc
import importlib.util
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from topology.errors import BasecommerceError

PROGRAM_MODULE = "basecommerce_program"
SDKS = ("pulumi_digitalocean", "pulumi_cloudflare")
SHARED = ("outputs", "_inputs")
"""Modules of an SDK that its other modules import: up to 7 MB of classes each, of which a program uses a dozen."""
CLASS_STARTS = (b"\n@", b"\nclass ")
"""How a class begins: with its decorator, or with `class`."""
SNAKE = re.compile(r"(?<!^)(?=[A-Z])")
QUOTED = re.compile(rb"'(\w+)'")


def load_program(root: Path) -> Callable[[], None]:
    """Load `__main__.py` and return its `main`. Takes a tenth of a second; with whole SDKs, two seconds."""
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    spec = importlib.util.spec_from_file_location(PROGRAM_MODULE, root / "__main__.py")
    if spec is None or spec.loader is None or not (root / "__main__.py").exists():
        raise BasecommerceError(f"basec: {root / '__main__.py'}: the program is missing", "git checkout brings it back")
    module = importlib.util.module_from_spec(spec)
    sys.modules[PROGRAM_MODULE] = module
    # What is loaded here lives until the end. The SDKs, where they are run whole, are hundreds of thousands of objects:
    # garbage collection of them takes a third of the import, and again a second when Python ends.
    gc.disable()
    try:
        for sdk in SDKS:
            import_by_module(sdk)
        spec.loader.exec_module(module)
        _drop_debug_messages()
        _wait_for_outputs_together()
    finally:
        gc.freeze()
        gc.enable()
    main: Callable[[], None] = module.main
    return main


def import_by_module(package: str) -> None:
    """Let `import package` run only what is then used of it: `package.DnsRecord` runs the module `dns_record`.

    The SDK of Cloudflare has 780 modules, all run by its `__init__`: two seconds. Of the two that all others import, a
    class is run when it is asked for: they take another second. A name that no module of its name has runs the whole
    package, so nothing is missing.
    """
    spec = importlib.util.find_spec(package)
    if package in sys.modules or spec is None or spec.loader is None:  # the program's import reports what is missing
        return
    loader = spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[package] = module
    outputs, inputs = (LazyClasses(f"{package}.{name}") for name in SHARED)

    def find(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        value = getattr(inputs, name, None) or find_in_its_module(name)
        if not value:
            del module.__dict__["__getattr__"]
            outputs.run_whole()
            inputs.run_whole()
            loader.exec_module(module)
            value = getattr(module, name)
        module.__dict__[name] = value
        return value

    def find_in_its_module(name: str) -> Any:
        own = importlib.util.find_spec(f"{package}.{SNAKE.sub('_', name).lower()}")
        if own is None or own.origin is None:
            return None
        with inputs.exporting(QUOTED.findall(Path(own.origin).read_bytes())):
            return getattr(import_module(own.name), name, None)

    module.__dict__["__getattr__"] = find


class LazyClasses(ModuleType):
    """A module of many classes. A class is run when somebody asks for it, with the classes that its types name."""

    def __init__(self, name: str) -> None:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(name)
        super().__init__(name)
        self.__all__: list[str] = []
        package, _, own = name.rpartition(".")
        self.__dict__.update(__file__=spec.origin, __spec__=spec, __package__=package)
        self._source = Path(spec.origin).read_bytes()
        sys.modules[name] = self  # first: the module imports itself
        setattr(sys.modules[package], own, self)
        self._run(0, self._next(0))
        self._names = frozenset(each.encode() for each in self.__all__)

    @contextmanager
    def exporting(self, names: Iterable[bytes]) -> Iterator[None]:
        """Let `import *` take of these names those that are here, and not all."""
        everything = self.__all__
        self.__all__ = [name.decode() for name in names if name in self._names]
        try:
            yield
        finally:
            self.__all__ = everything

    def run_whole(self) -> None:
        """Run the module as Python does, from its compiled file; classes that somebody has stay the same."""
        code = self.__spec__.loader.get_code(self.__name__)  # type: ignore[union-attr]
        known = {name: value for name, value in self.__dict__.items() if name.encode() in self._names}
        exec(code, self.__dict__)  # noqa: S102
        self.__dict__.update(known)

    def __getattr__(self, name: str) -> Any:
        place = max(self._source.find(f"\nclass {name}{end}".encode()) for end in "(:")
        if place < 0:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        line_before = self._source.rfind(b"\n", 0, place)
        start = line_before if self._source.startswith(CLASS_STARTS[0], line_before) else place
        end = self._next(place + 1)
        self._run(start + 1, end)
        for other in QUOTED.findall(self._source, start, end):  # types are looked up in this module
            if other in self._names:
                getattr(self, other.decode())
        return self.__dict__[name]

    def _next(self, start: int) -> int:
        """Find where the next class starts, or the end."""
        return min(
            (place for each in CLASS_STARTS if (place := self._source.find(each, start)) >= 0),
            default=len(self._source),
        )

    def _run(self, start: int, end: int) -> None:
        tree = ast.parse(self._source[start:end])
        ast.increment_lineno(tree, self._source.count(b"\n", 0, start))  # for a traceback
        exec(compile(tree, self.__file__ or "", "exec", dont_inherit=True), self.__dict__)  # noqa: S102


def _drop_debug_messages() -> None:
    """Keep the SDK from sending five messages a resource, one by one, to an engine that shows none of them."""
    from pulumi import log  # noqa: PLC0415 - this module is imported long before the SDKs

    log.debug = lambda *_arguments, **_options: None


def _wait_for_outputs_together() -> None:
    """Let the SDK wait once for all outputs.

    It waits for the first, then again for all the others, and so on: with 30 droplets two fifths of the program's time.
    """
    stack = import_module("pulumi.runtime.stack")
    patient = ModuleType(asyncio.__name__)
    patient.__dict__.update(asyncio.__dict__, FIRST_COMPLETED=asyncio.FIRST_EXCEPTION)
    stack.asyncio = patient  # type: ignore[attr-defined]
