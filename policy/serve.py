"""Serve the policy pack in a process of its own, for plain `pulumi`; `basecommerce` beside this starts it."""

import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType


def skip_sdk_import() -> None:
    """Make `pulumi.runtime.proto` importable without the whole SDK: half of the time to start, at every preview."""
    spec = find_spec("pulumi")
    if spec is None or spec.origin is None:
        sys.exit("policy: this python3 has no Pulumi SDK\nhint: activate .venv, or run the operation with basec")
    root = Path(spec.origin).parent
    for name, path in (("pulumi", root), ("pulumi.runtime", root / "runtime")):
        module = ModuleType(name)
        module.__path__ = [str(path)]
        sys.modules[name] = module


sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
skip_sdk_import()

from policy.analyzer import serve  # noqa: E402 - only found from here on

serve()
