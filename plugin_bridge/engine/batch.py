"""Many jobs, here or through any :class:`concurrent.futures.Executor`; one bad job stops no other.

A job runs at least once: when its worker is killed it runs again, so jobs write under temporary names and
skip what is already done. A job whose workers die again and again runs alone at the end, to tell the guilty
one from its neighbours. The longest job is begun first, so that the last one to end is not the longest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from contextlib import suppress

from plugin_bridge.engine.contract import WorkerExecutor, WorkerLostError, Workers
from plugin_bridge.engine.worker import run_in_worker
from plugin_bridge.jobs.contract import Job, Result, attempt
from plugin_bridge.jobs.job import SeparateJob
from plugin_bridge.jobs.plan import Planned
from plugin_bridge.jobs.progress import Cancelled, Event, Reporter
from plugin_bridge.jobs.workspace import sweep

ExecutorFactory = Callable[[int], Executor]
"""Makes an executor of so many workers; used as a context manager, and again after one broke."""
ATTEMPTS = 3
"""A job whose worker died so often is kept for the end, to run alone."""
MEMORY_ATTEMPTS = 2
"""A job that needed too much memory so often will need it again."""
LOOK_SECONDS = 0.2
"""Between two looks at what else there is: an endless wait cannot be interrupted everywhere."""


def run_jobs(
    jobs: Sequence[Job],
    reporter: Reporter,
    workers: Workers | int = 1,
    pools: ExecutorFactory | None = None,
    seconds: Mapping[str, float] | None = None,
) -> list[Result]:
    """Run ``jobs`` and return their results in the same order.

    One worker runs in this process; more run in processes of their own, on a cluster, or in the executors
    that ``pools`` makes. ``seconds`` of audio by the jobs' labels decide what is begun first. An interrupt
    (Ctrl-C, or :class:`~plugin_bridge.jobs.progress.Cancelled`) stops the running jobs, which clean up, and
    is raised. Raises :class:`~plugin_bridge.engine.contract.NoWorkersError` if a cluster has none.
    """
    who = Workers(workers) if isinstance(workers, int) else workers
    count = who.count if who.cluster else min(who.count, len(jobs))
    reporter.weigh(seconds or {})
    reporter.begin(len(jobs))
    if pools is None and (not jobs or (count <= 1 and not who.cluster and not who.memory_bytes)):
        return [_here(job, reporter) for job in jobs]

    def update(event: Event) -> None:
        with suppress(Cancelled):  # in a thread that nobody waits for; see Reporter.check
            reporter.update(event)

    def own(count: int) -> Executor:
        if who.cluster:
            from plugin_bridge.engine.cluster import cluster_executor

            return cluster_executor(who, update, reporter.say)
        from plugin_bridge.engine.workers import LocalWorkers

        return LocalWorkers(count, update, who.memory_bytes)

    return _Batch(jobs, reporter, pools or own, count, seconds or {}).run()


def run_plan(plan: Sequence[Planned], reporter: Reporter, workers: Workers) -> list[Result]:
    """Run the jobs of a plan, the longest first."""
    seconds = {one.job.label: one.survey.seconds for one in plan}
    results = run_jobs([one.job for one in plan], reporter, workers, seconds=seconds)
    # What killed workers left is removed by the next job, but for what the last ones left.
    for folder in {part.folder for one in plan if isinstance(one.job, SeparateJob) for part in one.job.parts}:
        sweep(folder)
    return results


def _here(job: Job, reporter: Reporter) -> Result:
    result = attempt(job, lambda stage, fraction: reporter.update(Event(job.label, stage, fraction)))
    reporter.end(result)
    return result


class _Batch:
    """Jobs by number, in flight on executors that may break."""

    def __init__(
        self,
        jobs: Sequence[Job],
        reporter: Reporter,
        pools: ExecutorFactory,
        workers: int,
        seconds: Mapping[str, float],
    ) -> None:
        self._jobs = jobs
        self._reporter = reporter
        self._pools = pools
        self._workers = workers
        self._results: dict[int, Result] = {}
        self._deaths = [0] * len(jobs)
        self._memory = [0] * len(jobs)
        order = sorted(range(len(jobs)), key=lambda number: -seconds.get(jobs[number].label, 0.0))
        self._waiting = deque(order)
        self._suspects: deque[int] = deque()

    def run(self) -> list[Result]:
        while self._waiting or self._suspects:
            with self._pools(self._workers) as executor:
                try:
                    self._use(executor)
                except BaseException:
                    if isinstance(executor, WorkerExecutor):
                        executor.stop()  # else leaving it would wait until the running jobs are done
                    raise
        return [self._results[number] for number in range(len(self._jobs))]

    def _use(self, executor: Executor) -> None:
        """Work until all is done or the executor breaks."""
        flying: dict[Future[Result], int] = {}
        broken = False
        while flying or ((self._waiting or self._suspects) and not broken):
            # Only as many as there are workers: what waits here cannot be lost.
            capacity = executor.capacity if isinstance(executor, WorkerExecutor) else self._workers
            while not broken and (number := self._next(len(flying), capacity)) is not None:
                try:
                    flying[executor.submit(run_in_worker, self._jobs[number])] = number
                except BrokenExecutor:
                    broken = True
                    self._lost(number, 1)
            done = wait(flying, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED).done
            self._reporter.check()
            for future in done:
                number = flying.pop(future)
                try:
                    self._end(number, future.result())
                except WorkerLostError as error:
                    self._memory[number] += error.reason == "memory"
                    self._lost(number, error.deaths)
                except (BrokenExecutor, CancelledError):
                    broken = True
                    self._lost(number, 1)

    def _next(self, flying: int, capacity: int) -> int | None:
        """The job to begin now, if there is one; a suspect only if it is alone."""
        if self._waiting:
            return self._waiting.popleft() if flying < capacity else None
        return self._suspects.popleft() if self._suspects and not flying and capacity else None

    def _lost(self, number: int, deaths: int) -> None:
        self._deaths[number] += deaths
        if self._memory[number] >= MEMORY_ATTEMPTS or self._deaths[number] > ATTEMPTS:
            self._end(number, self._killed(number))
        else:
            (self._suspects if self._deaths[number] == ATTEMPTS else self._waiting).append(number)

    def _end(self, number: int, result: Result) -> None:
        self._results[number] = result
        self._reporter.end(result)

    def _killed(self, number: int) -> Result:
        if self._memory[number]:
            text = (
                "its worker needed more memory than --memory allows and was ended; allow more, run fewer "
                "jobs at once (--jobs), or choose a preset that needs less"
            )
        else:
            text = (
                f"its worker process was killed {self._deaths[number]} times, the last time while it ran "
                "alone; most often the system had no memory left"
            )
        return Result(self._jobs[number].label, "failed", error=text)
