"""How far the jobs are: bars with the time left on a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from plugin_bridge.jobs.pace import FIRST_SECONDS, Pace, clock
from plugin_bridge.terminal import one_line, write

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from plugin_bridge.jobs.contract import Result

Report = Callable[[str, float], None]
"""Called by a job with its stage and the fraction of the whole job that is done; may raise to stop it."""


UP_TO_DATE = "up to date"
"""The outcome of a job that was done already."""

Callback = Callable[[str, str, float], None]
"""Called with a job's name, its stage and the fraction of it that is done (0 to 1)."""


@dataclass(frozen=True)
class Event:
    """A job, the stage it is in and the fraction of the whole job that is done (0 to 1)."""

    job: str
    stage: str
    fraction: float
    detail: str = ""
    """What changes all the time, for displays that do so too."""


class Reporter:
    """Shows nothing; the base of those that do. Events may come from any thread."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def weigh(self, seconds: Mapping[str, float]) -> None:
        """So much audio each job is about, by its label, where that is known; said before :meth:`begin`."""

    def begin(self, jobs: int) -> None:
        """So many jobs are to be done."""

    def more(self, seconds: Mapping[str, float]) -> None:
        """These jobs came while others were at work, by their labels, with so much audio each."""

    def update(self, event: Event) -> None:
        """A job is further than before."""

    def finish(self, job: str, outcome: str) -> None:
        """A job has ended: ``done in 3.2 s``, ``failed: ...``."""

    def end(self, result: Result) -> None:
        """A job has ended, with all that is known of it."""
        self.finish(result.job, result.outcome)

    def say(self, line: str) -> None:
        """Something happened that is worth a line."""

    def check(self) -> None:
        """Raise :class:`Cancelled` if the jobs are to stop; called now and then by who waits for them."""


class Cancelled(BaseException):
    """Somebody who is told of the progress wants all jobs to stop; passes through them as Ctrl-C does."""


class CallbackReporter(Reporter):
    """Tells a function; what that raises ends all jobs and stands in ``error`` then."""

    def __init__(self, callback: Callback) -> None:
        self.error: BaseException | None = None
        self._callback = callback
        self._lock = threading.Lock()
        self._ended: set[str] = set()

    def more(self, seconds: Mapping[str, float]) -> None:
        """They may be jobs that had ended before."""
        with self._lock:
            self._ended -= seconds.keys()

    def update(self, event: Event) -> None:
        """Call it, unless the job's worker is heard late; raises :class:`Cancelled` if it raises."""
        with self._lock:
            if event.job not in self._ended:
                self._call(event.job, event.stage, event.fraction)

    def finish(self, job: str, outcome: str) -> None:
        """Call it for the last time for this job."""
        with self._lock:
            self._ended.add(job)
            self._call(job, outcome, 1.0)

    def check(self) -> None:
        """Whether it has raised, in any thread."""
        if self.error is not None:
            raise Cancelled

    def _call(self, job: str, stage: str, fraction: float) -> None:
        self.check()
        try:
            self._callback(job, stage, fraction)
        except BaseException as error:
            self.error = error
            raise Cancelled from error


class LineReporter(Reporter):
    """Plain lines for logs and pipes: each stage's start, each quarter of a job, each end."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._shown: dict[str, tuple[str, int]] = {}
        self._jobs = 0
        self._ended = 0
        self._pace = Pace()

    def weigh(self, seconds: Mapping[str, float]) -> None:
        """For the speed and the time that is left."""
        self._pace.weigh(seconds)

    def begin(self, jobs: int) -> None:
        """Count from here."""
        self._jobs, self._ended = jobs, 0
        self._pace.begin(jobs)

    def more(self, seconds: Mapping[str, float]) -> None:
        """Count them, too."""
        with self._lock:
            self._jobs += len(seconds)
            self._pace.more(seconds)

    def update(self, event: Event) -> None:
        """A line at most for each stage and each quarter."""
        step = (event.stage, int(event.fraction * 4))
        with self._lock:
            self._pace.update(event.job, event.fraction)
            if self._shown.get(event.job) != step:
                self._shown[event.job] = step
                self._line(f"{event.job}: {event.stage}, {100 * event.fraction:.0f} %")

    def finish(self, job: str, outcome: str) -> None:
        """A line, with the count where it is one of the jobs that were begun; the page to listen is none."""
        with self._lock:
            self._ended += 1
            self._shown.pop(job, None)
            self._pace.update(job, 1.0, free=outcome == UP_TO_DATE)
            count = f" ({self._ended} of {self._jobs}{self._speed()})" if self._ended <= self._jobs else ""
            self._line(f"{job}: {outcome}{count}")

    def say(self, line: str) -> None:
        """The line."""
        with self._lock:
            self._line(line)

    def _speed(self) -> str:
        speed, left = self._pace.times_real_time, self._pace.seconds_left
        if speed is None or left is None or self._ended == self._jobs:
            return ""
        return f", {speed:.1f} x real time, {clock(left)} left"

    def _line(self, text: str) -> None:
        write(text, self._stream)


class BarReporter(Reporter):
    """A bar for the whole batch with the time left, and one for each job at work."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        self._console = Console(file=stream, highlight=False)
        self._progress: Progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[left]}"),
            console=self._console,
            transient=True,
        )
        self._lock = threading.Lock()
        self._all: TaskID | None = None
        self._tasks: dict[str, TaskID] = {}
        self._fractions: dict[str, float] = {}
        self._begun: dict[str, float] = {}
        self._jobs = 0
        self._before = 0.0
        self._pace = Pace()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def weigh(self, seconds: Mapping[str, float]) -> None:
        """For the speed and the time that is left."""
        self._pace.weigh(seconds)

    def begin(self, jobs: int) -> None:
        """Show the bar of the whole batch, unless that is one job."""
        self._pace.begin(jobs)
        self._jobs = jobs
        self._all = self._progress.add_task("all", total=jobs, left="") if jobs > 1 else None

    def more(self, seconds: Mapping[str, float]) -> None:
        """Lengthen the bar of the whole batch."""
        with self._lock:
            self._pace.more(seconds)
            self._jobs += len(seconds)
            for job in seconds:  # which may have been done before, as it was then
                self._before += self._fractions.pop(job, 0.0)
            if self._all is None:
                self._all = self._progress.add_task("all", total=self._jobs, left="")
            self._progress.update(self._all, total=self._jobs)

    def update(self, event: Event) -> None:
        """Move the job's bar and the batch's."""
        with self._lock:
            if self._fractions.get(event.job) == 1.0:
                return  # from a worker that is heard late
            if event.job not in self._tasks:
                self._tasks[event.job] = self._progress.add_task(event.job, total=1.0, left="")
                self._begun[event.job] = time.monotonic()
            self._progress.update(
                self._tasks[event.job],
                completed=event.fraction,
                description=one_line(" ".join(filter(None, (f"{event.job}: {event.stage}", event.detail)))),
                left=self._left_of(event),
            )
            self._advance(event.job, event.fraction)

    def finish(self, job: str, outcome: str) -> None:
        """Replace the job's bar by a line."""
        with self._lock:
            if job in self._tasks:
                self._progress.remove_task(self._tasks.pop(job))
            self._advance(job, 1.0, free=outcome == UP_TO_DATE)
        self._console.print(one_line(f"{job}: {outcome}"), markup=False)

    def say(self, line: str) -> None:
        """The line, above the bars."""
        self._console.print(one_line(line), markup=False, soft_wrap=True)

    def _left_of(self, event: Event) -> str:
        """How long this job will still take, as it went so far."""
        elapsed = time.monotonic() - self._begun[event.job]
        if event.fraction <= 0 or elapsed < FIRST_SECONDS:
            return ""
        return clock(elapsed * (1 - event.fraction) / event.fraction)

    def _advance(self, job: str, fraction: float, free: bool = False) -> None:
        self._fractions[job] = fraction
        self._pace.update(job, fraction, free)
        if self._all is not None:
            speed, left = self._pace.times_real_time, self._pace.seconds_left
            said = [] if left is None else [clock(left)]
            said += [] if speed is None else [f"{speed:.1f} x real time"]
            self._progress.update(
                self._all, completed=self._before + sum(self._fractions.values()), left=", ".join(said)
            )


def reporter(quiet: bool = False, stream: TextIO | None = None) -> Reporter:
    """The reporter that fits ``stream`` (standard error by default)."""
    stream = sys.stderr if stream is None else stream
    if quiet:
        return Reporter()
    return BarReporter(stream) if stream.isatty() else LineReporter(stream)
