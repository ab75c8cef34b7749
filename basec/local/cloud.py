"""A local stack's cloud, as `cloud.json` describes it: its addresses, and where it stands in for Cloudflare."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from basec.environments import Environment
from basec.io.files import NO_DOCUMENT, damaged
from topology.errors import UsageError
from topology.names import HTTPS_PORT


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """Where the stand-in for Cloudflare listens on 127.0.0.1, and the authority of its https."""

    http_port: int
    https_port: int | None
    """None: an older `up` made it, before it spoke https."""
    ca_file: Path


@dataclass(frozen=True, kw_only=True)
class LocalCloud:
    """The parts of `cloud.json` that basec needs."""

    mode: str
    public_subnet: str
    cloudflare_address: str
    vpc_range: str
    stand_in: StandIn

    @classmethod
    def load(cls, environment: Environment) -> LocalCloud:
        """Read the file. Raises UsageError if the stack was never initialised, or if the file is damaged."""
        file, name = environment.cloud_file, environment.name
        try:
            document = json.loads(file.read_text())
            return cls(
                mode=str(document["mode"]),
                public_subnet=str(document["public_subnet"]),
                cloudflare_address=str(document["cloudflare_address"]),
                vpc_range=str(document["vpc_range"]),
                stand_in=StandIn(
                    http_port=int(document["http_port"]),
                    https_port=int(document.get("https_port", HTTPS_PORT)),
                    ca_file=environment.public_ca_file,
                ),
            )
        except FileNotFoundError:
            raise not_initialised(environment) from None
        except NO_DOCUMENT as error:
            hint = (
                f"restore it; without it this stack is lost: remove its containers, docker ps --all --filter "
                f"name=bc-{name}-, and {environment.work_dir}, then basec init --env {name}"
            )
            raise damaged(name, file, error, hint) from None

    @property
    def is_dry(self) -> bool:
        """Whether it has only records, no containers: for tests of the engine."""
        return self.mode == "dry"


def not_initialised(environment: Environment) -> UsageError:
    return UsageError(
        f"basec: {environment.name}: this local stack is not initialised", f"basec init --env {environment.name}"
    )
