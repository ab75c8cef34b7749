"""`basec trust`, with the real certutil, OpenSSL and update-ca-certificates on directories of the test's own."""

from __future__ import annotations

import dataclasses
import os
import pwd
import shutil
import ssl
import subprocess
import tempfile
from ipaddress import IPv4Address, IPv4Network, ip_address
from pathlib import Path

import pytest
from cryptography import x509

from basec.environments import Environment
from basec.local import trust
from localcloud.cloudflare import certificates
from localcloud.config import CloudConfig, Mode
from localcloud.tests.certificate_support import self_signed
from topology.errors import BasecommerceError

FIREFOX = ".mozilla/firefox/abcd.default"
NOBODY = 65534
UPDATE = shutil.which("update-ca-certificates", path=f"{os.environ['PATH']}:/usr/sbin")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SUDO_USER", raising=False)
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def stack(tmp_path: Path, home: Path) -> Environment:
    return stack_in(tmp_path / "clone")


def stack_in(root: Path, name: str = "local") -> Environment:
    """Return a local stack with an authority."""
    environment = Environment(name=name, root=root)
    certificates.authority(cloud(environment), certificates.PUBLIC)
    return environment


def cloud(environment: Environment) -> CloudConfig:
    return CloudConfig(
        name=environment.name,
        mode=Mode.DRY,
        state=environment.work_dir / "cloud",
        cache=environment.work_dir,
        public_subnet=IPv4Network("198.51.100.0/27"),
        cloudflare_address=IPv4Address("198.51.100.2"),
        registry_address=IPv4Address("198.51.100.3"),
        vpc_range=IPv4Network("10.77.1.0/24"),
        http_port=80,
    )


def certutil(store: Path, *arguments: str, text: str = "") -> str:
    command = ["certutil", *arguments, "-d", f"sql:{store}"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def new_store(store: Path, *options: str) -> Path:
    store.mkdir(parents=True)
    certutil(store, "-N", *(options or ("--empty-password",)))
    return store


def entries(store: Path) -> dict[str, str]:
    """List names with their trust."""
    lines = [line.rsplit(maxsplit=1) for line in certutil(store, "-L").splitlines()[4:] if line]
    return {name.strip(): flags for name, flags in lines}


def certificate(store: Path, name: str) -> bytes:
    pem = certutil(store, "-L", "-a", "-n", name)
    return ssl.PEM_cert_to_DER_cert(pem[: pem.index("-----END") + 25].strip())


def authority_of(stack: Environment) -> bytes:
    return ssl.PEM_cert_to_DER_cert(stack.public_ca_file.read_text())


def leaf(stack: Environment, path: Path, *names: str) -> Path:
    """Let the stack's authority sign for these names, whatever they are."""
    path.write_text(certificates.visitors_bundle(cloud(stack), names))
    return path


def test_chromiums_store_is_made_and_trusts_the_authority_for_servers_alone(stack: Environment, home: Path) -> None:
    assert trust.add(stack) == [home / trust.CHROMIUM]
    assert entries(home / trust.CHROMIUM) == {trust.Mark.of(stack).name: "C,,"}
    assert (home / trust.CHROMIUM).stat().st_mode & 0o777 == 0o700


def test_what_is_trusted_is_the_stacks_authority_and_it_vouches_for_localhost(
    stack: Environment, home: Path, tmp_path: Path
) -> None:
    trust.add(stack)
    (name,) = entries(home / trust.CHROMIUM)
    assert certificate(home / trust.CHROMIUM, name) == authority_of(stack)
    file = leaf(stack, tmp_path / "leaf.pem", "localhost", "*.localhost", "demo.localhost")
    assert nss_refuses(home / trust.CHROMIUM, file) == ""
    assert openssl_refuses(stack, file) == ""


def nss_refuses(store: Path, file: Path) -> str:
    """Return why NSS does not take a server's certificate; it is what the browsers' store verifies with."""
    certutil(store, "-A", "-a", "-t", ",,", "-n", "leaf", text=file.read_text().partition("-----BEGIN PRIVATE")[0])
    command = ["certutil", "-V", "-n", "leaf", "-u", "V", "-d", f"sql:{store}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    certutil(store, "-D", "-n", "leaf")
    return "" if done.returncode == 0 else done.stdout + done.stderr


def openssl_refuses(stack: Environment, file: Path) -> str:
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", str(stack.public_ca_file)]
    done = subprocess.run([*command, str(file)], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr


@pytest.mark.parametrize("names", [("example.com",), ("demo.localhost", "example.com"), ("notlocalhost",), ("*.com",)])
def test_another_sites_certificate_by_that_authority_is_believed_by_nobody(
    stack: Environment, home: Path, tmp_path: Path, names: tuple[str, ...]
) -> None:
    trust.add(stack)
    file = leaf(stack, tmp_path / "leaf.pem", *names)
    assert "not permitted to issue a certificate with this name" in nss_refuses(home / trust.CHROMIUM, file)
    assert "permitted subtree violation" in openssl_refuses(stack, file)


@pytest.mark.parametrize("address", ["127.0.0.1", "203.0.113.7", "2001:db8::1"])
def test_an_addresss_certificate_by_that_authority_is_believed_by_nobody(
    stack: Environment, home: Path, tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust.add(stack)
    monkeypatch.setattr(x509, "DNSName", lambda name: x509.IPAddress(ip_address(name)))
    file = leaf(stack, tmp_path / "leaf.pem", address)
    assert nss_refuses(home / trust.CHROMIUM, file)
    assert "excluded subtree violation" in openssl_refuses(stack, file)


def test_again_changes_nothing(stack: Environment, home: Path) -> None:
    trust.add(stack)
    before = entries(home / trust.CHROMIUM)
    trust.add(stack)
    assert entries(home / trust.CHROMIUM) == before


def test_an_authority_that_was_made_anew_replaces_the_old_one(stack: Environment, home: Path) -> None:
    trust.add(stack)
    (old,) = entries(home / trust.CHROMIUM)
    shutil.rmtree(stack.work_dir)
    stack_in(stack.root)
    trust.add(stack)
    (new,) = entries(home / trust.CHROMIUM)
    assert new != old
    assert certificate(home / trust.CHROMIUM, new) == authority_of(stack)


def test_removal_takes_what_this_stack_added_and_nothing_else(stack: Environment, home: Path, tmp_path: Path) -> None:
    others = [stack_in(stack.root, "local-two"), stack_in(tmp_path / "other-clone")]
    for each in (stack, *others):
        trust.add(each)
    store = home / trust.CHROMIUM
    certutil(store, "-A", "-a", "-t", "C,,", "-n", "basecommerce-local by hand", text=self_signed("own").certificate)
    assert trust.remove(stack) == [store]
    assert entries(store).keys() == {*(trust.Mark.of(each).name for each in others), "basecommerce-local by hand"}
    assert trust.remove(stack) == []


def test_what_an_earlier_authority_left_is_found_when_its_file_is_gone(stack: Environment, home: Path) -> None:
    trust.add(stack)
    shutil.rmtree(stack.work_dir)
    assert trust.remove(stack) == [home / trust.CHROMIUM]
    assert entries(home / trust.CHROMIUM) == {}


def test_what_was_added_before_the_clone_moved_is_found(stack: Environment, home: Path, tmp_path: Path) -> None:
    trust.add(stack)
    stack.root.rename(tmp_path / "moved")
    assert trust.remove(dataclasses.replace(stack, root=tmp_path / "moved")) == [home / trust.CHROMIUM]


def test_chromiums_newer_store_is_used_and_not_hidden_by_an_older_one(stack: Environment, home: Path) -> None:
    new = new_store(home / trust.CHROMIUM_NEW)
    assert trust.add(stack) == [new]
    assert not (home / trust.CHROMIUM).exists()


def test_removal_makes_no_store(stack: Environment, home: Path) -> None:
    assert trust.remove(stack) == []
    assert list(home.iterdir()) == []


def test_profiles_of_firefox_are_served_and_one_that_has_a_password_is_named(
    stack: Environment, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("secret-of-the-store\n")
    locked = new_store(home / ".mozilla/firefox/aaaa.locked", "-f", str(tmp_path / "password"))
    profile = new_store(home / FIREFOX)
    with pytest.raises(BasecommerceError, match=f"^basec: trust: {locked}: certutil: .*PASSWORD.*\nhint: by hand: "):
        trust.add(stack)
    assert list(entries(profile)) == list(entries(home / trust.CHROMIUM)) == [trust.Mark.of(stack).name]
    certutil(locked, "-W", "-f", str(tmp_path / "password"), "-@", "/dev/null")
    trust.add(stack)
    assert entries(locked) == entries(profile)
    assert trust.remove(stack) == [home / trust.CHROMIUM, locked, profile]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is called by sudo")
def test_by_sudo_the_callers_browsers_are_meant_and_the_files_are_theirs(
    stack: Environment, home: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    theirs = Path(tempfile.mkdtemp(dir="/var/tmp"))  # pytest's own directories are closed to others
    request.addfinalizer(lambda: shutil.rmtree(theirs))
    os.chown(theirs, NOBODY, NOBODY)
    account = pwd.struct_passwd(("them", "x", NOBODY, NOBODY, "", str(theirs), "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwnam", {"them": account}.__getitem__)
    monkeypatch.setenv("SUDO_USER", "them")
    assert trust.add(stack) == [theirs / trust.CHROMIUM]
    assert {path.stat().st_uid for path in theirs.rglob("*")} == {NOBODY}
    assert list(home.iterdir()) == []
    assert trust.remove(stack) == [theirs / trust.CHROMIUM]


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a machine's store of the test's own, which the real program works on."""
    assert UPDATE
    root = tmp_path / "system"
    for name in ("own", "certs", "hooks", "bin"):
        (root / name).mkdir(parents=True)
    (root / "list").write_text("# none\n")
    (root / "own/company.crt").write_text(self_signed("company").certificate)
    program = root / "bin/update-ca-certificates"
    places = f"--certsconf {root}/list --localcertsdir {root}/own --etccertsdir {root}/certs --hooksdir {root}/hooks"
    program.write_text(f'#!/bin/sh\nexec {UPDATE} {places} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{root}/bin:{os.environ['PATH']}")
    monkeypatch.setattr(trust, "SYSTEM", root / "own")
    monkeypatch.setattr(trust, "SYSTEM_LINKS", root / "certs")
    return root


def bundle(system: Path) -> list[bytes]:
    """List what the machine's programs believe, besides what its administrator put there."""
    end = "-----END CERTIFICATE-----\n"
    text = (system / "certs/ca-certificates.crt").read_text().replace((system / "own/company.crt").read_text(), "", 1)
    return [ssl.PEM_cert_to_DER_cert(f"{part}{end}") for part in text.split(end)[:-1]]


def test_the_machines_store_believes_it_until_it_is_removed(stack: Environment, home: Path, system: Path) -> None:
    for _ in range(2):
        assert trust.add_to_system(stack) == system / f"own/{trust.Mark.of(stack).name}.crt"
        assert bundle(system) == [authority_of(stack)]
    assert trust.remove(stack) == [system / "own"]
    assert bundle(system) == []
    assert [path for path in (system / "certs").iterdir() if path.is_symlink() and not path.exists()] == []
    assert trust.remove(stack) == []


def test_the_machines_store_forgets_an_earlier_authority(stack: Environment, home: Path, system: Path) -> None:
    trust.add_to_system(stack)
    shutil.rmtree(stack.work_dir)
    stack_in(stack.root)
    trust.add_to_system(stack)
    assert bundle(system) == [authority_of(stack)]


def test_a_removal_that_was_interrupted_is_finished_by_the_next(stack: Environment, home: Path, system: Path) -> None:
    trust.add_to_system(stack).unlink()
    assert len(bundle(system)) == 1
    assert trust.remove(stack) == [system / "own"]
    assert bundle(system) == []
