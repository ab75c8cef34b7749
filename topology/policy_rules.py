"""The rules that every stack is judged by: one table for the policy pack, for plan analysis and for the docs.

A rule is checked where its facts are first known. *settings*: files of this repository and of the stack, before any
resource is declared. *pack*: what resources are declared with, by CrossGuard, at preview and again before each create.
*plan*: the steps that the engine would take, by `basec` after preview.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Place = Literal["settings", "pack", "plan"]
MANDATORY, ADVISORY = "mandatory", "advisory"


@dataclass(frozen=True, kw_only=True)
class RuleSpec:
    """One rule. `advice` is the part of a mandatory rule that only warns; empty for most."""

    id: str
    title: str
    where: tuple[Place, ...]
    severity: str
    """`mandatory` stops preview and `up`, `advisory` is shown."""
    why: str
    fix: str
    source: str = ""
    """Where others ask for the same: identifiers of checkov (CKV_*), trivy (DIG-*), CIS Docker 1.6, or a document."""
    advice: str = ""

    @property
    def name(self) -> str:
        """Return id and title: the id alone means little in a log."""
        return f"{self.id} {self.title}"


def _rule(number: int, title: str, where: tuple[Place, ...], severity: str, **texts: str) -> RuleSpec:
    return RuleSpec(id=f"BC{number:02d}", title=title, where=where, severity=severity, **texts)


_TABLE = (
    _rule(
        1,
        "no firewall admits the internet, except for the edge's SSH and Cloudflare's ranges",
        ("pack",),
        MANDATORY,
        why="A port that is open to the world is attacked within minutes. Only the edge is public: 22 from the stack's "
        "`ssh.sources`, 80 and 443 from its `cloudflare.ranges`, nothing over IPv6.",
        fix="write the rule into the table `firewall` of inventory.yaml with the sources `ssh_sources`, `cloudflare` "
        "or a droplet",
        source="DIG-0001, CKV_DIO_4",
    ),
    _rule(
        2,
        "exactly one firewall covers each droplet, and is made before it",
        ("pack",),
        MANDATORY,
        why="A droplet is born without a firewall. If two firewalls cover it, traffic that either allows gets in.",
        fix="key the firewall on the droplet's own tag and let the droplet depend on it, as "
        "components/cloud_firewall.py does",
        source="https://docs.digitalocean.com/products/networking/firewalls/",
    ),
    _rule(
        3,
        "only the edge accepts from outside the VPC; the others from named peers on the ports of the table",
        ("pack",),
        MANDATORY,
        why="Databases and applications have no business with anybody but their peers; a range of the VPC would let "
        "every neighbour in.",
        fix="use `source_tags` of the peers, as the table `firewall` of inventory.yaml names them",
    ),
    _rule(
        4,
        "egress goes only to DNS, web, NTP and the VPC",
        ("pack",),
        ADVISORY,
        why="Limited egress limits what an intruder can reach. Droplets need only 53, 80, 443, 123 and the VPC.",
        fix="narrow the table `egress` of inventory.yaml",
        source="DIG-0003",
    ),
    _rule(
        5,
        "a droplet has SSH keys and the stack's VPC from birth, and no IPv6",
        ("pack",),
        MANDATORY,
        why="Without a key DigitalOcean mails a root password; without a VPC the droplet lands in the default one, "
        "beside everything else of the account; the rule table is IPv4.",
        fix="pass `ssh_keys` and `vpc_uuid`, and leave `ipv6` off",
        source="DIG-0004, CKV_DIO_2",
    ),
    _rule(
        6,
        "images, sizes and regions are those of the inventory, and the price is below its ceiling",
        ("settings", "pack"),
        MANDATORY,
        why="User data is written for one image, budgets for known sizes, and volumes and addresses work in one region "
        "only. The ceiling is checked with the settings, before the engine is started.",
        fix="choose from `images`, `sizes` and `regions` of inventory.yaml, or add to them there",
    ),
    _rule(
        7,
        "droplets, volumes, buckets and reserved IPs of a cloud stack are protected, and replaced only if allowed",
        ("pack", "plan"),
        MANDATORY,
        why="They hold data or an address that the world knows. `protect` stops a delete; a replacement is found in "
        "the plan. A local stack is there to be thrown away.",
        fix="set `protect: true` in the stack's settings",
    ),
    _rule(
        8,
        "user data is the frozen template, secret, small, and holds no secret but the host key",
        ("pack",),
        MANDATORY,
        why="It can be read on the droplet for ever, and DigitalOcean takes 64 KiB. Any other text was never "
        "tested. A droplet keeps the template that it was born from.",
        fix="change cloud-init/*.j2, and pass secrets over SSH by standard input",
        source="https://docs.digitalocean.com/reference/api/digitalocean/",
    ),
    _rule(
        9,
        "a Spaces bucket is private, versioned, has a lifecycle and is not destroyed with its content",
        ("pack",),
        MANDATORY,
        why="Backups are all that is left after a break-in: versions undo what an intruder deletes, a lifecycle bounds "
        "their price.",
        fix="set `acl` to private, `versioning` to enabled, a rule in `lifecycle_rules`, and no `force_destroy`",
        source="CKV_DIO_1, CKV_DIO_3, DIG-0006, DIG-0007, DIG-0009",
    ),
    _rule(
        10,
        "droplets are monitored",
        ("pack",),
        MANDATORY,
        why="The agent must be there from birth (adding it later replaces the droplet), and figures without an alert "
        "help nobody.",
        fix="set `monitoring=True`; declare a MonitorAlert for cpu, memory and disk by the droplet's tag, and an "
        "UptimeCheck with an UptimeAlert",
        advice="alerts for cpu, memory and disk cover each droplet, and an uptime check has an alert",
    ),
    _rule(
        11,
        "names lead to Cloudflare, never to a droplet",
        ("pack",),
        MANDATORY,
        why="A record that is not proxied shows the origin's address to anyone who asks, and traffic then goes around "
        "Cloudflare.",
        fix="set `proxied=True`, and let the content be the reserved address of the edge",
    ),
    _rule(
        12,
        "the zone is strict: certificate checked, TLS 1.2 or newer, https always, our own client certificate",
        ("pack",),
        MANDATORY,
        why="With `flexible`, passwords travel in clear from Cloudflare to the edge; without origin pulls by our own "
        "certificate, anyone with a Cloudflare account can aim a zone at the edge. A local stack may be flexible: "
        "nothing of it leaves the machine.",
        fix="set `cloudflare.ssl: strict` in the stack's settings",
        source="https://developers.cloudflare.com/ssl/origin-configuration/authenticated-origin-pull/",
    ),
    _rule(
        13,
        "no name is deeper than its certificate covers",
        ("pack",),
        MANDATORY,
        why="The certificate covers the domain and one level below it; a browser refuses what is deeper.",
        fix="use <name>.<domain>, or give the environment a domain of its own",
        source="https://developers.cloudflare.com/ssl/edge-certificates/universal-ssl/limitations/",
    ),
    _rule(
        14,
        "remote commands check host keys, log in as the stack's user, and reach all but the edge through it",
        ("pack",),
        MANDATORY,
        why="Without `host_key` the provider talks to whoever answers and hands over every secret; root cannot log in; "
        "only the edge has a way in.",
        fix="declare commands with `command` of components/remote.py, which builds the connection",
        source="https://github.com/pulumi/pulumi-command/pull/794",
    ),
    _rule(
        15,
        "commands log nothing, keep their output secret and undo nothing",
        ("pack",),
        MANDATORY,
        why="Output not marked secret is stored unencrypted. sshd ignores `environment` without AcceptEnv. A `delete` "
        "runs after the replacement is created, and removes it.",
        fix="declare commands with `command` of components/remote.py",
        source="https://github.com/pulumi/pulumi-command/issues/189",
    ),
    _rule(
        16,
        "the text of a command holds no secret, pipes nothing from the network into a shell and stops at an error",
        ("pack",),
        MANDATORY,
        why="The text is in argv, in state and in the message of a failure.",
        fix="pass secrets by `stdin`, install packages from Debian, and write `set -euo pipefail` on a line of its own",
    ),
    _rule(
        17,
        "containers run fixed images, and publish ports of the rule table on private addresses only",
        ("settings",),
        MANDATORY,
        why="A tag that moves changes without a commit, and a droplet never pulls a name twice; PostgreSQL's files are "
        "of one major version; a published port goes around UFW, and one below 1024 is the edge's or the host's.",
        fix="pin the image in versions.yaml or the settings, write `${PRIVATE_ADDRESS:?}:` before the port, and put "
        "the port into inventory.yaml",
        source="CIS Docker 1.6: 5.8, 5.9, 5.14",
    ),
    _rule(
        18,
        "containers have no privileges, have limits and a health check, and restart",
        ("settings",),
        MANDATORY,
        why="A service that is taken over or runs wild must not take the droplet with it: limits, no capabilities, no "
        "root, no Docker socket, read-only files. The memory limits of all that may run during a release are together "
        "at most 80 % of the droplet's: both colours of a service count, since they run side by side while one takes "
        "over. Keys, security options and sources of mounts are those of a list: `include` and `extends` are not on "
        "it, as nothing would check what another file brings.",
        fix="start from the anchor `x-service` of the tier's compose.yaml",
        source="CIS Docker 1.6: 5.x",
    ),
    _rule(
        19,
        "secrets are encrypted, long enough, not examples, and not shared between environments",
        ("settings",),
        MANDATORY,
        why="What git tracks it tracks for ever: the stack's file, where `settings` alone is in clear, compose files "
        "with their environment and commands, and keys or tokens in any other file. Shared means copied from one file "
        "to the other: one token that was typed into both is encrypted twice, and nobody can see that.",
        fix="`basec init --env NAME` makes secrets and writes them encrypted; a secret that was tracked in clear must "
        "be replaced",
    ),
    _rule(
        20,
        "names and tags contain project and stack, providers are pinned, and production is destroyed only if allowed",
        ("pack", "plan"),
        MANDATORY,
        why="Stacks share accounts: a name without its stack is taken for another's. An unpinned provider changes "
        "what the same program does. A destroy is found in the plan.",
        fix="name things by `Project.physical_name` and `Project.tags`; pin the SDK in requirements.txt",
    ),
    _rule(
        21,
        "operators can log in on every droplet",
        ("pack",),
        MANDATORY,
        why="A firewall without its SSH rule locks everybody out, `up` and `status` among them: the edge admits port "
        "22 from `ssh.sources`, each other droplet from the edge.",
        fix="put the droplet's rule for port 22 back into the table `firewall` of inventory.yaml",
    ),
    _rule(
        22,
        "servers and hosts authenticate clients, and keep what they have confirmed",
        ("settings",),
        MANDATORY,
        why="One word in a server's file can undo the rest: a client certificate that is optional, `trust`, a Redis "
        "without users, a visitor's address taken from anybody, passwords for SSH, `fsync = off`. Checked by value in "
        "the files as they would be shipped, with what they include and what the command line adds.",
        fix="correct that line; git log -p shows the edit",
        source="CIS PostgreSQL 17: 3.x, 6.x; CIS Docker 1.6: 2.x; https://redis.io/docs/latest/operate/oss_and_stack/"
        "management/security/",
    ),
    _rule(
        23,
        "no two tracked stacks share a domain, a zone or a network",
        ("settings",),
        MANDATORY,
        why="Two stacks that set the records of one zone take the shop from each other with every `up`; two networks "
        "of one range cannot be told apart in one account.",
        fix="give the stack its own values in its settings",
    ),
)

RULES: Mapping[str, RuleSpec] = {spec.id: spec for spec in _TABLE}
"""By id, in order."""


@dataclass(frozen=True, kw_only=True)
class Violation:
    """One thing that breaks one rule, in the form in which people read it. No text ever holds a secret's value."""

    rule: RuleSpec
    resource: str
    """As people know it, e.g. `edge-droplet (Droplet)` or `compose/edge/compose.yaml: services.nginx`."""
    found: str
    wanted: str
    fix: str = ""
    """The rule's own fix, unless this case has a better one."""
    advisory: bool = False
    """Whether this warns only, though its rule is mandatory."""

    @property
    def severity(self) -> str:
        return ADVISORY if self.advisory else self.rule.severity

    def details(self) -> str:
        """Return the four lines below the rule's name."""
        fix = self.fix or self.rule.fix
        return f"resource: {self.resource}\nfound: {self.found}\nwanted: {self.wanted}\nfix: {fix}"

    def render(self) -> str:
        """Return the whole block."""
        return self.rule.name + "".join(f"\n  {line}" for line in self.details().splitlines())
