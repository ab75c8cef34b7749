"""`make policy`: previews of the three stacks under the pack, a line for each; violations in full, and exit code 5."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import pulumi.automation as auto

from basec.engine.policy_pack import blocks, refused
from tests.policy.dry_stack import STACKS, DryStack, program
from topology.errors import ExitCode
from topology.policy_rules import RULES


def main() -> int:
    """Judge each stack in a directory of its own, which is gone afterwards."""
    broken = False
    for name in STACKS:
        start = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="basecommerce-policy-") as directory:
            stack = DryStack(Path(directory), program, name)
            try:
                stack.judge()
            except auto.CommandError as error:
                if not refused(stack.violations):
                    sys.stderr.write(f"{name}: the preview failed\n{error}\n")
                    return int(ExitCode.FAILURE)
        advice = [violation for violation in stack.violations if not violation.is_mandatory]
        count = len(stack.violations) - len(advice)
        seconds = time.monotonic() - start
        sys.stdout.write(
            f"{name:<11} {len(RULES)} rules, {count} violations, {len(advice)} pieces of advice, {seconds:.1f} s\n"
        )
        for violation in advice:
            sys.stdout.write(f"  advice: {violation.line()}\n")
        if refused(stack.violations):
            broken = True
            sys.stdout.write(blocks(stack.violations) + "\n")
        sys.stdout.flush()
    return int(ExitCode.REFUSED if broken else ExitCode.OK)


if __name__ == "__main__":
    sys.exit(main())
