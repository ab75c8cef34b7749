"""The local cloud has the names, types and replacements of the official providers, for every type it implements.

Names and types: the SDKs' own classes (localcloud/tests/official_sdk.py). What replaces, the defaults and the sets:
the schemas of terraform-provider-digitalocean v2.97.0 to v2.99.1 (equal in all), terraform-provider-cloudflare v5.10.0
to v5.22.0 (`RequiresReplace`) and pulumi-command v1.2.1 (`replaceOnChanges`). One rule of theirs has no place here: a
droplet whose `ipv6` becomes false is replaced; here it is never true.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi_digitalocean as digitalocean
import pytest

from localcloud.config import CloudConfig
from localcloud.digitalocean import rules
from localcloud.plugin import backend
from localcloud.provider.diff import compare
from localcloud.provider.handler import Handler, Job
from localcloud.provider.schema import Kind, Property, check_properties
from localcloud.provider.values import UNKNOWN
from localcloud.tests import official_sdk, type_table
from localcloud.tests.test_checks import VALID
from localcloud.tests.type_table import (
    ASSIGNMENT,
    COMMAND,
    DNS,
    DROPLET,
    FIREWALL,
    HANDLERS,
    MONITOR_ALERT,
    ORIGIN_CA,
    PROJECT,
    PROJECT_RESOURCES,
    PULLS_CERTIFICATE,
    PULLS_SETTINGS,
    REFUSED,
    RESERVED_IP,
    SSH_KEY,
    TAG,
    UPTIME_ALERT,
    UPTIME_CHECK,
    VOLUME,
    VOLUME_ATTACHMENT,
    VPC,
    ZONE_SETTING,
    flat,
    implemented,
)

REPLACES: dict[str, set[str]] = {
    VPC: {"region", "ipRange"},
    TAG: {"name"},
    SSH_KEY: {"publicKey"},
    FIREWALL: set(),
    DROPLET: {
        *("image", "region", "sshKeys", "userData", "monitoring", "dropletAgent", "vpcUuid", "publicNetworking"),
    },
    VOLUME: {"name", "region", "description"},
    VOLUME_ATTACHMENT: {"dropletId", "volumeId"},
    RESERVED_IP: {"region"},
    ASSIGNMENT: {"dropletId", "ipAddress"},
    MONITOR_ALERT: set(),
    UPTIME_CHECK: set(),
    UPTIME_ALERT: set(),
    PROJECT: set(),
    PROJECT_RESOURCES: {"project"},
    DNS: {"zoneId", "type"},
    ORIGIN_CA: {"csr", "hostnames", "requestType", "requestedValidity"},
    PULLS_CERTIFICATE: {"zoneId", "certificate"},
    PULLS_SETTINGS: {"zoneId"},
    ZONE_SETTING: {"zoneId", "settingId"},
    COMMAND: {"triggers"},
}

STRICTER: dict[str, set[str]] = {
    VPC: {"name", "ipRange"},
    TAG: {"name"},
    SSH_KEY: {"name"},
    FIREWALL: {"name", "tags"},
    DROPLET: {"name", "region", "vpcUuid"},
    VOLUME: {"name"},
    MONITOR_ALERT: {"tags"},
    UPTIME_CHECK: {"name"},
    UPTIME_ALERT: {"name"},
    PROJECT: {"name"},
    DNS: {"content"},
    COMMAND: {
        "logging",
        *(f"connection.{hop}{name}" for hop in ("", "proxy.") for name in ("hostKey", "privateKey")),
    },
}
"""Required here only: nothing is named, placed or trusted by chance."""

DEFAULTS: dict[str, dict[str, bool | int | str]] = {
    DROPLET: {
        "monitoring": False,
        "publicNetworking": True,  # the API's default; the others are the provider's
        "ipv6": False,
        "backups": False,
        "resizeDisk": True,
        "gracefulShutdown": False,
    },
    MONITOR_ALERT: {"enabled": True},
    UPTIME_CHECK: {"enabled": True, "type": "https"},
    PROJECT: {"description": "", "purpose": "Web Application", "isDefault": False},
    DNS: {"proxied": False},
    ORIGIN_CA: {"requestedValidity": 5475},
}

SETS: dict[str, set[str]] = {
    FIREWALL: {"tags", "inboundRules", "outboundRules"},
    DROPLET: {"sshKeys", "tags"},
    VOLUME: {"tags"},
    MONITOR_ALERT: {"tags"},
    UPTIME_CHECK: {"regions"},
    PROJECT_RESOURCES: {"resources"},
}

EXAMPLES: Mapping[Kind, Any] = {
    Kind.STRING: "x",
    Kind.INTEGER: 1,
    Kind.NUMBER: 1,
    Kind.BOOLEAN: True,
    Kind.LIST: ["x"],
    Kind.MAP: {"x": "y"},
}
PYTHON: Mapping[Kind, type | tuple[type, ...]] = {
    Kind.STRING: str,
    Kind.INTEGER: int,
    Kind.NUMBER: (int, float),
    Kind.BOOLEAN: bool,
    Kind.LIST: list,
    Kind.MAP: dict,
    Kind.ANY: object,
}

every_type = pytest.mark.parametrize("handler", HANDLERS.values(), ids=lambda handler: handler.type_name)


def official(type_name: str) -> dict[str, official_sdk.Typed]:
    """List the SDK's inputs, but for what is inside a refused one."""
    listed = official_sdk.flat(official_sdk.inputs(type_name))
    inside = tuple(f"{path}." for path in REFUSED.get(type_name, set()))
    return {path: typed for path, typed in listed.items() if not path.startswith(inside)}


def test_each_table_speaks_of_types_that_are_implemented() -> None:
    assert set(REPLACES) == set(HANDLERS) == set(official_sdk.RESOURCES)
    for table in (REFUSED, STRICTER, DEFAULTS, SETS):
        assert set(table) <= set(HANDLERS)


@every_type
def test_each_input_of_the_sdk_is_implemented_or_refused_and_there_are_no_others(handler: Handler[Any]) -> None:
    ours, refused = set(implemented(handler.type_name)), REFUSED.get(handler.type_name, set())
    assert ours | refused == set(official(handler.type_name))


@every_type
def test_inputs_have_the_types_of_the_sdk(handler: Handler[Any]) -> None:
    sdk = official(handler.type_name)
    ours = flat(handler.properties)
    assert {path: schema.kind for path, schema in ours.items()} == {path: sdk[path].kind for path in ours}


@every_type
def test_elements_of_lists_have_the_types_of_the_sdk(handler: Handler[Any]) -> None:
    for path, typed in official(handler.type_name).items():
        if path in implemented(handler.type_name) and typed.element is Kind.STRING:
            ((found, _),) = refusals(handler, path, [1.5])
            assert found.endswith(path.rpartition(".")[2])


@every_type
def test_what_the_sdk_requires_is_required_and_what_else_is_has_a_reason(handler: Handler[Any]) -> None:
    required = {path for path, typed in official(handler.type_name).items() if typed.required}
    ours = {path for path, schema in implemented(handler.type_name).items() if schema.required}
    assert ours == required | STRICTER.get(handler.type_name, set())


@pytest.mark.parametrize(("type_name", "path"), [(name, path) for name in REFUSED for path in sorted(REFUSED[name])])
def test_a_refused_input_fails_with_its_name(type_name: str, path: str) -> None:
    ((found, reason),) = refusals(HANDLERS[type_name], path, EXAMPLES[official(type_name)[path].kind])
    name = path.rpartition(".")[2]
    assert found.endswith(name)
    assert name in reason


def refusals(handler: Handler[Any], path: str, value: Any) -> list[tuple[str, str]]:
    """Check inputs that are good, but for one value at a path such as `connection.proxy.password`."""
    inputs = _put(VALID[handler.type_name], path.split("."), value, handler.properties)
    return [(failure.property, failure.reason) for failure in check_properties(handler.properties, inputs)]


def _put(good: Any, path: list[str], value: Any, properties: Mapping[str, Property]) -> dict[str, Any]:
    name, *rest = path
    if not rest:
        return {**good, name: value}
    inside = properties[name].items or {}
    current = good.get(name)
    if properties[name].kind is Kind.LIST:
        return {**good, name: [_put((current or [{"protocol": "tcp"}])[0], rest, value, inside)]}
    return {**good, name: _put(current, rest, value, inside)}


@every_type
def test_a_change_replaces_where_it_does_with_the_official_provider(handler: Handler[Any]) -> None:
    changed = compare(handler.properties, {}, dict.fromkeys(handler.properties, UNKNOWN))
    assert {change.property for change in changed} == set(handler.properties)
    assert {change.property for change in changed if change.replace} == REPLACES[handler.type_name]


def test_only_certificates_and_commands_are_made_before_the_old_one_goes() -> None:
    made_first = {name for name, handler in HANDLERS.items() if not handler.delete_before_replace}
    assert made_first == {COMMAND, ORIGIN_CA, PULLS_CERTIFICATE}


@every_type
def test_defaults_and_sets_are_those_of_the_official_provider(handler: Handler[Any]) -> None:
    defaults = {name: schema.default for name, schema in handler.properties.items() if schema.default is not None}
    assert defaults == DEFAULTS.get(handler.type_name, {})
    sets = {name for name, schema in handler.properties.items() if schema.unordered}
    assert sets == SETS.get(handler.type_name, set())


async def test_every_output_the_sdk_promises_is_answered_and_has_its_type(config: CloudConfig) -> None:
    ids: dict[str, str] = {}
    for name in (
        VPC,
        TAG,
        SSH_KEY,
        FIREWALL,
        DROPLET,
        VOLUME,
        VOLUME_ATTACHMENT,
        RESERVED_IP,
        ASSIGNMENT,
        MONITOR_ALERT,
        UPTIME_CHECK,
        UPTIME_ALERT,
        PROJECT,
        PROJECT_RESOURCES,
        DNS,
        ORIGIN_CA,
        PULLS_CERTIFICATE,
        PULLS_SETTINGS,
        ZONE_SETTING,
        COMMAND,
    ):
        links: dict[str, Any] = {"checkId": ids.get(UPTIME_CHECK), "project": ids.get(PROJECT)}
        if DROPLET in ids:
            links |= {"dropletId": int(ids[DROPLET]), "volumeId": ids.get(VOLUME), "ipAddress": ids.get(RESERVED_IP)}
        elif SSH_KEY in ids:
            links |= {"vpcUuid": ids[VPC], "sshKeys": [ids[SSH_KEY]]}
        inputs = {key: links.get(key, value) for key, value in VALID[name].items()}
        job = Job(
            urn=name, name="one", backend=backend(name.partition(":")[0], config), config=config, progress=_ignore
        )
        created = await HANDLERS[name].create(job, inputs)
        ids[name] = created.id
        sdk = official_sdk.outputs(name)
        state = {**inputs, **created.outputs}
        found = await HANDLERS[name].read(job, created.id, inputs, state)
        assert found is not None
        for answer in (state, {**found.inputs, **found.outputs}):
            assert set(answer) <= set(sdk), name
            assert {key for key, typed in sdk.items() if typed.required} <= set(answer), name
            for key, value in answer.items():
                assert isinstance(value, PYTHON[sdk[key].kind]), (name, key)
                assert sdk[key].kind is Kind.BOOLEAN or not isinstance(value, bool), (name, key)


async def _ignore(line: str) -> None:
    del line


def test_every_size_is_one_of_the_real_cloud() -> None:
    assert set(rules.SIZES) <= {slug.value for slug in digitalocean.DropletSlug}


@pytest.mark.parametrize(
    ("type_name", "name", "words"),
    [
        (DROPLET, "size", "You specified an invalid size for Droplet creation"),
        (DROPLET, "image", "You specified an invalid image for Droplet creation"),
        (DROPLET, "region", "You specified an invalid region for Droplet creation"),
        (VOLUME, "region", "Storage is not supported for this region"),
    ],
)
def test_a_value_the_real_cloud_refuses_is_refused_in_its_words(type_name: str, name: str, words: str) -> None:
    ((found, reason),) = refusals(HANDLERS[type_name], name, "mars1")
    assert found == name
    assert reason.startswith(f"{words}: 'mars1' (")


def test_the_table_of_the_readme_is_the_implemented_one() -> None:
    assert type_table.README.read_text() == type_table.written(), "python -m localcloud.tests.type_table"
