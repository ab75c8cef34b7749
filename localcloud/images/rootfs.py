"""The root file system below every image: Debian 13, made by mmdebstrap from the machine's own apt sources.

One file system for all: the droplets and every service share its layer, so a machine downloads Debian once.
"""

from __future__ import annotations

import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from localcloud.images.apt_sources import SUITE, Source, apt_options, machine_sources
from localcloud.images.process import run
from localcloud.images.recipe import digest, folder_files
from localcloud.naming import NAMESPACE

PACKAGES = ("ca-certificates", "debian-archive-keyring", "python3")
"""Besides what Debian calls essential, and apt. python3: release.py runs on it in droplets, the applications here."""
LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*")
"""Left out of every package, also in layers: two fifths of the files, and nobody reads them here."""
_KEPT = "/usr/share/doc/*/copyright"
_HELPERS = Path(__file__).parent / "base"
_LOCAL_CERTIFICATES = Path("/usr/local/share/ca-certificates")
_OF_CLOUDS = f"{NAMESPACE}-"
"""File names of clouds' own authorities there: useless in an image, and each would rebuild it."""
_WORK = Path(f"/var/tmp/{NAMESPACE}-rootfs")  # noqa: S108 - made with mode 0755 by root; apt's own user must reach it
_ENVIRONMENT = (
    "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "ENV LANG=C.UTF-8",
    'CMD ["bash"]',
)


@dataclass(frozen=True)
class Rootfs:
    """What the root file system is made of."""

    sources: tuple[Source, ...]
    options: tuple[str, ...]
    """apt.conf lines: the machine's proxy and certificates."""
    certificates: tuple[Path, ...]
    """Authorities that the administrator added to this machine; without them a private mirror is not trusted."""

    @classmethod
    def of_this_machine(cls) -> Rootfs:
        options = apt_options(run(["apt-config", "dump"]))
        found = (path for path in _LOCAL_CERTIFICATES.glob("**/*.crt") if not path.name.startswith(_OF_CLOUDS))
        return cls(machine_sources(), options, tuple(sorted(found)))

    @property
    def recipe(self) -> str:
        certificates = [path.read_text() for path in self.certificates]
        stanzas = [source.stanza() for source in self.sources]
        return digest(folder_files(_HELPERS), SUITE, *PACKAGES, *LEFT_OUT, *stanzas, *self.options, *certificates)

    def command(self, sources_file: Path, target: Path) -> list[str]:
        """Build the mmdebstrap call. Hooks run in its own mount namespace; `$1` is the file system's root."""
        helper = _HELPERS / "install-packages"
        argv = ["mmdebstrap", "--mode=root", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
        # dpkg may skip its fsyncs: a half-written layer is deleted, never repaired.
        argv += ["--dpkgopt=force-unsafe-io", *(f"--dpkgopt=path-exclude={glob}" for glob in LEFT_OUT)]
        argv += [f"--dpkgopt=path-include={_KEPT}", '--aptopt=Acquire::Languages "none"']
        argv += [f"--aptopt={line.rstrip(';')}" for line in self.options]
        argv += [
            f"--customize-hook=upload {helper} /usr/local/sbin/install-packages",
            '--customize-hook=chmod 0755 "$1/usr/local/sbin/install-packages"',
            # mmdebstrap names the file after its place on the command line; machines have it under this name.
            '--customize-hook=mv "$1"/etc/apt/sources.list.d/*.sources "$1/etc/apt/sources.list.d/debian.sources"',
            # Every droplet must get its own id at its first boot.
            '--customize-hook=: >"$1/etc/machine-id"',
        ]
        if self.certificates:
            argv += [
                *(f"--customize-hook={shlex.join(('upload', str(path), _place(path)))}" for path in self.certificates),
                '--customize-hook=chroot "$1" update-ca-certificates',
            ]
        return [*argv, SUITE, str(target), str(sources_file)]


def _place(certificate: Path) -> str:
    """Return a certificate's path in the image: all are in one directory there."""
    return str(_LOCAL_CERTIFICATES / "-".join(certificate.relative_to(_LOCAL_CERTIFICATES).parts))


def make_tar(rootfs: Rootfs, cache: Path, progress: Callable[[str], None]) -> Path:
    """Make the root file system's tar in the cache, or return the existing one. The caller holds the lock."""
    folder = cache / "rootfs"
    target = folder / f"{rootfs.recipe}.tar"
    if target.exists():
        return target
    progress(f"base: making the Debian root file system from {_hosts(rootfs.sources)}; takes about a minute")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(_WORK, ignore_errors=True)  # from a killed build
    _WORK.mkdir(mode=0o755)
    partial = folder / f"{rootfs.recipe}.partial.tar"
    try:
        with tempfile.NamedTemporaryFile("w", suffix=".sources", dir=_WORK) as file:
            file.write("\n".join(source.stanza() for source in rootfs.sources))
            file.flush()
            run(rootfs.command(Path(file.name), partial), environment={"TMPDIR": str(_WORK)})
    finally:
        shutil.rmtree(_WORK, ignore_errors=True)
    partial.rename(target)
    for stale in folder.glob("*.tar"):
        if stale != target:
            stale.unlink()
    return target


def import_command(tar: Path, image: str, labels: Iterable[str]) -> list[str]:
    """Build the call that turns the tar into an image."""
    changes = [*_ENVIRONMENT, *(f"LABEL {label}" for label in labels)]
    return ["docker", "import", *(part for change in changes for part in ("--change", change)), str(tar), image]


def _hosts(sources: Iterable[Source]) -> str:
    return ", ".join(sorted({source.uri for source in sources}))
