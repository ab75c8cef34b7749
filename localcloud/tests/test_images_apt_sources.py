"""The images come from the mirror that the machine already uses, whatever form its apt sources have."""

from pathlib import Path

import pytest

from localcloud.errors import CloudError
from localcloud.images.apt_sources import KEYRING, Source, apt_options, machine_sources
from localcloud.naming import NAMESPACE


def apt_of(root: Path, **files: str) -> Path:
    """Build a machine's /etc; `__` in a file's name stands for a dot."""
    (root / "etc/apt/sources.list.d").mkdir(parents=True)
    for name, text in files.items():
        (root / "etc/apt" / name.replace("__", ".").replace("d/", "sources.list.d/")).write_text(text)
    return root


def test_deb822_sources_become_the_same_archives_of_trixie(tmp_path: Path) -> None:
    text = (
        "# comment\nTypes: deb deb-src\nURIs: http://mirror.example/debian/\nSuites: bookworm bookworm-updates\n"
        f"Components: main contrib\nSigned-By: {KEYRING}\n\n"
        "Types: deb\nURIs: http://mirror.example/security\nSuites: bookworm-security\nComponents: main\n"
    )
    root = apt_of(tmp_path, **{"d/debian__sources": text})
    assert machine_sources(root) == (
        Source("http://mirror.example/debian", "trixie"),
        Source("http://mirror.example/debian", "trixie-updates"),
        Source("http://mirror.example/security", "trixie-security"),
    )


def test_one_line_sources_are_read_too(tmp_path: Path) -> None:
    text = "deb http://mirror.example/debian trixie main # ours\n#deb http://off.example/debian trixie main\n"
    text += f"deb [arch=amd64 signed-by={KEYRING}] http://mirror.example/security trixie-security main\n"
    root = apt_of(tmp_path, sources__list=text)
    assert machine_sources(root) == (
        Source("http://mirror.example/debian", "trixie"),
        Source("http://mirror.example/security", "trixie-security"),
    )


@pytest.mark.parametrize(
    "foreign",
    [
        "deb [signed-by=/usr/share/keyrings/vendor.gpg] http://vendor.example/apt bookworm main",
        "deb http://vendor.example/docker bookworm stable",
        "deb http://vendor.example/pgdg bookworm-pgdg main",
        "deb-src http://vendor.example/debian bookworm main",
    ],
)
def test_archives_of_other_vendors_are_left_out(tmp_path: Path, foreign: str) -> None:
    text = f"{foreign}\ndeb http://mirror.example/debian bookworm main\n"
    root = apt_of(tmp_path, sources__list=text)
    assert machine_sources(root) == (Source("http://mirror.example/debian", "trixie"),)


def test_a_disabled_stanza_is_left_out_and_no_archive_is_an_error_with_a_hint(tmp_path: Path) -> None:
    text = "Enabled: no\nTypes: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\nComponents: main\n"
    root = apt_of(tmp_path, **{"d/debian__sources": text})
    with pytest.raises(CloudError) as caught:
        machine_sources(root)
    assert str(caught.value) == (
        "/etc/apt: no Debian archive with component main, which the images are made from\n"
        f"hint: name a Debian mirror in /etc/{NAMESPACE}/debian.sources: docs/hosts.md#a-debian-mirror"
    )


def test_a_file_of_its_own_goes_before_the_machines_apt(tmp_path: Path) -> None:
    root = apt_of(tmp_path, sources__list="deb http://mirror.example/debian bookworm main\n")
    own = root / f"etc/{NAMESPACE}/debian.sources"
    own.parent.mkdir()
    own.write_text("Types: deb\nURIs: http://near.example/debian\nSuites: stable stable-security\nComponents: main\n")
    assert machine_sources(root) == (
        Source("http://near.example/debian", "trixie"),
        Source("http://near.example/debian", "trixie-security"),
    )
    own.write_text("Types: deb\nURIs: http://near.example/ubuntu\nSuites: noble\nComponents: main\n")
    with pytest.raises(CloudError, match=rf"^/etc/{NAMESPACE}/debian\.sources: no Debian archive"):
        machine_sources(root)


def test_proxy_and_certificate_settings_are_taken_over_and_nothing_else() -> None:
    dump = (
        'Acquire "";\nAcquire::http "";\nAcquire::http::Proxy "http://proxy.example:3128";\n'
        'Acquire::http::Proxy::mirror.example "DIRECT";\nAcquire::http::Proxy-Auto-Detect "/usr/bin/detect";\n'
        'Acquire::https::CaInfo "/etc/ssl/own.pem";\nAcquire::Languages "none";\nDPkg::Post-Invoke "rm";\n'
    )
    assert apt_options(dump) == (
        'Acquire::http::Proxy "http://proxy.example:3128";',
        'Acquire::http::Proxy::mirror.example "DIRECT";',
        'Acquire::https::CaInfo "/etc/ssl/own.pem";',
    )
