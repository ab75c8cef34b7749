"""One tier's compose project on its droplet, activated by ONE remote command.

The bundle (files and their digest) is known at preview, so an edit of one tier's file shows as a change of that tier
alone. Addresses and secrets are not part of it: they travel beside it on standard input, which is secret as a whole,
and the bundle's own `release.py` does the rest on the droplet. It also stops and removes: a `delete` here would take
down what a replacement has just started.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Self

import pulumi

from components.machine import Machine
from components.remote import command
from components.stack_config import StackConfig
from topology.bundle import Bundle
from topology.names import COMPOSE_STACK
from topology.secrets import SecretFile, service_secrets
from topology.tier_variables import host_variables

SecretFiles = Callable[[Mapping[str, str]], Mapping[str, SecretFile]]
"""Returns the tier's secret files (by file name) for the values of the stack's secrets."""


@dataclass(frozen=True, kw_only=True)
class ComposeStackArgs:
    """`secrets` are values for the tier's secret files, by key; `hosts` gives addresses the names in compose files."""

    machine: Machine
    bundle: Bundle
    hosts: Callable[[Mapping[str, str]], Mapping[str, str]]
    secrets: Mapping[str, pulumi.Output[str]]
    secret_files: SecretFiles

    @classmethod
    def from_config(
        cls, config: StackConfig, machine: Machine, *, issued: Mapping[str, pulumi.Output[str]] | None = None
    ) -> Self:
        """Plan the tier of a machine of the inventory: its bundle, and the secret files of its role.

        `issued` are values beside the stack's secrets, such as a certificate that the same run requests.
        """
        return cls(
            machine=machine,
            bundle=config.bundles[machine.name],
            hosts=partial(host_variables, config.project.inventory, machine.name),
            secrets={**config.secrets, **(issued or {})},
            secret_files=partial(service_secrets, config.project, machine.name),
        )


def payload(bundle: Bundle, hosts: Mapping[str, str], files: Mapping[str, SecretFile]) -> str:
    """Render what `release.py` reads; equal inputs give equal text, so that nothing runs without a reason."""
    return json.dumps(
        {
            "bundle": base64.b64encode(bundle.tar).decode(),
            "digest": bundle.digest,
            "hosts": dict(hosts),
            "secrets": dict(files),
        },
        sort_keys=True,
    )


class ComposeStack(pulumi.ComponentResource):
    """A running tier. Outputs: `digest` of the bundle and its `files` by name, known once it serves.

    The files are there for previews: what goes to the droplet is secret as a whole, so no diff of it can be shown.
    """

    digest: pulumi.Output[str]
    files: pulumi.Output[dict[str, str]]

    def __init__(self, name: str, args: ComposeStackArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(COMPOSE_STACK, name, {}, opts)
        bundle, machine = args.bundle, args.machine

        def stdin(values: Mapping[str, Mapping[str, str]]) -> str:
            return payload(bundle, args.hosts(values["addresses"]), args.secret_files(values["secrets"]))

        known = pulumi.Output.all(
            addresses=pulumi.Output.all(**machine.addresses), secrets=pulumi.Output.all(**args.secrets)
        )
        activation = command(
            f"{name}-activation",
            machine=machine,
            title=f"activate {bundle.tier} {bundle.digest[:12]}",
            script=bundle.activation,
            stdin=pulumi.Output.secret(known.apply(stdin)),
            timeout="40m",  # `release.py` must end by itself: cut off, it would not bring the earlier release back
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.digest = activation.id.apply(lambda _: bundle.digest)
        self.files = activation.id.apply(lambda _: bundle.files)
        self.register_outputs({"digest": self.digest, "files": self.files})
