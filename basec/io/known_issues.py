"""Known issues by their ids: the rows of `docs/known-issues.md`, and which row a message has there.

The page is the only copy, read when somebody asks; a message needs only the table below.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from basec.environments import ROOT

PAGE = "docs/known-issues.md"
MESSAGES = (
    ("BC-E026", "is deeper than the universal certificate"),
    ("BC-E028", "Python 3.11 or newer"),
    ("BC-E029", "not run on this system"),
    ("BC-E030", "no Debian archive with component main"),
    ("BC-E031", "NO_PUBKEY"),
    ("BC-E032", "runs on another kernel"),
    ("BC-E032", "is rootless"),
    ("BC-E033", "cannot find an unused loop device"),
    ("BC-E033", "/dev/loop-control is missing"),
    ("BC-E034", "no memory controller under /sys/fs/cgroup"),
    ("BC-E035", "is taken by another program"),
    ("BC-E040", "overlaps the route to"),
    ("BC-E041", "is the cloud of the clone that this one was copied from"),
    ("BC-E042", "the kernel has no br_netfilter"),
    ("BC-E043", "no chain DOCKER-USER"),
    ("BC-E045", "cannot be raised"),
    ("BC-E053", "locked by process"),
    ("BC-E067", "cannot be reached by SSH"),
    ("BC-E054", "cannot be reached"),
    ("BC-E058", "the passphrase does not fit this file"),
    ("BC-E062", "refused, because it is not in the plan"),
    ("BC-E064", "wrong host key"),
    ("BC-E065", "login refused"),
    ("BC-E068", "a release needs"),
    ("BC-E069", "the metrics agent does not run"),
    ("BC-E070", "the metrics agent cannot reach the metadata address"),
    ("BC-E071", "events wait in the outbox"),
    ("BC-E077", "crashed while it worked"),
    ("BC-E078", "Can not delete default VPC"),
    ("BC-E079", "is the default VPC of its region, and would be deleted"),
    ("BC-E080", "already has a pending event"),
    ("BC-E081", "81053"),
    ("BC-E081", "81054"),
    ("BC-E083", "invalid email"),
    ("BC-E084", "already in use on your account"),
    ("BC-E086", "Invalid value for zone setting"),
    ("BC-E090", "the previous release serves again"),
    ("BC-E093", "holds no file system but is not blank"),
    ("BC-E093", "has the label"),
)
"""A part of a message, and its row; the first match counts. The row shows the same words."""
HINT = "hint: "
COMMAND = "basec explain"
ROW = re.compile(r'^\| <a id="(?P<anchor>[a-z0-9-]+)"></a>(?P<id>BC-E\d{3}) \| (?P<cells>.+) \|$')
LINK = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<target>[^)\s]+)\)")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the page. `fields` are its other cells as plain text, by the names of their columns."""

    id: str
    subject: str
    """The heading above its table."""
    fields: dict[str, str]
    page: str

    @property
    def symptom(self) -> str:
        """The first cell: what the operator sees."""
        return next(iter(self.fields.values()))


def rows(root: Path = ROOT) -> dict[str, Row]:
    """Read every row of the page, by id."""
    found: dict[str, Row] = {}
    subject, columns = "", list[str]()
    for line in (root / PAGE).read_text().splitlines():
        if line.startswith("## "):
            subject = line.removeprefix("## ")
        elif line.startswith("| id |"):
            columns = _cells(line.removeprefix("| id |").removesuffix("|"))
        elif row := ROW.match(line):
            fields = dict(zip(columns, map(plain, _cells(row["cells"])), strict=True))
            page = f"{PAGE}#{row['anchor']}"
            found[row["id"]] = Row(id=row["id"], subject=plain(subject), fields=fields, page=page)
    return found


def plain(cell: str) -> str:
    """Return a cell for a terminal: a link becomes its text and its target, from the root of the repository."""

    def resolved(link: re.Match[str]) -> str:
        target = link["target"]
        if target.startswith("#"):
            target = PAGE + target
        elif "://" not in target:
            target = posixpath.normpath(posixpath.join(posixpath.dirname(PAGE), target))
        return f"{link['text']} ({target})"

    return LINK.sub(resolved, cell).replace("**", "")


def id_of(text: str) -> str:
    """Return the id of a message's row, or an empty string."""
    return next((row for row, words in MESSAGES if words in text), "")


def pointer(text: str) -> str:
    """Return the command that shows a message's row, or an empty string."""
    found = id_of(text)
    return f"{COMMAND} {found}" if found else ""


def with_pointers(text: str) -> str:
    """Add to each hint of an error the command that shows its row; an error without a hint gets one."""
    return "\n".join(_pointed(text.splitlines()))


def _pointed(lines: list[str]) -> Iterator[str]:
    more = ""
    for line in lines:
        if not line.startswith(HINT):
            more = more or pointer(line)
            yield line
            continue
        yield f"{line}; more: {more}" if more and COMMAND not in line else line
        more = ""
    if more:
        yield f"{HINT}{more}"


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.split(" | ")]
