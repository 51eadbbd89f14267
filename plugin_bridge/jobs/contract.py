"""What a job is, how one ends, and what becomes of its errors; for those that make jobs and that run them."""

from __future__ import annotations

import errno
import json
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from plugin_bridge.errors import BridgeError
from plugin_bridge.jobs.progress import UP_TO_DATE, Report
from plugin_bridge.naming import printable
from separators.errors import SeparatorError


@dataclass(frozen=True)
class StemFile:
    """One file of a track."""

    stems: tuple[str, ...]
    """What its channels hold: one stem, or several one after the other; nothing for a bounced track."""
    path: Path


@dataclass(frozen=True)
class TrackResult:
    """What there is of one track (or file) now."""

    track: str
    index: int
    """Its number in the session, or among the files."""
    files: tuple[StemFile, ...]
    manifest: Path | None = None
    """What lies beside the files and says what they were made from; None of a bounced track."""
    pictures: tuple[Path, ...] = ()
    start_seconds: float | None = None
    """The first frame's place on the DAW's timeline; None if nothing says so."""
    bit_depth: str = ""
    gain: float = 1.0
    """Linear, the same for all stems; below 1 only where integers were asked for and would have clipped."""
    residual_db: float | None = None
    """How far the files' sum is from what was separated, relative to that."""
    heard: dict[str, list[list[float]]] = field(default_factory=dict)
    """For each stem the spans ``[start, end]`` in seconds in which it is heard."""

    @property
    def stems(self) -> dict[str, Path]:
        """The path of each stem's file."""
        return {stem: file.path for file in self.files for stem in file.stems}


@dataclass(frozen=True)
class Result:
    """How one job ended; small, so that it travels between processes."""

    job: str
    status: Literal["planned", "done", "skipped", "left out", "failed"]
    """``skipped``: all of it was there already; ``left out``: looks like audio and is not taken."""
    outputs: list[Path] = field(default_factory=list)
    """The audio files that are there now; of a planned job all that it will write."""
    error: str = ""
    """One line: why it failed."""
    details: str = ""
    """The traceback of a failure that was nobody's intention."""
    seconds: float = 0.0
    not_honoured: list[str] = field(default_factory=list)
    """What was met in the input and could not be reproduced."""
    warnings: list[str] = field(default_factory=list)
    """What speaks against the result: by the method itself, or a gain that no stem should have had."""
    notes: list[str] = field(default_factory=list)
    """What is worth knowing of the result and no fault."""
    tracks: list[TrackResult] = field(default_factory=list)

    @property
    def outcome(self) -> str:
        """One word or two for people; why it failed stands at the end of all, once."""
        words = {"skipped": UP_TO_DATE, "left out": "left out", "failed": "failed"}
        return words.get(self.status) or f"done in {self.seconds:.1f} s"

    def as_json(self) -> dict[str, Any]:
        """For ``--json``; without the traceback."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self), default=str))
        return {key: value for key, value in values.items() if key != "details"}


@dataclass(frozen=True)
class Results:
    """How the jobs of one call ended."""

    jobs: list[Result]
    project: Path | None = None
    """The project beside a session's stems, if there is one."""
    notes: list[str] = field(default_factory=list)
    """What is worth knowing of all of them: where the preset falls short."""
    page: Path | None = None
    """The file to open to listen to the stems, if a page was asked for."""
    projects: list[Path] = field(default_factory=list)
    """The REAPER projects beside the stems of a job file's sessions."""

    @property
    def tracks(self) -> list[TrackResult]:
        """What there is of each track (or file) now, over all jobs."""
        return [track for job in self.jobs for track in job.tracks]

    @property
    def failed(self) -> list[Result]:
        """The jobs that failed."""
        return [job for job in self.jobs if job.status == "failed"]


@dataclass(frozen=True)
class Survey:
    """What is known of a job before it is done."""

    outputs: list[Path] = field(default_factory=list)
    """The files that it will write."""
    seconds: float = 0.0
    """How much audio it is about."""
    size: int = 0
    """How many bytes its audio files will have, more or less."""
    temporary: int = 0
    """How many bytes wait in its temporary folder while it is done, beside those files."""


class Job(Protocol):
    """Something to do that can be pickled: paths, names and settings, never audio."""

    @property
    def label(self) -> str:
        """What people know it by, distinct within a batch."""
        ...

    def run(self, report: Report) -> Result:
        """Do it; raises what went wrong. Running it again must be harmless."""
        ...

    def inputs(self) -> list[Path]:
        """Files that no result may overwrite."""
        ...

    def survey(self) -> Survey:
        """What will come of it; opens its inputs, once. Raises if that cannot be known."""
        ...


def attempt(job: Job, report: Report) -> Result:
    """Run ``job`` and turn whatever goes wrong into a failed result of one line."""
    try:
        return job.run(report)
    except Exception as error:  # the other jobs still run
        details = "" if _is_expected(error) else traceback.format_exc()
        return Result(job.label, "failed", error=without_name(describe(error), job.label), details=details)


def without_name(text: str, name: str) -> str:
    """An error's ``text`` for a line that begins with ``name`` already.

    >>> without_name("a.wav: not audio", "a.wav"), without_name("not audio", "a.wav")
    ('not audio', 'not audio')
    """
    return text.removeprefix(f"{name}: ")


def _is_expected(error: Exception) -> bool:
    return isinstance(error, BridgeError | SeparatorError | OSError | MemoryError)


def describe(error: Exception) -> str:
    """One line for people: what went wrong and what to do."""
    text = printable(" ".join(str(error).split()))
    if isinstance(error, RuntimeError) and "can't allocate memory" in text:  # torch's way to say it
        error = MemoryError()
    if not _is_expected(error):  # a defect of ours or of a plug-in
        return f"internal error: {type(error).__name__}: {text}; --debug shows where"
    if isinstance(error, MemoryError):
        return "not enough memory; run fewer jobs at once (--jobs)"
    if isinstance(error, OSError) and error.strerror:
        where = printable(f"{error.filename}: ") if error.filename else ""
        advice = "; free some space and run the same command again" if error.errno == errno.ENOSPC else ""
        return f"{where}{error.strerror[0].lower()}{error.strerror[1:]}{advice}"
    return text
