"""Run the program under mocks that record every registration as the engine would receive it."""

from __future__ import annotations

import asyncio
import json
import runpy
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pulumi.runtime import mocks, rpc
from pulumi.runtime.settings import get_root_resource
from pulumi.runtime.stack import Stack, run_pulumi_func

from tests.unit.tls_support import tls_secrets
from topology.settings import PASSWORD_KEYS

ROOT = Path(__file__).resolve().parents[2]
STACKS = ("local", "staging", "production")
ADDRESSES = {"infra": "10.80.0.2", "vertical": "10.80.0.3", "edge": "10.80.0.4"}
RESERVED_IP = "198.51.100.24"
ORIGIN_CERTIFICATE = "-----BEGIN CERTIFICATE-----\nissued by Cloudflare\n-----END CERTIFICATE-----\n"
PROGRAM_TIMEOUT_S = 60
ENGINE_LOGINS_AT_ONCE = 6
"""Most commands side by side: pulling images and setting UFW's rules on three droplets."""


@dataclass(frozen=True, kw_only=True)
class Registration:
    """One resource as the engine was asked for it."""

    urn: str
    type: str
    name: str
    parent: str
    custom: bool
    inputs: Mapping[str, Any]
    """With secrets still wrapped: a secret is a dict holding `rpc._special_sig_key`."""
    dependencies: frozenset[str]
    protect: bool
    ignore_changes: tuple[str, ...]
    delete_before_replace: bool
    secret_outputs: tuple[str, ...]
    create_timeout: str
    aliases: tuple[str, ...]

    def secret(self, key: str) -> bool:
        """Whether an input is marked secret as a whole."""
        value = self.inputs.get(key)
        return isinstance(value, dict) and value.get(rpc._special_sig_key) == rpc._special_secret_sig

    def plain(self, key: str) -> Any:
        """Return an input without its marks."""
        return unwrap(self.inputs.get(key))


def unwrap(value: Any) -> Any:
    """Take the marks of secrets off a value, at any depth."""
    if isinstance(value, dict):
        if value.get(rpc._special_sig_key) == rpc._special_secret_sig:
            return unwrap(value["value"])
        return {key: unwrap(item) for key, item in value.items()}
    if isinstance(value, list):
        return [unwrap(item) for item in value]
    return value


@dataclass
class Recorder(mocks.MockMonitor):
    """A monitor that keeps whole requests; the SDK's own mocks lose dependencies and options."""

    mocks: mocks.Mocks
    resources: dict[str, Any] = field(default_factory=dict)
    registered: list[Registration] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the wire's name
        response = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        if request.type != "pulumi:pulumi:Stack":
            self.registered.append(_registration(response.urn, request))
        return response

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 - the wire's name
        self.outputs[request.urn] = _plain(request.outputs)
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call]

    def one(self, type_: str, name: str) -> Registration:
        """Return the one resource of that type and name."""
        (found,) = (item for item in self.registered if (item.type, item.name) == (type_, name))
        return found

    def of(self, type_: str) -> list[Registration]:
        """Return all resources of a type, in the order of registration."""
        return [item for item in self.registered if item.type == type_]

    def after(self, item: Registration) -> set[str]:
        """Return the URNs that must be done before `item`, directly or not: dependencies, the parent's, children's."""
        by_urn = {entry.urn: entry for entry in self.registered}
        seen: set[str] = set()
        waiting = [item.urn]
        while waiting:
            entry = by_urn.get(waiting.pop())
            if entry is None:
                continue
            for urn in {*entry.dependencies, *([entry.parent] if entry.parent in by_urn else [])}:
                if urn not in seen:
                    seen.add(urn)
                    waiting.append(urn)
        return seen

    @property
    def exports(self) -> Mapping[str, Any]:
        """What the stack exports."""
        (stack,) = (value for urn, value in self.outputs.items() if "::pulumi:pulumi:Stack::" in urn)
        return unwrap(stack)  # type: ignore[no-any-return]


def _plain(struct: Any) -> dict[str, Any]:
    from google.protobuf import json_format  # noqa: PLC0415 - the wire's form is needed here only

    return json_format.MessageToDict(struct)


def _registration(urn: str, request: Any) -> Registration:
    return Registration(
        urn=urn,
        type=request.type,
        name=request.name,
        parent=request.parent,
        custom=request.custom,
        inputs=_plain(request.object),
        dependencies=frozenset(request.dependencies),
        protect=request.protect,
        ignore_changes=tuple(request.ignoreChanges),
        delete_before_replace=request.deleteBeforeReplace,
        secret_outputs=tuple(request.additionalSecretOutputs),
        create_timeout=request.customTimeouts.create,
        aliases=tuple(alias.urn or alias.spec.name or alias.spec.type for alias in request.aliases),
    )


class Cloud(mocks.Mocks):
    """Answers as the clouds do: digits for droplet ids, addresses for droplets; and refuses lookups."""

    def __init__(self, *, preview: bool) -> None:
        self.preview = preview

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        if self.preview and args.custom:
            return "", dict(args.inputs)  # what the clouds choose is not known yet; the SDK makes it unknown
        outputs = dict(args.inputs)
        number = zlib.crc32(f"{args.typ} {args.name}".encode())  # by name: registrations come in any order
        if args.typ == "digitalocean:index/droplet:Droplet":
            droplet = str(args.inputs["name"]).rsplit("-", 1)[-1]
            outputs["ipv4AddressPrivate"] = ADDRESSES.get(droplet, "10.80.0.9")
            outputs["ipv4Address"] = f"203.0.113.{number % 250}"
            outputs["dropletUrn"] = f"do:droplet:{number}"
        if args.typ == "digitalocean:index/volume:Volume":
            outputs["volumeUrn"] = f"do:volume:{number}"
        if args.typ == "digitalocean:index/reservedIp:ReservedIp":
            outputs["ipAddress"] = RESERVED_IP
        if args.typ == "cloudflare:index/originCaCertificate:OriginCaCertificate":
            outputs["certificate"] = ORIGIN_CERTIFICATE
        return str(number), outputs

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], None]:
        raise AssertionError(f"the program must not look anything up: {args.token}")


def private_key() -> str:
    """Make an OpenSSH private key, as the stack's secrets hold it."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


SECRETS = {
    **{f"basecommerce:{key}": f"canary-{key}-0123456789abcdef" for key in PASSWORD_KEYS},
    "basecommerce:login_private_key": private_key(),
    "basecommerce:host_key_infra": private_key(),
    "basecommerce:host_key_vertical": private_key(),
    "basecommerce:host_key_edge": private_key(),
    **{f"basecommerce:{key}": value for key, value in tls_secrets("staging-basecommerce.com.br").items()},
    "digitalocean:token": "dop_v1_canary",
    "cloudflare:apiToken": "canary-cloudflare",
}


def main() -> None:
    """Run `__main__.py` as the engine does: loaded anew, then called."""
    load: Callable[..., dict[str, Any]] = runpy.run_path
    load(str(ROOT / "__main__.py"), run_name="program")["main"]()


def settings_of(stack: str) -> dict[str, Any]:
    """Read the tracked settings of a stack."""
    document = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())
    return document["config"]["basecommerce:settings"]  # type: ignore[no-any-return]


def configuration(stack: str, **cloudflare: str) -> dict[str, str]:
    """Return a stack's tracked settings with generated secrets, as the engine would hand them out."""
    settings = settings_of(stack)
    settings["cloudflare"].update(cloudflare)
    of_domain = {f"basecommerce:{key}": value for key, value in tls_secrets(settings["domain"]).items()}
    return {"basecommerce:settings": json.dumps(settings), **SECRETS, **of_domain}


def run(
    program: Callable[[], object],
    *,
    stack: str = "staging",
    preview: bool = False,
    config: Mapping[str, str] | None = None,
    started: Callable[[Recorder], object] | None = None,
) -> Recorder:
    """Run a program to its end, outputs resolved, and give what it registered; `started` sees it even on failure."""
    recorder = Recorder(Cloud(preview=preview))
    if started is not None:
        started(recorder)
    mocks.set_mocks(recorder.mocks, project="basecommerce", stack=stack, preview=preview, monitor=recorder)
    pulumi.runtime.set_all_config(dict(config or {}), list(SECRETS))

    stack_resource = get_root_resource()
    assert isinstance(stack_resource, Stack)
    stack_resource.outputs = {}
    stack_resource._outputs_registered = False

    def whole() -> None:
        program()
        stack_resource._finish()

    loop = asyncio.get_event_loop_policy().get_event_loop()
    loop.run_until_complete(asyncio.wait_for(run_pulumi_func(whole), PROGRAM_TIMEOUT_S))
    return recorder
