"""The list of commands as `basec -h` shows it: in groups by what a person wants to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typer.core import TyperGroup

if TYPE_CHECKING:
    from typer._click import Context, HelpFormatter

GROUPS = {
    "Start": ("init", "doctor"),
    "Look": ("status", "smoke", "logs", "cost", "secrets", "inventory"),
    "Change": ("preview", "up", "down", "cloudflare", "pulumi"),
    "Hosts and data": ("ssh", "exec", "compose", "firewall", "events"),
}
"""Every command is in one of them; typer's own panels would need rich, which takes longer than all the rest."""

SHORT = 50
"""Characters of a command's line: with the longest name it fits into 80 columns."""


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
