"""`basec images`: what the droplets of local stacks can pull."""

from __future__ import annotations

import typer

from basec.commands.arguments import CHANGE_ENV
from basec.environments import resolve
from basec.io.console import answer, say
from basec.io.programs import Program
from topology.errors import UsageError
from topology.image_names import moves
from topology.names import LOCAL_TEMPLATE
from topology.settings import APPLICATIONS

app = typer.Typer(name="images", help="Put your own images into local stacks.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    root.add_typer(app)


EXAMPLES = "Examples: basec images push auth:dev-1 --env local; basec images push ghcr.io/me/auth:sha-1 --env local"


@app.command("push", epilog=EXAMPLES)
def push(
    image: str = typer.Argument(..., metavar="NAME:TAG", help="An image of this machine's Docker."),
    env: str = CHANGE_ENV,
) -> None:
    """Put an image where a local stack can pull it. Safe to repeat; all local stacks share one registry."""
    environment = resolve(env)
    if not environment.is_local:
        raise UsageError(
            f"basec images: {environment.name}: its droplets pull from the registry of its settings",
            f"docker push, then images.tag in Pulumi.{environment.name}.yaml",
        )
    name, _, tag = image.rpartition("/")[2].partition(":")
    if tag and moves(tag):
        raise UsageError(
            f"basec images: {image}: the tag '{tag}' moves, and a droplet never pulls a name twice",
            f"docker tag {image} {name}:dev-1, then push that",
        )
    reference = Program("localcloud", ["push", image]).run().strip()
    answer(reference)
    name, _, tag = reference.rpartition("/")[2].partition(":")
    service = next((service for service, application in APPLICATIONS.items() if application == name), name)
    if name in APPLICATIONS.values():
        say(f"when {', '.join(APPLICATIONS.values())} all have this tag, set images.tag: {tag}")
    setting = f"images.services: {{{service}: {reference}}}"
    hint = f"set {setting} in {LOCAL_TEMPLATE}, then basec up --env {environment.name}"
    say(f"hint: {hint}")
