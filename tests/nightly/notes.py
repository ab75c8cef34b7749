"""What a part has done so far, kept beside its stack: a run that is interrupted loses only the step in progress."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Notes:
    """The figures of a part under way; they become those of its result."""

    path: Path
    judged: Mapping[str, str]
    """Digests of what the part judges: steps that were done on other content do not count."""
    figures: dict[str, Any] = field(default_factory=dict)
    earlier_s: float = 0.0
    """What the kept steps of earlier runs took."""
    began: float = field(default_factory=time.monotonic)

    @classmethod
    def open(cls, path: Path, judged: Mapping[str, str], *, again: bool = False) -> Notes:
        """Go on with what a run on the same content left, or begin anew."""
        if not again and path.exists():
            found = json.loads(path.read_text())
            if found["judged"] == judged:
                return cls(path, judged, found["figures"], found["seconds"])
        return cls(path, judged)

    @property
    def seconds(self) -> float:
        """What the part took until now, in all runs."""
        return self.earlier_s + time.monotonic() - self.began

    def keep(self, **figures: Any) -> None:
        """Write figures down once a step is done. At one stroke, since the next thing may be a kill."""
        self.figures.update(figures)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_suffix(".new")
        draft.write_text(json.dumps({"judged": self.judged, "figures": self.figures, "seconds": self.seconds}))
        draft.replace(self.path)

    def forget(self) -> None:
        """Remove the file: the part has ended."""
        self.path.unlink(missing_ok=True)
