"""Load the program quickly: a command that finds nothing to change spends most time importing the providers' SDKs."""

from __future__ import annotations

import gc
import importlib.util
import re
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from topology.errors import BasecommerceError

PROGRAM_MODULE = "basecommerce_program"
SDKS = ("pulumi_digitalocean", "pulumi_cloudflare")
SHARED = ("_utilities", "outputs", "_inputs")
"""Modules of an SDK that its other modules import: they take nearly all of the import's time."""


def load_program(root: Path) -> Callable[[], None]:
    """Load `__main__.py` and return its `main`. Takes more than a second, nearly all of it the providers' SDKs."""
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    spec = importlib.util.spec_from_file_location(PROGRAM_MODULE, root / "__main__.py")
    if spec is None or spec.loader is None or not (root / "__main__.py").exists():
        raise BasecommerceError(f"basec: {root / '__main__.py'}: the program is missing", "git checkout brings it back")
    module = importlib.util.module_from_spec(spec)
    sys.modules[PROGRAM_MODULE] = module
    # The SDKs create hundreds of thousands of objects that live until the end. Garbage collection of them takes a
    # third of the import, and again a second when Python ends.
    gc.disable()
    try:
        for sdk in SDKS:
            import_by_module(sdk)
        spec.loader.exec_module(module)
        _drop_debug_messages()
    finally:
        gc.freeze()
        gc.enable()
    main: Callable[[], None] = module.main
    return main


def import_by_module(package: str) -> None:
    """Let `import package` run only what is then used of it: `package.DnsRecord` runs the module `dns_record`.

    The SDK of Cloudflare has 780 modules, all run by its `__init__`: two seconds. Five of them take one. A name that is
    not a class of a module of that name runs the whole package, so nothing is missing.
    """
    spec = importlib.util.find_spec(package)
    if package in sys.modules or spec is None or spec.loader is None:  # the program's import reports what is missing
        return
    loader = spec.loader
    module = importlib.util.module_from_spec(spec)

    def find(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        for part in (re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(), "_inputs"):
            if name[0].isupper() and importlib.util.find_spec(f"{package}.{part}"):
                value = getattr(import_module(f"{package}.{part}"), name, None)
                if value is not None:
                    return value
        del module.__dict__["__getattr__"]
        loader.exec_module(module)
        return getattr(module, name)

    sys.modules[package] = module
    for shared in SHARED:
        import_module(f"{package}.{shared}")
    module.__dict__["__getattr__"] = find


def _drop_debug_messages() -> None:
    """Keep the SDK from sending five messages a resource, one by one, to an engine that shows none of them."""
    from pulumi import log  # noqa: PLC0415 - this module is imported long before the SDKs

    log.debug = lambda *_arguments, **_options: None
