"""The packet filter of the droplets: the rule table compared with the kernel.

Read from the kernel (`iptables-save`), not from UFW's files: the kernel decides. The chains are those that
`components/scripts/apply-firewall.sh` writes. The cloud firewall, outside the droplets, is not asked: `basec preview`
compares the program with Pulumi's state, and does not ask the provider.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from basec.hosts.agent import ensure_key
from basec.hosts.facts import Facts, HostFacts
from basec.hosts.remote import run_script
from basec.session import Session
from topology.errors import RemoteError
from topology.firewall import ANYWHERE, docker_user_rules, rule_table, ufw_rules
from topology.project import Project

PROBE = """set -euo pipefail
iptables-save --table filter |
  grep -E '^:INPUT |^-A (FORWARD|ufw-before-input|ufw-user-(input|forward|output)|DOCKER-USER) '
echo '== 6'
ip6tables-save --table filter | grep -E '^:INPUT |^-A ufw6-user-(input|forward|output) '
"""
TIMEOUT_S = 45
APPLY_TIMEOUT_S = 180

_UFW = re.compile(
    r"-A ufw-user-input (?:-s (?P<source>\S+) )?-p (?P<protocol>tcp|udp)"
    r" -m (?:tcp --dport|udp --dport|multiport --dports) (?P<port>\S+) -j (?P<verdict>ACCEPT|DROP)"
)
_DOCKER = re.compile(
    r"-A DOCKER-USER (?:-s (?P<source>\S+) )?-p (?P<protocol>tcp|udp) -m conntrack --ctstate DNAT"
    r" (?:--ctorigdst (?P<target>\S+) )?--ctorigdstport (?P<port>\S+) --ctdir ORIGINAL -j RETURN"
)
OWN_RULES = re.compile(r"(?:== 6 )?-A ufw6?-user-(?:input|forward|output) ")
"""Where UFW puts the rules that users added; its other chains are the same on every machine."""
_FRAME = {
    ":INPUT DROP": "what no rule names is dropped",
    "-A FORWARD -j DOCKER-USER": "Docker's traffic passes our chain",
    "-A ufw-before-input -j ufw-user-input": "UFW is on",
    "-A DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN": "answers to containers pass",
    "-A DOCKER-USER -i docker0 -j RETURN": "containers may begin connections",
    "-A DOCKER-USER -i br-+ -j RETURN": "containers may begin connections (br-)",
    "-A DOCKER-USER -i bc-+ -j RETURN": "containers may begin connections (bc-)",
    "-A DOCKER-USER -j DROP": "what no rule names does not reach a container",
    "== 6 :INPUT DROP": "IPv6: what no rule names is dropped",
}
"""The lines that hold the rules in place, the same on every droplet, and the purpose of each."""


@dataclass(frozen=True, kw_only=True)
class RuleLine:
    """One rule of one host: `state` is same, missing or extra."""

    host: str
    chain: str
    """`ufw` for the machine's own ports, `docker` for published ones, `frame` for the lines that hold both."""
    rule: str
    state: str

    def as_dict(self) -> dict[str, str]:
        """Return the shape of `--json`."""
        return {"host": self.host, "chain": self.chain, "rule": self.rule, "state": self.state}


def declared(project: Project, host: str, addresses: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return (chain, rule) as text, in the table's order; `addresses` are the private ones of all hosts."""
    rules = []
    for kind, *words in (line.split() for line in _table(project, host, addresses).splitlines()):
        if kind == "ufw":
            action, protocol, port, source, _name = words
            rules.append(("ufw", f"{action} {protocol} {port} from {source}"))
        else:
            protocol, port, source, target = words
            rules.append(("docker", _docker_words(protocol, port, source, "" if target == "any" else target)))
    return [*rules, *(("frame", why) for why in _FRAME.values())]


def _table(project: Project, host: str, addresses: Mapping[str, str]) -> str:
    """Return the table that `apply-firewall.sh` reads."""
    machine, containers = ufw_rules(project, host, addresses), docker_user_rules(project, host, addresses)
    return rule_table(machine, containers, addresses, host)


def found(output: str) -> list[tuple[str, str]]:
    """Read what `PROBE` printed, in the kernel's order; a rule of unknown form is returned unchanged."""
    rules, closed = [], False
    four, _, six = output.partition("== 6\n")
    for line in four.splitlines():
        if line.startswith("-A DOCKER-USER"):
            if closed:  # no packet gets this far
                continue
            closed = line == "-A DOCKER-USER -j DROP"
        rules.append(_read(line))
    rules += [_read(f"== 6 {line}") for line in six.splitlines()]
    return [rule for rule in rules if rule]


def _read(line: str) -> tuple[str, str] | tuple[()]:
    text = re.sub(r" \[\d+:\d+\]$", "", line)
    if text in _FRAME:
        return ("frame", _FRAME[text])
    if rule := _UFW.fullmatch(text):
        action = "allow" if rule["verdict"] == "ACCEPT" else "deny"
        return ("ufw", f"{action} {rule['protocol']} {rule['port']} from {rule['source'] or ANYWHERE}")
    if rule := _DOCKER.fullmatch(text):
        words = _docker_words(rule["protocol"], rule["port"], rule["source"] or ANYWHERE, rule["target"] or "")
        return ("docker", words)
    if OWN_RULES.match(text):
        return ("ufw", text)
    if text.startswith("-A DOCKER-USER "):
        return ("docker", text)
    return ()  # Docker's and UFW's own business


def _docker_words(protocol: str, port: str, source: str, target: str) -> str:
    return f"allow {protocol} {port} from {source}" + (f" to {target}" if target else "")


def compare(host: str, wanted: Sequence[tuple[str, str]], has: Sequence[tuple[str, str]]) -> list[RuleLine]:
    """Compare in the table's order; extra rules come last. A `deny` below the `allow` that it must stop is missing."""
    lines = []
    for chain, rule in wanted:
        present = (chain, rule) in has and not _too_late(rule, has)
        lines.append(RuleLine(host=host, chain=chain, rule=rule, state="same" if present else "missing"))
    lines += [RuleLine(host=host, chain=c, rule=r, state="extra") for c, r in has if (c, r) not in wanted]
    return lines


def _too_late(rule: str, has: Sequence[tuple[str, str]]) -> bool:
    """Return whether a `deny` is below an `allow` of the same port, so that UFW never reaches it."""
    if not rule.startswith("deny "):
        return False
    port = rule.removeprefix("deny ").split(" from ")[0]
    same_port = [words for chain, words in has if chain == "ufw" and f" {port} from " in f" {words}"]
    return not same_port[0].startswith("deny ")


def apply(session: Session, facts: Facts, host: HostFacts) -> str:
    """Make the host's rules equal to the table, as `up` does after a change of it; return the script's output.

    Raises RemoteError. Safe to repeat, and nothing is open in between.
    """
    addresses = {known.name: known.private_ip for known in facts.hosts.values()}
    table = _table(session.project, host.name, addresses)
    scripts = session.environment.root / "components/scripts"
    body = "".join((scripts / script).read_text() for script in ("lib.sh", "apply-firewall.sh"))
    script = f"exec bash -c {shlex.quote(body)} apply-firewall <<'TABLE'\n{table}TABLE\n"
    return run_script(session, host.name, script, timeout_s=APPLY_TIMEOUT_S).strip()


def status(session: Session, facts: Facts, hosts: Sequence[HostFacts]) -> tuple[list[RuleLine], list[RemoteError]]:
    """Compare the hosts in parallel; the second list has the reason for each host that does not answer."""
    project = session.project
    addresses = {host.name: host.private_ip for host in facts.hosts.values()}

    def one(host: HostFacts) -> list[RuleLine] | RemoteError:
        try:
            output = run_script(session, host.name, PROBE, timeout_s=TIMEOUT_S)
        except RemoteError as error:
            return error
        return compare(host.name, declared(project, host.name, addresses), found(output))

    ensure_key(session)  # once, before the threads would all start an agent
    with ThreadPoolExecutor(max_workers=len(hosts)) as pool:
        answers = list(pool.map(one, hosts))
    silent = [answer for answer in answers if isinstance(answer, RemoteError)]
    return [line for answer in answers if not isinstance(answer, RemoteError) for line in answer], silent
