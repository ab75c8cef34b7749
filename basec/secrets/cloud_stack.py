"""What `basec init` does for staging and production: passphrase, provider tokens, keys and passwords.

Everything is checked first; then the settings file is written once, by rename. So a run
that is refused or killed leaves the file unchanged, and a repeated one makes only what is missing.
"""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from basec.environments import Environment
from basec.io.console import say
from basec.secrets import passphrase_file
from basec.secrets.secret_values import TOKENS, Token
from basec.secrets.stack_file import StackFile
from topology.errors import ConfigurationError, Problem, UsageError
from topology.inventory import load_inventory
from topology.placeholders import placeholders
from topology.project import required_secrets

TOKENS_FILE = "--tokens-from"


def initialise(environment: Environment, tokens_from: Path | None) -> None:
    """Make what is missing, and print what was made and what people still have to do."""
    name = environment.name
    stack = StackFile(environment)
    required = required_secrets(load_inventory(environment.root / "inventory.yaml"))
    missing = [secret for secret in required if secret not in stack.secret_names]
    stack.check_passphrase()  # a lost or wrong one is reported before asking for tokens
    tokens = _tokens([secret for secret in missing if secret in TOKENS], tokens_from)
    made = stack.make_missing(missing)
    if made_file := passphrase_file.make(environment):
        say(f"{name}: made a passphrase: {made_file}")
    stack.add_secrets({**made, **tokens})
    _report(environment, list(made), list(tokens))
    for path, what in placeholders(stack.settings):
        say(f"{name}: still an example: {path}: {what}; edit it in {environment.stack_file.name}")
    if missing:
        _what_next(environment)


def _report(environment: Environment, made: Sequence[str], tokens: Sequence[str]) -> None:
    if made:
        say(f"{environment.name}: made secrets: {', '.join(made)}")
    if tokens:
        say(f"{environment.name}: took tokens: {', '.join(tokens)}")
    if not made and not tokens:
        say(f"{environment.name}: everything is there already")


def _what_next(environment: Environment) -> None:
    if passphrase_file.VARIABLE in os.environ:
        where = f"the passphrase is the value of {passphrase_file.VARIABLE}"
    else:
        where = f"the passphrase is in {passphrase_file.path_of(environment)}"
    say(f"{environment.name}: {where}: keep a copy off this machine; without it every secret is lost")
    say(f"hint: git add {environment.stack_file.name}; git commit; basec preview --env {environment.name}")


def _tokens(wanted: Sequence[str], source: Path | None) -> dict[str, str]:
    """Get the tokens that are not set yet, never from an argument. Raises UsageError and ConfigurationError."""
    if not wanted:
        return {}
    given = {**os.environ, **(_read_tokens(source) if source else {})}
    found: dict[str, str] = {}
    problems: list[Problem] = []
    for key in wanted:
        token = TOKENS[key]
        value = given.get(token.variable) or _ask(token)
        if not value:
            problems.append(_problem(token, "is not set", f"export it, or {TOKENS_FILE} FILE; {token.where}"))
        elif not token.shape.fullmatch(value):
            problems.append(_problem(token, f"has {len(value)} characters that are not {token.looks}", token.where))
        else:
            found[key] = value
    if problems:
        raise ConfigurationError(problems)
    return found


def _problem(token: Token, message: str, hint: str) -> Problem:
    return Problem(file="tokens", path=token.variable, message=message, hint=hint)


def _ask(token: Token) -> str:
    """Let a person type a token, without showing it; without a terminal do not wait."""
    return getpass.getpass(f"{token.variable} ({token.where}): ").strip() if sys.stdin.isatty() else ""


def _read_tokens(source: Path) -> Mapping[str, str]:
    """Read lines `NAME=VALUE`; skip comments and empty lines."""
    try:
        text = sys.stdin.read() if str(source) == "-" else source.read_text()
    except OSError as error:
        raise UsageError(f"basec: {TOKENS_FILE}: {source}: {error.strerror}", "correct the path") from None
    known = {token.variable for token in TOKENS.values()}
    values: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if not name or name.startswith("#"):
            continue
        if not equals or name not in known:  # the line itself may be a token, and is not shown
            raise UsageError(
                f"basec: {TOKENS_FILE}: {source}: line {number} sets none of {', '.join(sorted(known))}",
                "write one NAME=TOKEN per line",
            )
        values[name] = value.strip().strip("'\"")
    return values
