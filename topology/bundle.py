"""The bundle of a tier: its compose files as one tar whose digest is known before anything runs."""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import jinja2

from topology.errors import ConfigurationError, Problem
from topology.files import parse_yaml
from topology.fleet import DATA_DIR, DATA_MOUNT, Tier, read_tier
from topology.project import Project
from topology.secret_texts import SECRET_TEXT
from topology.secrets import quote, secret_files
from topology.tier_variables import variable_problems
from topology.tracked import check_nothing_is_missed, tracked_files, unknown_files

SCRIPTS = PurePosixPath("compose")
"""The Python files directly in it are in the bundle of every tier."""
SKIPPED_NAMES = frozenset({"__pycache__", "env.example", "README.md", ".env"})
"""Files for developers who run `docker compose` by hand; a release gets a rendered `.env` instead."""

SECRET_NAMES = re.compile(
    r"(\.(pem|key|p12|pfx|jks|kdbx|env)|\.env\..*|id_(rsa|dsa|ecdsa|ed25519)|.*(password|secret)s?(\.txt)?|\.netrc|\.pgpass)"
)

IMAGE_PREFIX = "IMAGE_"

BOOTSTRAP = """\
set -euo pipefail
umask 077
find /run -maxdepth 1 -type d -name 'basecommerce.??????' -mmin +60 -exec rm -rf {} +
work="$(mktemp -d /run/basecommerce.XXXXXX)"
trap 'rm -rf "$work"' EXIT
cat > "$work/payload.json"
python3 - "$work" "$digest" << 'UNPACK'
import base64, hashlib, io, json, pathlib, sys, tarfile
work, digest = pathlib.Path(sys.argv[1]), sys.argv[2]
try:
    payload = json.loads((work / "payload.json").read_bytes())
    tar = base64.b64decode(payload["bundle"])
except (ValueError, TypeError, KeyError) as error:
    sys.exit(f"the payload is cut or damaged: {type(error).__name__}\\nhint: run the same command again")
if not hashlib.sha256(tar).hexdigest() == payload["digest"] == digest:
    sys.exit("the bundle does not have the digest " + digest)
with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
    for member in archive:
        path = pathlib.PurePath(member.name)
        if path.is_absolute() or ".." in path.parts or not (member.isfile() or member.isdir()):
            sys.exit(f"bundle: {member.name}: not a plain file\\nhint: rebuild the bundle from compose/")
    archive.extractall(work / "bundle", filter="data")
UNPACK
python3 -B "$work/bundle/release.py" activate "$tier" "$digest" --bundle "$work/bundle" --payload "$work/payload.json"
"""
"""Checks the payload from standard input, unpacks its bundle and hands the directory over to the bundle's own
`release.py`, which checks neither again: nothing of a bundle is run or laid before this has read all of it.
`activation` sets `$tier` and `$digest`.

/run is a tmpfs: the payload, which holds secrets, never reaches a disk from here. What a killed run left is removed by
a later one; none takes an hour (the command's own limit is 40 minutes). `-B`, since Python's compiled files would
become files of the release."""


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """The files of one tier."""

    tier: str
    digest: str
    """SHA-256 of `tar`, in hexadecimal."""
    tar: bytes
    images: tuple[str, ...]
    """What the tier's containers run, as full references."""

    @property
    def files(self) -> dict[str, str]:
        """The text of each file by its name, `.env` included; no file of a bundle holds a secret."""
        with tarfile.open(fileobj=io.BytesIO(self.tar)) as archive:
            return {
                entry.name: file.read().decode(errors="replace")
                for entry in archive
                if (file := archive.extractfile(entry)) is not None
            }

    @property
    def activation(self) -> str:
        """The command that activates this bundle, as bash text; the payload comes by standard input."""
        return f"# activate {self.tier} {self.digest[:12]}\ntier={self.tier} digest={self.digest}\n{BOOTSTRAP}"


@dataclass(frozen=True, kw_only=True)
class Sources:
    """The files below `compose/` that git lists, for the bundles of all droplets."""

    tracked: Mapping[PurePosixPath, bool]
    """By path from the repository's root: whether it is executable."""
    unknown: tuple[PurePosixPath, ...]
    """Those that git neither knows nor ignores."""


def list_sources(root: Path) -> Sources:
    """List the files that bundles are built from. Raises ConfigurationError where git cannot tell."""
    return Sources(tracked=tracked_files(root, str(SCRIPTS)), unknown=unknown_files(root, str(SCRIPTS)))


def build_bundles(project: Project) -> dict[str, Bundle]:
    """Build the bundle of each droplet, by its name. Raises ConfigurationError, as `build_bundle`."""
    sources = list_sources(project.root)
    return {droplet: build_bundle(project, droplet, sources) for droplet in project.inventory.droplets}


def build_bundle(project: Project, droplet: str, sources: Sources | None = None) -> Bundle:
    """Build the bundle of a droplet's tier. Equal files and settings give equal bytes, on any machine and at any time.

    Raises ConfigurationError for a link, for a file that looks like a secret, for a template that does not render, and
    for a variable that the compose file requires and nothing sets.
    """
    spec = project.droplet(droplet)
    sources = sources or list_sources(project.root)
    found = _files(project, spec.tier, sources)
    files = {
        name.with_suffix("") if name.suffix == ".j2" else name: (_content(project, project.root / path), executable)
        for path, (name, executable) in found.items()
    }
    _check_unknown(project, spec.tier, found, sources)
    compose = files[PurePosixPath("compose.yaml")][0].decode()
    document = parse_yaml(f"compose/{spec.tier}/compose.yaml", compose)
    known = _known_variables(project) | ({DATA_DIR: DATA_MOUNT} if spec.volume else {})
    tier = _checked_tier(project, droplet, document, files, known)
    files[PurePosixPath("tier.json")] = (tier.description(project.settings.release_watch_seconds).encode(), False)
    used = set(re.findall(r"\$\{?([A-Z][A-Z0-9_]*)", compose))
    variables = {name: known[name] for name in sorted(used & set(known))}
    files[PurePosixPath(".env")] = ("".join(f"{key}={quote(variables[key])}\n" for key in variables).encode(), False)
    tar = pack(files)
    images = tuple(sorted({value for key, value in variables.items() if key.startswith(IMAGE_PREFIX)}))
    return Bundle(tier=spec.tier, digest=hashlib.sha256(tar).hexdigest(), tar=tar, images=images)


def _files(project: Project, tier: str, sources: Sources) -> dict[PurePosixPath, tuple[PurePosixPath, bool]]:
    """Return the files of a tier by path: the name of each in the bundle, and whether it is executable."""
    folder = PurePosixPath("compose", tier)
    needed_files = {folder / "compose.yaml": folder, SCRIPTS / "release.py": SCRIPTS / "release.py"}
    for needed in needed_files:
        if not (project.root / needed).is_file():
            raise _refusal(project, project.root / needed, "there is no such file", "restore it with `git checkout`")
    found = {}
    for path, executable in sources.tracked.items():
        script = path.parent == SCRIPTS and path.suffix == ".py"
        if not script and (folder not in path.parents or SKIPPED_NAMES & set(path.parts)):
            continue
        if (project.root / path).is_symlink():
            raise _refusal(
                project,
                project.root / path,
                "is a symbolic link, which could bring in a file from elsewhere",
                "put the file itself here",
            )
        found[path] = (path.relative_to(SCRIPTS if script else folder), executable)
    for needed, whole in needed_files.items():
        if needed not in found:
            raise _refusal(
                project, project.root / needed, "is not known to git, so no release has it", f"git add {whole}"
            )
    return found


def _check_unknown(project: Project, tier: str, found: Iterable[PurePosixPath], sources: Sources) -> None:
    folder = PurePosixPath("compose", tier)
    unknown = [
        path
        for path in sources.unknown
        if (path.parent == SCRIPTS or folder in path.parents) and not SKIPPED_NAMES & set(path.parts)
    ]
    if unknown:
        texts = {path: (project.root / path).read_text(errors="replace") for path in found}
        check_nothing_is_missed(unknown, texts)


def _content(project: Project, path: Path) -> bytes:
    data = path.read_bytes()
    if SECRET_NAMES.fullmatch(path.name) or SECRET_NAMES.fullmatch(path.suffix):
        raise _refusal(project, path, "looks like a secret", "secrets come from the stack's settings; remove the file")
    if line := _line_of_a_secret(data):
        hint = "remove it and make a new secret; secrets come from the stack's settings"
        raise _refusal(project, path, f"line {line} looks like a secret", hint)
    if path.suffix == ".j2":
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise _refusal(project, path, f"is not a text file: {error}", "save it as UTF-8") from None
        data = _render(project, path, text).encode()
    return data


@cache
def _line_of_a_secret(data: bytes) -> int:
    """Find the first line that looks like a secret; 0 if none does. Each tier has the same scripts."""
    found = SECRET_TEXT.search(data)
    return data.count(b"\n", 0, found.start()) + 1 if found else 0


def template_variables(project: Project) -> dict[str, object]:
    """Return the variables that templates of a tier may use."""
    return {
        "domain": project.settings.domain,
        "environment": project.settings.environment,
        "vpc_ip_range": str(project.settings.vpc_ip_range),
        "cloudflare_ranges": [str(network) for network in project.settings.cloudflare.ranges],
    }


def _render(project: Project, path: Path, text: str) -> str:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False)  # noqa: S701 - configuration files, not HTML
    try:
        return environment.from_string(text).render(template_variables(project))
    except jinja2.TemplateError as error:
        raise _refusal(
            project, path, f"does not render: {error}", "templates may use: " + ", ".join(template_variables(project))
        ) from None


def _known_variables(project: Project) -> dict[str, str]:
    """Return the variables for compose files. A bundle gets only those it uses: a new nginx must not touch infra."""
    known = {f"{IMAGE_PREFIX}{name.upper().replace('-', '_')}": image for name, image in project.images().items()}
    return known | {"DOMAIN": project.settings.domain}


def _checked_tier(
    project: Project, droplet: str, document: Any, files: Iterable[PurePosixPath], known: Iterable[str]
) -> Tier:
    tier = read_tier(project.droplet(droplet).tier, document)
    problems = variable_problems(
        droplet,
        document,
        project.inventory,
        secret_files=secret_files(project, droplet),
        directories={name.parts[0] for name in files if len(name.parts) > 1},
        live=tier.live,
        bundled=tuple(known),
    )
    if found := list(problems):
        raise ConfigurationError(found)
    return tier


def pack(files: Mapping[PurePosixPath, tuple[bytes, bool]]) -> bytes:
    """Write a tar whose bytes depend on names and contents only."""
    folders = {parent for name in files for parent in name.parents if parent.parts}
    buffer = io.BytesIO()
    # USTAR has no header that a Python version could fill in differently.
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted({*files, *folders}):
            entry = tarfile.TarInfo(str(name))
            if name in folders:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(entry)
                continue
            data, executable = files[name]
            entry.size, entry.mode = len(data), 0o755 if executable else 0o644
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def _refusal(project: Project, path: Path, message: str, hint: str) -> ConfigurationError:
    return ConfigurationError([Problem(file=str(path.relative_to(project.root)), path="", message=message, hint=hint)])
