"""Fleets without machines: how long a preview of 3, 10 and 30 droplets takes."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from bench.measure import Figure, in_turn, run, seconds
from bench.stack import ROOT, WORK, Stack
from topology.inventory import load_inventory

SIZES = (3, 10, 30)
PROMISES_S = {30: 15.0}
SHARED_VERTICAL = "construction"
"""The application of the repository's own inventory, whose folder each further vertical copies."""
DROPLET = {"size": "s-1vcpu-1gb", "image": "debian-13-x64"}
MONTHLY_LIMIT = re.compile(r"monthly_limit_usd: \d+")


def scale(stack: Stack) -> list[Figure]:
    """Preview fleets of 3, 10 and 30 droplets in dry mode: the real engine and all rules, no machine, no account."""
    fleets = {size: fleet_of(size, WORK / f"fleet-{size}") for size in SIZES}
    try:
        argv = stack.argv("preview", "--dry", "--env", "staging")
        found = in_turn(3, {str(size): partial(run, argv, cwd=root) for size, root in fleets.items()})
    finally:
        for root in fleets.values():
            shutil.rmtree(root)
    return [
        Figure(
            name=f"`basec preview --dry`, {size} droplets",
            samples=seconds(found[str(size)]),
            promise=PROMISES_S.get(size),
        )
        for size in SIZES
    ]


def fleet_of(size: int, root: Path) -> Path:
    """Clone the last commit and give it this many droplets: verticals and edges in turn beside the first three."""
    if root.exists():
        shutil.rmtree(root)
    subprocess.run(["git", "clone", "--quiet", ROOT, root], check=True)
    document = yaml.safe_load((root / "inventory.yaml").read_text())
    edges = list(load_inventory(root / "inventory.yaml").edges)
    for number in range(len(document["droplets"]), size):
        if number % 2:
            add_vertical(root, document, f"shop-{number}", edges)
        else:
            add_edge(document, f"edge-{number}", edges)
    (root / "inventory.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    settings = root / "Pulumi.staging.yaml"
    settings.write_text(MONTHLY_LIMIT.sub("monthly_limit_usd: 1000", settings.read_text()))
    subprocess.run(["git", "-C", root, "add", "--all"], check=True)  # a release has what git knows
    return root


def add_edge(document: dict[str, Any], name: str, edges: list[str]) -> None:
    """Put an edge into an inventory, behind the first one, with the ways to each vertical and to PostgreSQL."""
    rules = document["firewall"]
    for rule in rules:
        if edges[0] in rule["from"] and not rule["name"].endswith("-ssh"):
            rule["from"].append(name)
    document["droplets"][name] = {"role": "edge", **DROPLET}
    rules += [
        {"name": f"{name}-ssh", "droplet": name, "protocol": "tcp", "ports": [22], "from": edges[:1]},
        {"name": f"{name}-http", "droplet": name, "protocol": "tcp", "ports": [80, 443], "from": ["cloudflare"]},
    ]
    edges.append(name)


def add_vertical(root: Path, document: dict[str, Any], name: str, edges: list[str]) -> None:
    """Put a vertical into an inventory, and its folder below `compose/`: construction's, under another name."""
    document["droplets"][name] = {"role": "vertical", "vertical": name, **DROPLET}
    document["firewall"] += [
        {"name": f"{name}-http", "droplet": name, "protocol": "tcp", "ports": [8000], "from": list(edges)},
        {"name": f"{name}-ssh", "droplet": name, "protocol": "tcp", "ports": [22], "from": edges[:1]},
    ]
    next(rule for rule in document["firewall"] if rule["name"] == "postgres")["from"].append(name)
    copy_application(root, name)


def copy_application(root: Path, name: str) -> None:
    """Write `compose/<name>/`: the folder of construction, for an application of this name."""
    folder = root / "compose" / name
    shutil.copytree(root / "compose/vertical", folder)
    (folder / SHARED_VERTICAL).rename(folder / name)
    variable = name.upper().replace("-", "_")
    for path in (each for each in folder.rglob("*") if each.is_file()):
        text = path.read_text().replace(SHARED_VERTICAL, name).replace(SHARED_VERTICAL.upper(), variable)
        path.write_text(
            text.replace("[vertical]", f"[{name}]")
            .replace("  vertical:", f"  {name}:")
            .replace("bc-vertical", f"bc-{name}")
        )
