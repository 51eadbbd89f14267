"""The queue on the disk: what was submitted and has not ended is found again after a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from separators import regular_files
from separators.atomic import write_atomically

NAME = ".stembridge-queue.json"
"""In the served folder; hidden, so that no request can name it."""
MOST_BYTES = 1_000_000
"""Far more than a full queue has."""


class Submission(BaseModel):
    """One job that has not ended."""

    model_config = ConfigDict(extra="forbid", strict=True)

    number: int = Field(ge=1)
    path: str
    preset: str
    kind: str
    submitted: float


class _Journal(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    numbers: int = Field(ge=0)
    jobs: list[Submission]


def read(root: Path) -> tuple[int, list[Submission]]:
    """How many numbers were given out, and the submissions in their order; nothing where nothing can be read.

    They are no more trusted than a request: who takes them checks them as one.
    """
    try:
        found = _Journal.model_validate_json(regular_files.read(root / NAME, MOST_BYTES))
    except (OSError, ValidationError):
        return 0, []
    return max([found.numbers, *(job.number for job in found.jobs)]), found.jobs


def write(root: Path, numbers: int, jobs: list[dict[str, Any]]) -> None:
    """Write it whole; raises OSError."""
    kept = [Submission(**{name: job[name] for name in Submission.model_fields}) for job in jobs]
    write_atomically(root / NAME, _Journal(numbers=numbers, jobs=kept).model_dump_json(indent=1).encode())
