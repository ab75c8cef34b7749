"""The local cloud's own program: callers use it only through these commands.

    python -m localcloud allocate  --directory .local/local --name local   choose subnets, write cloud.json
    python -m localcloud doctor    --config .local/local/cloud.json        check and prepare the machine
    python -m localcloud images    --applications DIR --tag reference      build what is missing; JSON on stdout
    python -m localcloud push      auth:dev-1                              put your own image into the registry
    python -m localcloud has       REFERENCE...                            fail if the registry lacks one of them
    python -m localcloud power-on  --config .local/local/cloud.json        start what exists but is stopped
    python -m localcloud down      --config .local/local/cloud.json        remove everything of the stack

Progress goes to stderr, line by line; a failure is last and begins with `error: `. stdout has the result.
Exit codes: 0 done, 1 failed, 2 usage, 3 host check failed, 130 interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from localcloud.config import CloudConfig, Mode
from localcloud.errors import CloudError
from localcloud.naming import default_cache
from localcloud.remedies import with_hint

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_HOST = 3
EXIT_INTERRUPTED = 130


def _progress(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _allocate(arguments: argparse.Namespace) -> int:
    from localcloud.allocate import allocate

    config = allocate(
        directory=arguments.directory.resolve(),
        name=arguments.name,
        mode=Mode(arguments.mode),
        cache=default_cache(),
        http_port=arguments.http_port,
        https_port=arguments.https_port,
        visitor_labels=arguments.visitor_label,
    )
    sys.stdout.write(config.to_json() + "\n")
    return 0


def _doctor(arguments: argparse.Namespace) -> int:
    from localcloud.doctor import Ports, examine
    from localcloud.findings import CheckedHost

    config = CloudConfig.load(arguments.config) if arguments.config else None
    ports = Ports(config.http_port, config.https_port) if config else Ports(arguments.http_port, arguments.https_port)
    findings = examine(CheckedHost(default_cache(), repair=not arguments.no_repair), config=config, ports=ports)
    failed = False
    for finding in findings:
        failed = failed or finding.failed
        sys.stdout.write(json.dumps(finding.as_dict()) + "\n")
        sys.stdout.flush()
        if finding.failed and finding.final:
            break
    return EXIT_HOST if failed else 0


def _images(arguments: argparse.Namespace) -> int:
    from localcloud.images.build import build_all

    image_set = build_all(default_cache(), _progress, arguments.applications, arguments.tag)
    sys.stdout.write(json.dumps({"for": arguments.tag, **image_set.as_json()}) + "\n")
    return 0


def _push(arguments: argparse.Namespace) -> int:
    from localcloud.images.build import push_own

    sys.stdout.write(push_own(arguments.image, default_cache(), _progress) + "\n")
    return 0


def _has(arguments: argparse.Namespace) -> int:
    from localcloud.images.push import missing_from

    for name in missing_from(default_cache() / "registry", arguments.reference):
        raise CloudError(f"images: {name}: not in the registry of local stacks\nhint: basec images push {name}")
    return 0


def _power_on(arguments: argparse.Namespace) -> int:
    from localcloud.lifecycle import power_on

    asyncio.run(power_on(CloudConfig.load(arguments.config), _progress))
    return 0


def _down(arguments: argparse.Namespace) -> int:
    config = CloudConfig.load(arguments.config)
    if config.mode is Mode.DRY:
        return 0  # a dry cloud is files in its state directory, which the caller removes
    from localcloud.lifecycle import down

    asyncio.run(down(config, _progress))
    return 0


def parser() -> argparse.ArgumentParser:
    """Build the command line."""
    root = argparse.ArgumentParser(prog="python -m localcloud", description="The local cloud's own program.")
    commands = root.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("allocate", help="choose subnets and write cloud.json")
    command.add_argument("--directory", type=Path, required=True, help="the stack's directory, e.g. .local/local")
    command.add_argument("--name", required=True)
    command.add_argument("--mode", choices=[mode.value for mode in Mode], default=Mode.REAL.value)
    command.add_argument("--http-port", type=int, help="port of the shop on 127.0.0.1; default: keep, otherwise 80")
    command.add_argument("--https-port", type=int, help="the same for https; default: keep, otherwise 443")
    command.add_argument(
        "--visitor-label",
        action="append",
        default=[],
        metavar="LABEL",
        help="a name below the domain that https covers, such as demo; may be repeated, adds to the kept ones",
    )
    command.set_defaults(run=_allocate)

    command = commands.add_parser("doctor", help="check and prepare the machine; one JSON finding per line")
    command.add_argument("--config", type=Path, help="cloud.json of the stack; without it its subnets are not checked")
    command.add_argument("--http-port", type=int, default=80)
    command.add_argument("--https-port", type=int, default=443)
    command.add_argument("--no-repair", action="store_true", help="only look")
    command.set_defaults(run=_doctor)

    command = commands.add_parser("images", help="build the images that are missing")
    command.add_argument("--applications", type=Path, help="applications to build: README.md")
    command.add_argument(
        "--tag",
        default="reference",
        help="a version of the applications; with any other tag they are not built",
    )
    command.set_defaults(run=_images)
    command = commands.add_parser("push", help="put an image of this machine's engine into the registry")
    command.add_argument("image", metavar="NAME:TAG")
    command.set_defaults(run=_push)
    command = commands.add_parser("has", help="fail if the registry lacks an image")
    command.add_argument("reference", nargs="*")
    command.set_defaults(run=_has)
    for name, run, text in (
        ("power-on", _power_on, "start what exists but is stopped"),
        ("down", _down, "remove everything of the stack"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("--config", type=Path, required=True)
        command.set_defaults(run=run)
    return root


def main(argv: list[str]) -> int:
    """Run one command; user errors and failures of the cloud are printed as text, never as a traceback."""
    arguments = parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except (CloudError, OSError, ValueError) as error:
        if os.environ.get("LOCALCLOUD_VERBOSE"):
            raise
        sys.stderr.write(f"error: local cloud: {with_hint(str(error))}\n")
        return EXIT_FAILURE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    # SIGTERM ends it like Ctrl-C: its own programs are stopped and half-made files removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
