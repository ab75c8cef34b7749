"""Let a user's browsers, and on request the whole machine, trust the authority of a local stack; and undo it.

What is added is named by stack, clone and fingerprint, in the stores of Chromium, Firefox (NSS) and the machine:
a new authority replaces the old one, and nothing else is ever removed.
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
"""Below the home directory. If the first exists, Chromium ignores the second, which it creates on its own: so the
first is created only if neither exists. Found by trying Chromium 156; for the first see
https://chromium.googlesource.com/chromium/src/+/main/docs/linux/cert_management.md"""
PLACES = (
    *(CHROMIUM, CHROMIUM_NEW, "snap/chromium/current/.pki/nssdb"),
    *(".mozilla/firefox/*", "snap/firefox/common/.mozilla/firefox/*"),
)
"""Where stores may be; includes the profiles of Firefox."""
DATABASE = "cert9.db"
"""The file that makes a directory a store."""
SERVERS_ONLY = "C,,"
"""Trusted to sign for web servers; neither for e-mail nor for programs. Source: certutil(1), option -t."""
SYSTEM, SYSTEM_LINKS = Path("/usr/local/share/ca-certificates"), Path("/etc/ssl/certs")
"""Where an administrator puts authorities, and the file made from them. Source: update-ca-certificates(8)."""
TIMEOUT_S = 60
"""Seconds for one call; each takes well below one second, the rebuild of the machine's store a few."""
BY_HAND = (
    "Chromium, Chrome: chrome://certificate-manager, Local certificates, Custom, Trusted Certificates: Import",
    "Firefox: about:preferences#privacy, Certificates, View Certificates, Authorities: Import; tick websites",
    "curl: --cacert FILE",
)
HINT = "by hand: docs/trust.md"


@dataclass(frozen=True)
class Mark:
    """The name under which one clone's stack adds its authority."""

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
        """Return whether this clone's stack added it, also with an earlier authority or before the clone moved."""
        parts = re.fullmatch(rf"{PROJECT}-{re.escape(self.stack)}-([0-9a-f]{{8}})-([0-9a-f]{{16}})", name)
        return parts is not None and (parts[1] == self.clone or parts[2] == self.fingerprint)


@dataclass(frozen=True)
class Person:
    """The owner of the browsers: the caller of sudo, otherwise the user."""

    home: Path
    account: pwd.struct_passwd | None
    """Set if it is not the user of the process."""

    @classmethod
    def here(cls) -> Person:
        name = os.environ.get("SUDO_USER", "") if os.geteuid() == 0 else ""
        account = pwd.getpwnam(name) if name else None
        return cls(Path(account.pw_dir) if account else Path.home(), account)

    def run(self, place: Path, *command: str, stdin: str = "") -> str:
        """Run a program as this person, without a terminal for password questions. Raises BasecommerceError."""
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
    """Trust the stack's authority in the person's browsers; return the stores. Raises BasecommerceError."""
    mark, person, text = Mark.of(environment), Person.here(), confined(environment)
    if shutil.which("certutil") is None:
        raise BasecommerceError(
            f"basec: trust: {environment.name}: certutil is not on this machine, so no browser was changed",
            "apt-get install libnss3-tools, then the same again",
        )

    def trust(store: Path) -> bool:
        entries = _entries(person, store)
        _drop(person, store, [name for name in entries if mark.is_ours(name) and name != mark.name])
        if entries.get(mark.name) != SERVERS_ONLY:  # a store with a password keeps the certificate but no trust in it
            command = ("certutil", "-A", "-a", "-t", SERVERS_ONLY, "-n", mark.name, "-d", f"sql:{store}")
            person.run(store, *command, stdin=text)
        return True

    chromium = person.home / CHROMIUM
    if not any((person.home / place / DATABASE).exists() for place in (CHROMIUM, CHROMIUM_NEW)):
        person.run(chromium, "mkdir", "-p", "-m", "700", str(chromium))
        person.run(chromium, "certutil", "-N", "--empty-password", "-d", f"sql:{chromium}")
    return _in_each(person, trust)


def add_to_system(environment: Environment) -> Path:
    """Trust it in all programs of this machine that use its store, such as curl; return the file. Needs root."""
    text, mark = confined(environment), Mark.of(environment)
    _require_root(environment, "--system")
    old = [name for name in _of_system(mark) if name != mark.name]
    file = SYSTEM / f"{mark.name}.crt"
    file.write_text(text)
    file.chmod(0o644)
    _update_system(old)
    return file


def remove(environment: Environment) -> list[Path]:
    """Remove what this stack has added, and nothing else; return the places. Raises BasecommerceError."""
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
    """Remove it together with the stack: a failure is printed, and stops nothing."""
    try:
        for place in remove(environment):
            say(f"{environment.name}: no longer trusted in {place}")
    except (BasecommerceError, OSError, subprocess.TimeoutExpired) as error:
        say(f"{error}\n{environment.name}: may still be trusted there, as {PROJECT}-{environment.name}-...")


def confined(environment: Environment) -> str:
    """Return the authority, in PEM. Raises UsageError if it is missing, or could sign for any site."""
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
    """Change every store, and return the changed ones; a failed one does not stop the others."""
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
    """Return the entries of a store with their trust: the last word of a line."""
    listed = person.run(store, "certutil", "-L", "-d", f"sql:{store}")
    return {name.strip(): flags for name, _, flags in (line.strip().rpartition(" ") for line in listed.splitlines())}


def _drop(person: Person, store: Path, names: list[str]) -> None:
    for name in names:
        person.run(store, "certutil", "-D", "-n", name, "-d", f"sql:{store}")


def _of_system(mark: Mark) -> list[str]:
    """Return our entries in the machine's store; an interrupted removal leaves only the link."""
    found = {*SYSTEM.glob(f"{PROJECT}-*.crt"), *SYSTEM_LINKS.glob(f"{PROJECT}-*.pem")}
    return sorted({path.stem for path in found if mark.is_ours(path.stem)})


def _require_root(environment: Environment, option: str) -> None:
    if os.geteuid() != 0:
        raise UsageError(
            f"basec: trust: {environment.name}: only root may change what the whole machine trusts",
            f"sudo bin/basec trust {option} --env {environment.name}",
        )


def _update_system(gone: list[str]) -> None:
    """Rebuild the machine's store from scratch: otherwise it keeps links to what is gone."""
    for name in gone:
        (SYSTEM / f"{name}.crt").unlink(missing_ok=True)
    Person(Path.home(), None).run(SYSTEM, "update-ca-certificates", *(["--fresh"] if gone else []))
