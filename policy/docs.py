"""Write the pages made from tables: `python -m policy.docs` (a test checks that they are current)."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from policy.docker_benchmark import ITEMS, Item
from topology.policy_rules import RULES, RuleSpec

ROOT = Path(__file__).resolve().parent.parent

RULES_HEAD = """\
# Rules

<!-- Made by `python -m policy.docs` from topology/policy_rules.py; edits are lost. -->

Every `basec preview` and `basec up` checks the stack against these {count} rules before anything is touched. A broken
mandatory rule ends the preview with exit code 5 and a block for each violation. Advice is one line and stops nothing.
`basec explain BC05` shows a rule in your terminal.

```text
{example}
```

| where | checked in | when |
| --- | --- | --- |
| settings | tracked files; `compose/` and `cloud-init/` as they would be shipped | at preview, by the pack |
| pack | inputs of resources, `protect`, ignored changes, what is secret | at preview, and in `up` before each create |
| plan | the steps: what would be replaced or destroyed | after preview, by `basec` ([more](dangerous-edits.md)) |

- Files are checked against lists of what is allowed. A key of a service, a security option or a source of a mount that
  is not in `policy/container_rules.py` is refused. If you need one, add it there, with a reason.
- Values known only after creation (ids, addresses, and texts that hold one) are checked during `up`, before that
  resource is made. The ceiling of the price is a setting, checked before the engine starts: exit code 2.
- `make policy` checks the three stacks without an account or a secret of yours. `basec preview --json` has violations.
- With plain `pulumi`, in the virtual environment: `pulumi preview --policy-pack policy/basecommerce`. Always preview
  first: rules about the whole stack come only at the end of an `up`. The pack reads the stack's file (or the one that
  `BASECOMMERCE_STACK_FILE` names), and refuses a stack without one. It sees secrets in clear; no message holds one.
- `tests/policy/dangerous_edits.py` has edits that must be refused. A naive program breaks {naive} of the {count}.

| rule | title | where | severity |
| --- | --- | --- | --- |
"""
NAIVE = 18
EXAMPLE = """\
BC05 a droplet has SSH keys and the stack's VPC from birth, and no IPv6
  resource: edge (Droplet)
  found: ssh_keys: none
  wanted: the stack's SSH key
  fix: pass `ssh_keys` and `vpc_uuid`, and leave `ipv6` off"""

BENCHMARK_HEAD = """\
# Docker benchmark

<!-- Made by `python -m policy.docs` from policy/docker_benchmark.py; edits are lost. -->

The items of CIS Docker 1.6 that matter on these droplets: each one is held by a [rule](policies.md), which refuses
files that loosen it, or it is waived here with its reason. Section 1 and 3 ask about hosts, 2 about the daemon, 4 about
images, 5 about containers: BC17 and BC18 judge every service of `compose/*/compose.yaml`.

| item | asks for | here |
| --- | --- | --- |
"""


def rules_page() -> str:
    """Render docs/policies.md."""
    head = RULES_HEAD.format(count=len(RULES), example=EXAMPLE, naive=NAIVE)
    rows = "".join(
        f"| [{rule.id}](#{rule.id.lower()}) | {rule.title} | {', '.join(rule.where)} | {_severity(rule)} |\n"
        for rule in RULES.values()
    )
    return head + rows + "".join(_section(rule) for rule in RULES.values())


def _severity(rule: RuleSpec) -> str:
    return f"{rule.severity}, in part advisory" if rule.advice else rule.severity


def _section(rule: RuleSpec) -> str:
    text = f"**{rule.title[0].upper()}{rule.title[1:]}.** {rule.why}"
    facts = {"advice only": rule.advice, "fix": rule.fix, "source": rule.source}
    return "\n".join([f"\n## {rule.id}\n", text, *(f"- {name}: {said}" for name, said in facts.items() if said)]) + "\n"


def benchmark_page() -> str:
    """Render docs/docker-benchmark.md."""
    return BENCHMARK_HEAD + "".join(f"| {item.id} | {item.asks} | {_here(item)} |\n" for item in ITEMS)


def _here(item: Item) -> str:
    if item.waiver:
        return f"**waived**: {item.waiver}"
    return f"held by [{item.rule}](policies.md#{item.rule.lower()}): {item.holds}"


def pages() -> Mapping[str, str]:
    """Return every page by its path in the repository."""
    return {"docs/policies.md": rules_page(), "docs/docker-benchmark.md": benchmark_page()}


if __name__ == "__main__":
    for name, text in pages().items():
        (ROOT / name).write_text(text)
        sys.stdout.write(f"{name}\n")
