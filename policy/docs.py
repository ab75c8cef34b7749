"""Write the pages that are made from tables: `python -m policy.docs` (a test checks that they are current)."""

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

Every `basec preview` and `basec up` judges the stack by these {count} rules before anything is touched. A mandatory
rule that is broken ends the preview with exit code 5 and a block for each case; advice is one line and stops nothing.

```text
{example}
```

| where | told from | when |
| --- | --- | --- |
| settings | tracked files; `compose/` and `cloud-init/` as they would be shipped | at preview, by the pack |
| pack | inputs of resources, `protect`, ignored changes, what is secret | at preview, and in `up` before each create |
| plan | the steps: what would be replaced or destroyed | after preview, by `basec` ([more](dangerous-edits.md)) |

Files are judged by lists of what is allowed, and by values: a key of a service, a security option or a source of a
mount that is not on the list in `topology/container_rules.py` is refused, whatever it does. Is it needed? Add it there,
with a reason. `tests/policy/dangerous_edits.py` is a table of edits that must be refused, and the test beside it has
harmless ones that must pass.

The ceiling of the price is checked with all other settings, before the engine is started: exit code 2.

    make policy                               # the three stacks, dry: no account, no secret of yours
    bin/basec preview --env staging --json   # violations are in the document, too

With plain `pulumi`, inside the virtual environment: `pulumi preview --policy-pack policy/basecommerce`. Always preview
first: a rule about the whole stack can speak only at the end of an `up`, when all is made.

What only `up` can know (an id, an address, and each text that holds one) is judged by `up`, before that resource is
made: on the very first preview these are the texts and connections of remote commands. The pack reads the file that
`BASECOMMERCE_STACK_FILE` names, which `basec` sets; without it, `.local/<stack>/Pulumi.<stack>.yaml` or
`Pulumi.<stack>.yaml`. A stack without a file is refused, never passed over. Secrets reach the pack in clear, since it
compares with them; no message holds one.

The naive program in `tests/policy/naive_program/` breaks {naive} of the {count}; the tests hold that figure.

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
    lines = [f"\n## {rule.id}\n", f"**{rule.title[0].upper()}{rule.title[1:]}.** {rule.why}\n"]
    if rule.advice:
        lines.append(f"- advice only: {rule.advice}")
    lines.append(f"- fix: {rule.fix}")
    if rule.source:
        lines.append(f"- source: {rule.source}")
    return "\n".join(lines) + "\n"


def benchmark_page() -> str:
    """Render docs/docker-benchmark.md."""
    return BENCHMARK_HEAD + "".join(f"| {item.id} | {item.asks} | {_here(item)} |\n" for item in ITEMS)


def _here(item: Item) -> str:
    if item.waiver:
        return f"**waived**: {item.waiver}"
    return f"held by [{item.rule}](policies.md#{item.rule.lower()}): {item.holds}"


def pages() -> Mapping[str, str]:
    """Give every page by its path in the repository."""
    return {"docs/policies.md": rules_page(), "docs/docker-benchmark.md": benchmark_page()}


if __name__ == "__main__":
    for name, text in pages().items():
        (ROOT / name).write_text(text)
        sys.stdout.write(f"{name}\n")
