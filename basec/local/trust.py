"""Let a user's browsers, and on demand the whole machine, trust the authority of a local stack; and take that back.

What is added is named by stack, clone and fingerprint, in the stores of Chromium and Firefox (NSS) as in the machine's:
an authority that was made anew replaces the old one, and nothing else is ever removed.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from basec.environments import Environment
from basec.io.console import say
from basec.io.files import damaged
from topology.errors import BasecommerceError, UsageError
from topology.names import PROJECT

CHROMIUM, CHROMIUM_NEW = ".pki/nssdb", ".local/share/pki/nssdb"
"""Below the home directory. Where the first is, Chromium does not look at the second, which it makes by itself: so the
first is made only where there is neither. Found by trying Chromium 156; for the first see
https://chromium.googlesource.com/chromium/src/+/main/docs/linux/cert_management.md"""
PLACES = (
    *(CHROMIUM, CHROMIUM_NEW, "snap/chromium/current/.pki/nssdb"),
    *(".mozilla/firefox/*", "snap/firefox/common/.mozilla/firefox/*"),
)
"""Where stores may be, with the profiles of Firefox."""
DATABASE = "cert9.db"
"""The file by which a directory is a store."""
SERVERS_ONLY = "C,,"
"""Trusted to sign for web servers; neither for e-mail nor for programs. Source: certutil(1), option -t."""
SYSTEM, SYSTEM_LINKS = Path("/usr/local/share/ca-certificates"), Path("/etc/ssl/certs")
"""Where an administrator puts authorities, and what is made of them. Source: update-ca-certificates(8)."""
TIMEOUT_S = 60
"""Seconds for one call; each takes well below one, the rebuild of the machine's store some."""
BY_HAND = (
    "Chromium, Chrome: chrome://certificate-manager, Local certificates, Custom, Trusted Certificates: Import",
    "Firefox: about:preferences#privacy, Certificates, View Certificates, Authorities: Import; tick websites",
    "curl: --cacert FILE",
)
HINT = "by hand: docs/trust.md"


@dataclass(frozen=True)
class Mark:
    """The name of what one clone's stack adds."""

    stack: str
    clone: str
    fingerprint: str
    """Empty when the authority's file is gone, or damaged."""

    @classmethod
    def of(cls, environment: Environment) -> Mark:
        clone = hashlib.sha256(str(environment.work_dir).encode()).hexdigest()[:8]
        try:
            certificate = ssl.PEM_cert_to_DER_cert(environment.public_ca_file.read_text())
        except (FileNotFoundError, ValueError):
            return cls(environment.name, clone, "")
        return cls(environment.name, clone, hashlib.sha256(certificate).hexdigest()[:16])

    @property
    def name(self) -> str:
        return f"{PROJECT}-{self.stack}-{self.clone}-{self.fingerprint}"

    def is_ours(self, name: str) -> bool:
        """Tell whether this clone's stack has added it, also under an earlier authority or before the clone moved."""
        parts = re.fullmatch(rf"{PROJECT}-{re.escape(self.stack)}-([0-9a-f]{{8}})-([0-9a-f]{{16}})", name)
        return parts is not None and (parts[1] == self.clone or parts[2] == self.fingerprint)


@dataclass(frozen=True)
class Person:
    """Whose browsers are meant: who called sudo, else the user."""

    home: Path
    account: pwd.struct_passwd | None
    """Where it is another one than the process's."""

    @classmethod
    def here(cls) -> Person:
        name = os.environ.get("SUDO_USER", "") if os.geteuid() == 0 else ""
        account = pwd.getpwnam(name) if name else None
        return cls(Path(account.pw_dir) if account else Path.home(), account)

    def run(self, place: Path, *command: str, stdin: str = "") -> str:
        """Run a program as this person, without a terminal to ask for passwords at. Raises BasecommerceError."""
        done = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
            env={**os.environ, "HOME": str(self.home)},
            start_new_session=True,
            user=self.account.pw_uid if self.account else None,
            group=self.account.pw_gid if self.account else None,
            extra_groups=[] if self.account else None,
        )
        if done.returncode != 0:
            told = (done.stderr.strip().splitlines() or [f"{command[0]} ended with {done.returncode}"])[-1]
            raise BasecommerceError(f"basec: trust: {place}: {told}", HINT)
        return done.stdout


def add(environment: Environment) -> list[Path]:
    """Trust the stack's authority in the person's browsers; answer the stores. Raises BasecommerceError."""
    mark, person, text = Mark.of(environment), Person.here(), confined(environment)
    if shutil.which("certutil") is None:
        raise BasecommerceError(
            f"basec: trust: {environment.name}: certutil is not on this machine, so no browser was changed",
            "apt-get install libnss3-tools, then the same again",
        )

    def trust(store: Path) -> bool:
        entries = _entries(person, store)
        _drop(person, store, [name for name in entries if mark.is_ours(name) and name != mark.name])
        if entries.get(mark.name) != SERVERS_ONLY:  # a store with a password keeps the certificate and no trust in it
            command = ("certutil", "-A", "-a", "-t", SERVERS_ONLY, "-n", mark.name, "-d", f"sql:{store}")
            person.run(store, *command, stdin=text)
        return True

    chromium = person.home / CHROMIUM
    if not any((person.home / place / DATABASE).exists() for place in (CHROMIUM, CHROMIUM_NEW)):
        person.run(chromium, "mkdir", "-p", "-m", "700", str(chromium))
        person.run(chromium, "certutil", "-N", "--empty-password", "-d", f"sql:{chromium}")
    return _in_each(person, trust)


def add_to_system(environment: Environment) -> Path:
    """Trust it in all programs of this machine that use its store, such as curl; answer the file. Needs root."""
    text, mark = confined(environment), Mark.of(environment)
    _require_root(environment, "--system")
    old = [name for name in _of_system(mark) if name != mark.name]
    file = SYSTEM / f"{mark.name}.crt"
    file.write_text(text)
    file.chmod(0o644)
    _update_system(old)
    return file


def remove(environment: Environment) -> list[Path]:
    """Take back what this stack has added, and nothing else; answer from where. Raises BasecommerceError."""
    mark, person = Mark.of(environment), Person.here()

    def distrust(store: Path) -> bool:
        names = [name for name in _entries(person, store) if mark.is_ours(name)]
        _drop(person, store, names)
        return bool(names)

    changed: list[Path] = []
    if names := _of_system(mark):
        _require_root(environment, "--remove")
        _update_system(names)
        changed.append(SYSTEM)
    return [*(_in_each(person, distrust) if shutil.which("certutil") else ()), *changed]


def forget(environment: Environment) -> None:
    """Take it back with the stack: what cannot be is said, and stops nothing."""
    try:
        for place in remove(environment):
            say(f"{environment.name}: no longer trusted in {place}")
    except (BasecommerceError, OSError, subprocess.TimeoutExpired) as error:
        say(f"{error}\n{environment.name}: may still be trusted there, as {PROJECT}-{environment.name}-...")


def confined(environment: Environment) -> str:
    """Read the authority, in PEM. Raises UsageError for one that is not there, or that could sign for any site."""
    name = environment.name
    try:
        text = environment.public_ca_file.read_text()
        extensions = x509.load_pem_x509_certificate(text.encode()).extensions
    except FileNotFoundError:
        raise UsageError(f"basec: trust: {name}: this stack has no authority yet", f"basec up --env {name}") from None
    except ValueError as error:
        raise damaged(name, environment.public_ca_file, error, f"basec up --env {name}") from None
    found = [each.value for each in extensions if isinstance(each.value, x509.NameConstraints) and each.critical]
    if [each.permitted_subtrees for each in found] != [[x509.DNSName("localhost")]]:
        raise UsageError(
            f"basec: trust: {name}: this authority could sign for any site: an earlier release made it",
            f"basec up --env {name}",
        )
    return text


def _in_each(person: Person, change: Callable[[Path], bool]) -> list[Path]:
    """Change every store, and answer those that were: one that cannot be does not keep the others from it."""
    changed, failures = [], []
    for store in _stores(person):
        try:
            if change(store):
                changed.append(store)
        except BasecommerceError as error:
            failures.append(error.message)
    if failures:
        raise BasecommerceError("\n".join(failures), HINT)
    return changed


def _stores(person: Person) -> Iterator[Path]:
    for pattern in PLACES:
        yield from (path.parent for path in sorted(person.home.glob(f"{pattern}/{DATABASE}")))


def _entries(person: Person, store: Path) -> dict[str, str]:
    """List what a store has, with how far it is trusted: the last word of a line."""
    listed = person.run(store, "certutil", "-L", "-d", f"sql:{store}")
    return {name.strip(): flags for name, _, flags in (line.strip().rpartition(" ") for line in listed.splitlines())}


def _drop(person: Person, store: Path, names: list[str]) -> None:
    for name in names:
        person.run(store, "certutil", "-D", "-n", name, "-d", f"sql:{store}")


def _of_system(mark: Mark) -> list[str]:
    """List what the machine's store has of ours; of a removal that was interrupted, the link alone is left."""
    found = {*SYSTEM.glob(f"{PROJECT}-*.crt"), *SYSTEM_LINKS.glob(f"{PROJECT}-*.pem")}
    return sorted({path.stem for path in found if mark.is_ours(path.stem)})


def _require_root(environment: Environment, option: str) -> None:
    if os.geteuid() != 0:
        raise UsageError(
            f"basec: trust: {environment.name}: only root may change what the whole machine trusts",
            f"sudo bin/basec trust {option} --env {environment.name}",
        )


def _update_system(gone: list[str]) -> None:
    """Rebuild the machine's store; only from scratch does it lose the links to what is gone."""
    for name in gone:
        (SYSTEM / f"{name}.crt").unlink(missing_ok=True)
    Person(Path.home(), None).run(SYSTEM, "update-ca-certificates", *(["--fresh"] if gone else []))
