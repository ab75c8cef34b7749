"""Values the real APIs refuse are refused by the local cloud, at preview, in their words."""

from __future__ import annotations

from typing import Any

import pytest

from localcloud.plugin import package
from localcloud.provider.schema import check_properties
from localcloud.provider.values import UNKNOWN
from localcloud.tests.certificate_support import forged_request, self_signed, signing_request
from localcloud.tests.sample_program import PUBLIC_KEY, ZONE

DO = "digitalocean:index"
RULE = {"protocol": "tcp", "portRange": "22", "sourceAddresses": ["198.51.100.2/32"]}
HOP = {"host": "198.51.100.24", "privateKey": "key", "hostKey": PUBLIC_KEY}

CF = "cloudflare:index"
ORIGIN_CA = f"{CF}/originCaCertificate:OriginCaCertificate"
PULLS_CERTIFICATE = f"{CF}/authenticatedOriginPullsCertificate:AuthenticatedOriginPullsCertificate"
PULLS_SETTINGS = f"{CF}/authenticatedOriginPullsSettings:AuthenticatedOriginPullsSettings"
ZONE_SETTING = f"{CF}/zoneSetting:ZoneSetting"
CLIENT = self_signed("a client")

VALID: dict[str, dict[str, Any]] = {
    f"{DO}/vpc:Vpc": {"name": "net", "region": "nyc3", "ipRange": "10.77.1.0/24"},
    f"{DO}/tag:Tag": {"name": "stack:local"},
    f"{DO}/sshKey:SshKey": {"name": "login", "publicKey": PUBLIC_KEY},
    f"{DO}/firewall:Firewall": {"name": "edge", "tags": ["edge"], "inboundRules": [RULE]},
    f"{DO}/droplet:Droplet": {
        "name": "edge",
        "region": "nyc3",
        "size": "s-1vcpu-1gb",
        "image": "debian-13-x64",
        "vpcUuid": "8e8f1f0c-0d5f-4c38-9c3a-000000000000",
        "sshKeys": ["400000001"],
        "tags": ["edge"],
    },
    f"{DO}/volume:Volume": {"name": "data", "region": "nyc3", "size": 10},
    f"{DO}/volumeAttachment:VolumeAttachment": {"dropletId": 4, "volumeId": "v"},
    f"{DO}/reservedIp:ReservedIp": {"region": "nyc3"},
    f"{DO}/reservedIpAssignment:ReservedIpAssignment": {"dropletId": 4, "ipAddress": "198.51.100.24"},
    f"{DO}/monitorAlert:MonitorAlert": {
        "type": "v1/insights/droplet/cpu",
        "compare": "GreaterThan",
        "value": 80,
        "window": "5m",
        "description": "busy",
        "tags": ["edge"],
        "alerts": {"emails": ["ops@example.com"]},
    },
    f"{DO}/uptimeCheck:UptimeCheck": {
        "name": "health",
        "target": "https://example.com/health",
        "type": "https",
        "regions": ["us_east", "eu_west"],
    },
    f"{DO}/uptimeAlert:UptimeAlert": {
        "name": "slow",
        "checkId": "c",
        "type": "latency",
        "threshold": 500,
        "comparison": "greater_than",
        "period": "5m",
        "notifications": [{"emails": ["ops@example.com"]}],
    },
    f"{DO}/project:Project": {"name": "platform", "description": "shop", "environment": "Staging"},
    f"{DO}/projectResources:ProjectResources": {
        "project": "p",
        "resources": ["do:droplet:400000002", "do:volume:8e8f1f0c-0d5f-4c38-9c3a-000000000000"],
    },
    "cloudflare:index/dnsRecord:DnsRecord": {
        "zoneId": ZONE,
        "name": "*.example.com",
        "type": "A",
        "content": "198.51.100.24",
        "ttl": 1,
        "proxied": True,
    },
    ORIGIN_CA: {
        "csr": signing_request(),
        "hostnames": ["example.com", "*.example.com", "localhost", "*.localhost"],
        "requestType": "origin-ecc",
        "requestedValidity": 365,
    },
    PULLS_CERTIFICATE: {"zoneId": ZONE, "certificate": CLIENT.certificate, "privateKey": CLIENT.key},
    PULLS_SETTINGS: {"zoneId": ZONE, "enabled": True},
    ZONE_SETTING: {"zoneId": ZONE, "settingId": "ssl", "value": "strict"},
    "command:remote:Command": {"connection": {**HOP, "proxy": HOP}, "create": "true", "logging": "none"},
}

REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    (f"{DO}/vpc:Vpc", {"ipRange": "10.77.1.0/15"}, "ipRange", "not valid CIDR"),
    (f"{DO}/vpc:Vpc", {"ipRange": "10.0.0.0/15"}, "ipRange", "between /16 and /28"),
    (f"{DO}/vpc:Vpc", {"ipRange": "10.77.1.0/29"}, "ipRange", "between /16 and /28"),
    (f"{DO}/vpc:Vpc", {"ipRange": "10.244.4.0/24"}, "ipRange", "overlaps 10.244.0.0/16"),
    (f"{DO}/vpc:Vpc", {"ipRange": "8.8.8.0/24"}, "ipRange", "not a private one"),
    (f"{DO}/vpc:Vpc", {"region": "mars1"}, "region", "The region is invalid: 'mars1'"),
    (f"{DO}/vpc:Vpc", {"name": "under_score"}, "name", "Only valid hostname characters are allowed"),
    (f"{DO}/vpc:Vpc", {"name": None}, "name", "missing required property"),
    (f"{DO}/tag:Tag", {"name": "Upper"}, "name", "lower-case letters"),
    (f"{DO}/tag:Tag", {"name": "a b"}, "name", "Tag name 'a b' is invalid"),
    (f"{DO}/sshKey:SshKey", {"publicKey": "ssh-ed25519 AAAA"}, "publicKey", "Key invalid"),
    (f"{DO}/firewall:Firewall", {"tags": ["Bad"]}, "tags", "lower-case"),
    (f"{DO}/firewall:Firewall", {"dropletIds": [1]}, "dropletIds", "does not implement the property"),
    (f"{DO}/firewall:Firewall", {"inboundRules": [{**RULE, "portRange": "0"}]}, "inboundRules[0].portRange", "1-65535"),
    (f"{DO}/firewall:Firewall", {"inboundRules": [{**RULE, "portRange": "9-1"}]}, "inboundRules[0].portRange", "range"),
    (
        f"{DO}/firewall:Firewall",
        {"inboundRules": [{**RULE, "portRange": "70000"}]},
        "inboundRules[0].portRange",
        "65535",
    ),
    (f"{DO}/firewall:Firewall", {"inboundRules": [{"protocol": "tcp"}]}, "inboundRules[0].portRange", "is required"),
    (f"{DO}/firewall:Firewall", {"inboundRules": [{**RULE, "protocol": "icmp"}]}, "inboundRules[0].portRange", "icmp"),
    (f"{DO}/firewall:Firewall", {"inboundRules": [{**RULE, "protocol": "ip"}]}, "inboundRules[0].protocol", "one of"),
    (
        f"{DO}/firewall:Firewall",
        {"inboundRules": [{**RULE, "sourceAddresses": ["10.0.0.1/8"]}]},
        "inboundRules[0].sourceAddresses",
        "valid IP address or CIDR",
    ),
    (f"{DO}/droplet:Droplet", {"size": "huge"}, "size", "invalid size for Droplet creation: 'huge'"),
    (f"{DO}/droplet:Droplet", {"image": "debian-6"}, "image", "invalid image for Droplet creation: 'debian-6'"),
    (f"{DO}/droplet:Droplet", {"tags": ["ROLE"]}, "tags", "lower-case"),
    (f"{DO}/droplet:Droplet", {"sshKeys": ["aa:bb"]}, "sshKeys", "invalid key identifiers"),
    (f"{DO}/droplet:Droplet", {"publicNetworking": False}, "publicNetworking", "does not implement False"),
    (f"{DO}/droplet:Droplet", {"ipv6": True}, "ipv6", "does not implement True"),
    (f"{DO}/droplet:Droplet", {"monitoring": "yes"}, "monitoring", "expected type boolean, got a string"),
    (f"{DO}/droplet:Droplet", {"vpcUuid": None}, "vpcUuid", "missing required property"),
    (f"{DO}/volume:Volume", {"size": 0}, "size", "between 1GB and 16384GB"),
    (f"{DO}/volume:Volume", {"size": 1.5}, "size", "expected type integer"),
    (f"{DO}/volume:Volume", {"name": "Data"}, "name", "lower-case"),
    (f"{DO}/volumeAttachment:VolumeAttachment", {"dropletId": "4"}, "dropletId", "expected type integer, got a string"),
    (f"{DO}/reservedIp:ReservedIp", {"dropletId": 4}, "dropletId", "does not implement the property"),
    (
        f"{DO}/monitorAlert:MonitorAlert",
        {"type": "cpu"},
        "type",
        "expected type to be one of [v1/insights/droplet/load_1",
    ),
    (f"{DO}/monitorAlert:MonitorAlert", {"compare": ">"}, "compare", "one of [GreaterThan LessThan], got >"),
    (f"{DO}/monitorAlert:MonitorAlert", {"window": "2m"}, "window", "one of [5m 10m 30m 1h], got 2m"),
    (f"{DO}/monitorAlert:MonitorAlert", {"value": -1}, "value", "at least (0.000000), got -1"),
    (f"{DO}/monitorAlert:MonitorAlert", {"tags": None}, "tags", "missing required property"),
    (f"{DO}/monitorAlert:MonitorAlert", {"alerts": {"emails": ["ops"]}}, "alerts.emails", "invalid email 'ops'"),
    (f"{DO}/monitorAlert:MonitorAlert", {"entities": ["4"]}, "entities", "does not implement the property"),
    (f"{DO}/uptimeCheck:UptimeCheck", {"type": "tcp"}, "type", "one of [ping http https], got tcp"),
    (f"{DO}/uptimeCheck:UptimeCheck", {"regions": ["mars"]}, "regions", "one of [us_east us_west eu_west se_asia]"),
    (f"{DO}/uptimeAlert:UptimeAlert", {"type": "slow"}, "type", "one of [latency down down_global ssl_expiry]"),
    (f"{DO}/uptimeAlert:UptimeAlert", {"period": "1m"}, "period", "one of [2m 3m 5m 10m 15m 30m 1h], got 1m"),
    (f"{DO}/uptimeAlert:UptimeAlert", {"comparison": ">"}, "comparison", "one of [greater_than less_than], got >"),
    (f"{DO}/uptimeAlert:UptimeAlert", {"threshold": None}, "threshold", "a threshold in ms is required"),
    (f"{DO}/uptimeAlert:UptimeAlert", {"notifications": []}, "notifications", "expected one element"),
    (
        f"{DO}/uptimeAlert:UptimeAlert",
        {"notifications": [{"emails": ["a b@example.com"]}]},
        "notifications[0].emails",
        "invalid email",
    ),
    (f"{DO}/project:Project", {"name": ""}, "name", "expected length of name to be in the range (1 - 175)"),
    (f"{DO}/project:Project", {"environment": "test"}, "environment", "one of [Development Staging Production]"),
    (f"{DO}/project:Project", {"isDefault": True}, "isDefault", "does not implement True"),
    (
        f"{DO}/projectResources:ProjectResources",
        {"resources": ["do:reservedip:198.51.100.24"]},
        "resources",
        "Cannot move a Reserved IP with an associated droplet",
    ),
    (f"{DO}/projectResources:ProjectResources", {"resources": ["do:vpc:1"]}, "resources", "does not implement 'do:vpc"),
    ("cloudflare:index/dnsRecord:DnsRecord", {"name": "shop"}, "name", "is not a full, lower-case name"),
    ("cloudflare:index/dnsRecord:DnsRecord", {"name": "Shop.example.com"}, "name", "lower-case"),
    ("cloudflare:index/dnsRecord:DnsRecord", {"ttl": 300}, "ttl", "must be set to 1 when `proxied` is true, got 300"),
    ("cloudflare:index/dnsRecord:DnsRecord", {"ttl": 30, "proxied": False}, "ttl", "TTL must be between 60 and 86400"),
    ("cloudflare:index/dnsRecord:DnsRecord", {"content": "::1"}, "content", "valid IPv4 address. (9005)"),
    ("cloudflare:index/dnsRecord:DnsRecord", {"type": "MX"}, "type", "does not implement 'MX'"),
    ("cloudflare:index/dnsRecord:DnsRecord", {"zoneId": "example"}, "zoneId", "Could not route to /zones/example"),
    (ORIGIN_CA, {"csr": "text"}, "csr", "Failed to parse the certificate signing request"),
    (ORIGIN_CA, {"csr": forged_request()}, "csr", "is not signed by its own key"),
    (ORIGIN_CA, {"hostnames": ["*.*.example.com"]}, "hostnames", "requested hostname *.*.example.com: "),
    (ORIGIN_CA, {"hostnames": ["*.com"]}, "hostnames", "Failed to validate requested hostname *.com: "),
    (ORIGIN_CA, {"requestType": "keyless-certificate"}, "requestType", "does not implement 'keyless-certificate'"),
    (ORIGIN_CA, {"requestedValidity": 8}, "requestedValidity", "requested_validity value must be one of: ["),
    (PULLS_CERTIFICATE, {"certificate": "text"}, "certificate", "Failed to parse the certificate"),
    (PULLS_CERTIFICATE, {"privateKey": "text"}, "privateKey", "Failed to parse the private key"),
    (PULLS_CERTIFICATE, {"privateKey": self_signed("x").key}, "privateKey", "does not belong to the certificate"),
    (PULLS_SETTINGS, {"zoneId": "example"}, "zoneId", "Could not route to /zones/example"),
    (ZONE_SETTING, {"settingId": "polish"}, "settingId", "does not implement 'polish'"),
    (ZONE_SETTING, {"value": "half"}, "value", "Invalid value for zone setting ssl (1007): 'half'"),
    (ZONE_SETTING, {"enabled": True}, "enabled", "does not implement the property"),
    (ZONE_SETTING, {"settingId": "min_tls_version"}, "value", "zone setting min_tls_version (1007): 'strict'"),
    (ZONE_SETTING, {"settingId": "always_use_https", "value": True}, "value", "setting always_use_https (1007): True"),
    ("command:remote:Command", {"environment": {"A": "b"}}, "environment", "send values by `stdin`"),
    ("command:remote:Command", {"logging": None}, "logging", "missing required property"),
    ("command:remote:Command", {"logging": "stdout"}, "logging", "does not implement 'stdout'"),
    ("command:remote:Command", {"addPreviousOutputInEnv": True}, "addPreviousOutputInEnv", "does not implement True"),
    ("command:remote:Command", {"connection": {**HOP, "hostKey": None}}, "connection.hostKey", "missing required"),
    ("command:remote:Command", {"connection": {**HOP, "password": "x"}}, "connection.password", "does not implement"),
    (
        "command:remote:Command",
        {"connection": {**HOP, "proxy": {**HOP, "hostKey": None}}},
        "connection.proxy.hostKey",
        "missing required",
    ),
]


def failures(type_name: str, inputs: dict[str, Any], old: dict[str, Any] | None = None) -> list[tuple[str, str]]:
    handler = package(type_name.split(":", maxsplit=1)[0]).handler(type_name)
    found = list(check_properties(handler.properties, inputs)) or list(handler.check(inputs, old or {}))
    return [(failure.property, failure.reason) for failure in found]


@pytest.mark.parametrize("type_name", VALID)
def test_what_the_program_declares_is_accepted(type_name: str) -> None:
    assert failures(type_name, VALID[type_name]) == []


@pytest.mark.parametrize("type_name", VALID)
def test_unknown_values_are_accepted_everywhere(type_name: str) -> None:
    assert failures(type_name, dict.fromkeys(VALID[type_name], UNKNOWN)) == []


@pytest.mark.parametrize(("type_name", "change", "path", "words"), REFUSED)
def test_a_bad_value_is_refused_by_name(type_name: str, change: dict[str, Any], path: str, words: str) -> None:
    ((found_path, reason),) = failures(type_name, {**VALID[type_name], **change})
    assert found_path == path
    assert words in reason


def test_a_volume_cannot_shrink() -> None:
    valid = VALID[f"{DO}/volume:Volume"]
    assert failures(f"{DO}/volume:Volume", {**valid, "size": 5}, valid) == [
        ("size", "volumes `size` can only be expanded and not shrunk: 10 -> 5 GiB")
    ]


def test_no_key_or_password_is_in_a_refusal() -> None:
    secret = "secret-value-of-the-user"
    connection = {**HOP, "privateKey": 4, "hostKey": secret, "password": secret}
    reasons = failures("command:remote:Command", {"connection": connection, "logging": "none"})
    assert reasons
    assert secret not in str(reasons)
