"""Many jobs, here or through any :class:`concurrent.futures.Executor`; one bad job stops no other.

A job runs at least once: when a worker is killed, everything in flight is lost and runs again,
so jobs write under temporary names and skip what is already done. A job whose workers die twice
runs alone at the end, to tell the guilty one from its neighbours.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import suppress

from plugin_bridge.jobs.contract import Job, Result, attempt
from plugin_bridge.jobs.progress import Cancelled, Event, Reporter
from plugin_bridge.jobs.workers import run_in_worker, worker_pools

ExecutorFactory = Callable[[int], Executor]
"""Makes an executor of so many workers; used as a context manager, and again after a worker died."""
ATTEMPTS = 2
"""A job whose worker died so often is kept for the end, to run alone."""


def run_jobs(
    jobs: Sequence[Job],
    reporter: Reporter,
    workers: int = 1,
    pools: ExecutorFactory | None = None,
) -> list[Result]:
    """Run ``jobs`` and return their results in the same order.

    One worker runs in this process; more run in processes of their own, or in the executors
    that ``pools`` makes. An interrupt (Ctrl-C, or :class:`~plugin_bridge.jobs.progress.Cancelled`) stops the
    running jobs, which clean up, and is raised.
    """
    reporter.begin(len(jobs))
    if pools is None and min(workers, len(jobs)) <= 1:
        return [_here(job, reporter) for job in jobs]
    if pools is not None:
        return _Batch(jobs, reporter, pools).run(workers)

    def update(event: Event) -> None:
        with suppress(Cancelled):  # in a thread that nobody waits for; see Reporter.check
            reporter.update(event)

    with worker_pools(update) as local:
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
                # With a timeout: neither Windows nor a reporter can interrupt an endless wait.
                done = wait(flying, timeout=0.5, return_when=FIRST_COMPLETED).done
                self._reporter.check()
                for future in done:
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
