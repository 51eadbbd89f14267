"""What takes a job's place where there is nothing to do, so that nothing is left out in silence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from plugin_bridge.errors import JobError
from plugin_bridge.jobs.contract import Result, Survey
from plugin_bridge.jobs.progress import Report


@dataclass(frozen=True)
class NotDone:
    """A file or a job that is not done, and why; ``fails`` if that is an error."""

    label: str
    reason: str
    fails: bool

    def run(self, report: Report) -> Result:
        """Say it; raises :class:`JobError` if it is an error."""
        if self.fails:
            raise JobError(self.reason)
        return Result(self.label, "left out", warnings=[f"left out: {self.reason}"])

    def inputs(self) -> list[Path]:
        """None."""
        return []

    def survey(self) -> Survey:
        """Nothing."""
        return Survey()


def left_out(label: str, reason: str, strict: bool) -> NotDone:
    """For a file that looks like audio and is not taken; ``reason`` continues its name."""
    return NotDone(label, f"{reason}; --strict refuses this" if strict else reason, strict)
