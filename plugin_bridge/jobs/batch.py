"""Many jobs, here or through any :class:`concurrent.futures.Executor`; one bad job stops no other.

A job runs at least once: when a worker is killed, everything in flight is lost and runs again,
so jobs write under temporary names and skip what is already done. A job whose workers die twice
runs alone at the end, to tell the guilty one from its neighbours.
"""

from __future__ import annotations

import errno
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from plugin_bridge.errors import BridgeError
from plugin_bridge.jobs.progress import Event, Report, Reporter
from plugin_bridge.jobs.workers import run_in_worker, worker_pools
from plugin_bridge.naming import printable
from separators.errors import SeparatorError

ExecutorFactory = Callable[[int], Executor]
"""Makes an executor of so many workers; used as a context manager, and again after a worker died."""
ATTEMPTS = 2
"""A job whose worker died so often is kept for the end, to run alone."""


@dataclass(frozen=True)
class Result:
    """How one job ended; small, so that it travels between processes."""

    job: str
    status: Literal["done", "skipped", "failed"]
    outputs: list[str] = field(default_factory=list)
    """Paths of the files that are there now."""
    error: str = ""
    """One line: why it failed."""
    details: str = ""
    """The traceback of a failure that was nobody's intention."""
    seconds: float = 0.0
    not_honoured: list[str] = field(default_factory=list)
    """What was met in the input and could not be reproduced."""
    warnings: list[str] = field(default_factory=list)
    """What the method itself says against its result."""
    tracks: list[dict[str, Any]] = field(default_factory=list)
    """For each track its name, number, manifest and files, as far as the kind of job has them."""

    @property
    def outcome(self) -> str:
        """One line for people."""
        if self.status == "failed":
            return f"failed: {self.error}"
        return "up to date" if self.status == "skipped" else f"done in {self.seconds:.1f} s"

    def as_json(self) -> dict[str, Any]:
        """For ``--json``; without the traceback."""
        return {key: value for key, value in asdict(self).items() if key != "details"}


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

    def outputs(self) -> list[Path]:
        """The files that :meth:`run` will write; raises if that cannot be known."""
        ...


def attempt(job: Job, report: Report) -> Result:
    """Run ``job`` and turn whatever goes wrong into a failed result of one line."""
    try:
        return job.run(report)
    except Exception as error:  # the other jobs still run
        details = "" if _is_expected(error) else traceback.format_exc()
        return Result(job.label, "failed", error=describe(error), details=details)


def _is_expected(error: Exception) -> bool:
    return isinstance(error, BridgeError | SeparatorError | OSError | MemoryError)


def describe(error: Exception) -> str:
    """One line for people: what went wrong and what to do."""
    text = printable(" ".join(str(error).split()))
    if not _is_expected(error):  # a defect of ours or of a plug-in
        return f"internal error: {type(error).__name__}: {text}; --debug shows where"
    if isinstance(error, MemoryError):
        return "not enough memory; run fewer jobs at once (--jobs)"
    if isinstance(error, OSError) and error.strerror:
        where = printable(f"{error.filename}: ") if error.filename else ""
        advice = "; free some space and run the same command again" if error.errno == errno.ENOSPC else ""
        return f"{where}{error.strerror[0].lower()}{error.strerror[1:]}{advice}"
    return text


def run_jobs(
    jobs: Sequence[Job],
    reporter: Reporter,
    workers: int = 1,
    pools: ExecutorFactory | None = None,
) -> list[Result]:
    """Run ``jobs`` and return their results in the same order.

    One worker runs in this process; more run in processes of their own, or in the executors
    that ``pools`` makes. An interrupt (Ctrl-C) stops the running jobs, which clean up, and is raised.
    """
    reporter.begin(len(jobs))
    if pools is None and min(workers, len(jobs)) <= 1:
        return [_here(job, reporter) for job in jobs]
    if pools is not None:
        return _Batch(jobs, reporter, pools).run(workers)
    with worker_pools(reporter.update) as local:
        return _Batch(jobs, reporter, local).run(min(workers, len(jobs)))


def _here(job: Job, reporter: Reporter) -> Result:
    result = attempt(job, lambda stage, fraction: reporter.update(Event(job.label, stage, fraction)))
    reporter.finish(job.label, result.outcome)
    return result


class _Batch:
    """Jobs by number, in flight on executors that may break."""

    def __init__(self, jobs: Sequence[Job], reporter: Reporter, pools: ExecutorFactory) -> None:
        self._jobs = jobs
        self._reporter = reporter
        self._pools = pools
        self._results: dict[int, Result] = {}
        self._deaths = [0] * len(jobs)

    def run(self, workers: int) -> list[Result]:
        waiting = deque(range(len(self._jobs)))
        suspects: list[int] = []
        while waiting:
            for number in self._round(waiting, workers):
                self._deaths[number] += 1
                (suspects if self._deaths[number] >= ATTEMPTS else waiting).append(number)
        for number in suspects:
            if self._round(deque([number]), 1):
                self._end(number, self._killed(number))
        return [self._results[number] for number in range(len(self._jobs))]

    def _round(self, waiting: deque[int], workers: int) -> list[int]:
        """Work until nothing is waiting or the executor breaks; returns what was lost in flight."""
        lost: list[int] = []
        flying: dict[Future[Result], int] = {}
        with self._pools(workers) as executor:
            while (waiting and not lost) or flying:
                # Only as many as there are workers: what waits here cannot be lost.
                while waiting and not lost and len(flying) < workers:
                    number = waiting.popleft()
                    try:
                        flying[executor.submit(run_in_worker, self._jobs[number])] = number
                    except BrokenExecutor:
                        lost.append(number)
                # With a timeout, since Windows cannot interrupt an endless wait.
                for future in wait(flying, timeout=1, return_when=FIRST_COMPLETED).done:
                    number = flying.pop(future)
                    try:
                        self._end(number, future.result())
                    except BrokenExecutor:
                        lost.append(number)
        return lost

    def _end(self, number: int, result: Result) -> None:
        self._results[number] = result
        self._reporter.finish(result.job, result.outcome)

    def _killed(self, number: int) -> Result:
        text = (
            f"its worker process was killed {ATTEMPTS + 1} times, the last time while it ran alone; "
            "most often the system had no memory left"
        )
        return Result(self._jobs[number].label, "failed", error=text)
