"""The commands as `basec -h` lists them, loaded when they are called, and what to use instead of missing ones.

This is click's lazy group (https://click.palletsprojects.com/en/stable/complex/#lazily-loading-subcommands). The list
has the lines of help, so that `basec -h` loads no command's module: with all their imports it would take seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, cast

import typer
from typer._click import Command, Context, HelpFormatter
from typer._click.shell_completion import CompletionItem
from typer.core import TyperGroup
from typer.main import get_group

from topology.errors import UsageError

GROUPS = {
    "Start": {
        "init": "Make a stack's passphrase, keys and passwords.",
        "doctor": "Check this machine, and install what is missing.",
        "open": "Open the shop in the browser.",
        "trust": "Let your browsers trust a local stack.",
    },
    "Look": {
        "status": "Show the health of hosts and services.",
        "explain": "Show what a message's id means and what to do.",
        "smoke": "Check what a tenant sees and what the hosts run.",
        "logs": "Show the services' log lines in time order.",
        "releases": "Show what was activated on the hosts.",
        "cost": "Show what an environment costs a month.",
        "settings": "Show an environment's settings and what they mean.",
        "secrets": "List a stack's secrets and make new ones.",
        "inventory": "Show the hosts, or rebuild their local files.",
    },
    "Change": {
        "preview": "Show what `up` would change and cost.",
        "up": "Bring an environment up.",
        "down": "Take an environment down with all its data.",
        "cloudflare": "Show Cloudflare's addresses, or renew them.",
        "pulumi": "Run the Pulumi CLI on an environment.",
    },
    "Hosts and data": {
        "ssh": "Open a shell on a host, or run one command there.",
        "exec": "Run a command in a service's container.",
        "maintenance": "Show visitors a page instead of the shop.",
        "compose": "Restart or stop the containers of a host.",
        "firewall": "Compare the hosts' firewall with the rule table.",
        "events": "Count the waiting events, or send them again.",
        "images": "Put your own images into local stacks.",
    },
}
"""Every command, with the first sentence of its help; its module in `basec/commands/` has the same name.

The groups are our own: typer's panels would need rich, which takes longer to load than all the rest.
"""

LINES = {name: line for lines in GROUPS.values() for name, line in lines.items()}

SHORT = 50
"""Characters of a command's line: with the longest name it fits into 80 columns."""

INSTEAD = {
    "apply": "basec up --env NAME",
    "backup": "not available yet; by hand: docs/runbooks/README.md#back-up-and-restore-by-hand",
    "config": "basec settings --env NAME",
    "deploy": "set images.tag in Pulumi.NAME.yaml, then: basec up --env NAME",
    "destroy": "basec down --env NAME",
    "migrate": "no command needed: `up` migrates before it starts the applications",
    "plan": "basec preview --env NAME",
    "redeploy": "basec up --env NAME; to restart containers: basec compose restart HOST --env NAME",
    "restore": "not available yet; by hand: docs/runbooks/README.md#back-up-and-restore-by-hand",
    "rollback": "git revert the change, then: basec up --env NAME",
    "ssl": "no command needed, `cloudflare.ssl` in the settings decides: docs/topology.md#tls-to-the-edge",
    "tenants": "not available yet; by SQL: docs/runbooks/first-deployment.md#6-a-first-tenant-and-the-smoke-test",
    "users": "not available yet; by SQL: reference_apps/README.md#a-first-tenant",
    "version": "basec --version",
}
"""What operators type because other tools, and our older scripts, have it; typer handles misspelt commands."""


class Commands(Mapping[str, Command]):
    """The commands by name. The first access to one imports its module."""

    def __init__(self) -> None:
        self._loaded: dict[str, Command] = {}

    def __getitem__(self, name: str) -> Command:
        if name not in LINES:
            raise KeyError(name)
        if name not in self._loaded:
            app = typer.Typer(rich_markup_mode=None)  # as the root
            import_module(f"basec.commands.{name}").register(app)
            self._loaded[name] = get_group(app).commands[name]
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(LINES)

    def __len__(self) -> int:
        return len(LINES)


class RootGroup(TyperGroup):
    """The root of the command line."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = cast("dict[str, Command]", Commands())

    def list_commands(self, ctx: Context) -> list[str]:  # noqa: ARG002 - typer gives it
        return list(self.commands)

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:  # noqa: ARG002 - typer gives it
        """Write one list for each group, with aligned columns."""
        longest = max(map(len, LINES))
        for title, lines in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:<{longest}}", line) for name, line in lines.items()])

    def shell_complete(self, ctx: Context, incomplete: str) -> list[CompletionItem]:
        """Offer commands from the list, without loading any."""
        offered = [CompletionItem(name, help=line) for name, line in LINES.items() if name.startswith(incomplete)]
        return [*offered, *Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, Command | None, list[str]]:
        """Find a command. Raises UsageError for a known one that we lack, with what to use instead."""
        word = args[0]
        if word in INSTEAD and word not in self.commands and not ctx.resilient_parsing:
            raise UsageError(f"basec: No such command {word!r}.", INSTEAD[word])
        return super().resolve_command(ctx, args)
