"""The list of commands as `basec -h` shows it, in groups, and what to do instead of commands that are not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typer.core import TyperGroup

from topology.errors import UsageError

if TYPE_CHECKING:
    from typer._click import Command, Context, HelpFormatter

GROUPS = {
    "Start": ("init", "doctor", "open", "trust"),
    "Look": ("status", "smoke", "logs", "cost", "settings", "secrets", "inventory"),
    "Change": ("preview", "up", "down", "cloudflare", "pulumi"),
    "Hosts and data": ("ssh", "exec", "compose", "firewall", "events", "images"),
}
"""Every command is in one of them; typer's own panels would need rich, which takes longer than all the rest."""

SHORT = 50
"""Characters of a command's line: with the longest name it fits into 80 columns."""

INSTEAD = {
    "apply": "basec up --env NAME",
    "backup": "not there yet: docs/known-issues.md#not-built-yet",
    "config": "basec settings --env NAME",
    "deploy": "set images.tag in Pulumi.NAME.yaml, then: basec up --env NAME",
    "destroy": "basec down --env NAME",
    "migrate": "nothing to type: `up` migrates before it starts the applications",
    "plan": "basec preview --env NAME",
    "redeploy": "basec up --env NAME; to start containers anew: basec compose restart HOST --env NAME",
    "restore": "not there yet: docs/known-issues.md#not-built-yet",
    "rollback": "git revert the change, then: basec up --env NAME",
    "ssl": "nothing to type, `cloudflare.ssl` of the settings says it: docs/topology.md#tls-to-the-edge",
    "tenants": "not there yet; by SQL: docs/runbooks/first-deployment.md#6-a-first-tenant-and-the-smoke-test",
    "users": "not there yet; by SQL: reference_apps/README.md#a-first-tenant",
    "version": "basec --version",
}
"""What operators type since other tools, and the scripts before these, have it; a misspelt command typer answers."""


class RootGroup(TyperGroup):
    """The root of the command line."""

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:  # noqa: ARG002 - typer gives it
        """Write one list for each group, in line with each other."""
        longest = max(map(len, self.commands))
        for title, names in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl(
                    [(f"{name:<{longest}}", self.commands[name].get_short_help_str(SHORT)) for name in names]
                )

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, Command | None, list[str]]:
        """Find a command. Raises UsageError for one that is expected and not there, with what to do instead."""
        word = args[0]
        if word in INSTEAD and word not in self.commands and not ctx.resilient_parsing:
            raise UsageError(f"basec: No such command {word!r}.", INSTEAD[word])
        return super().resolve_command(ctx, args)
