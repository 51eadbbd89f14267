"""Many jobs, here or through any :class:`concurrent.futures.Executor`; one bad job stops no other.

A job runs at least once: when its worker is killed it runs again, so jobs write under temporary names and
skip what is already done. A job whose workers die again and again runs alone at the end, to tell the guilty
one from its neighbours. The longest job is begun first, so that the last one to end is not the longest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from contextlib import suppress
from functools import partial

from plugin_bridge.engine.contract import WorkerExecutor, WorkerLostError, Workers
from plugin_bridge.engine.template import discard
from plugin_bridge.engine.worker import run_in_worker
from plugin_bridge.errors import PresetError
from plugin_bridge.jobs.contract import Job, Result, attempt
from plugin_bridge.jobs.job import SeparateJob
from plugin_bridge.jobs.plan import Planned
from plugin_bridge.jobs.progress import Cancelled, Event, Reporter
from plugin_bridge.jobs.workspace import sweep

More = Callable[[Sequence[Result]], Sequence[Planned]]
"""Asked again and again while jobs run: told of those that have ended since, it gives those that came."""
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
    more: More | None = None,
) -> list[Result]:
    """Run ``jobs``, and those that ``more`` gives meanwhile, and return their results in the same order.

    One worker runs in this process; more run in processes of their own, on a cluster, or in the executors
    that ``pools`` makes. ``seconds`` of audio by the jobs' labels decide what is begun first. An interrupt
    (Ctrl-C, or :class:`~plugin_bridge.jobs.progress.Cancelled`) stops the running jobs, which clean up, and
    is raised. Raises :class:`~plugin_bridge.engine.contract.NoWorkersError` if a cluster has none.
    """
    who = Workers(workers) if isinstance(workers, int) else workers
    count = who.count if who.cluster or more else min(who.count, len(jobs))
    reporter.weigh(seconds or {})
    reporter.begin(len(jobs))
    if pools is None and (not jobs or (count <= 1 and not who.cluster and not who.memory_bytes)):
        discard()
        return _here(jobs, reporter, more or _no_more)

    def update(event: Event) -> None:
        with suppress(Cancelled):  # in a thread that nobody waits for; see Reporter.check
            reporter.update(event)

    def own(count: int) -> Executor:
        if who.cluster:
            from plugin_bridge.engine.cluster import cluster_executor

            discard()
            return cluster_executor(who, update, reporter.say)
        from plugin_bridge.engine.workers import LocalWorkers

        return LocalWorkers(count, update, who.memory_bytes, _methods(jobs))

    return _Batch(jobs, reporter, pools or own, count, seconds or {}, more or _no_more).run()


def run_plan(
    plan: Sequence[Planned], reporter: Reporter, workers: Workers, more: More | None = None
) -> list[Result]:
    """Run the jobs of a plan, and those that ``more`` gives meanwhile, the longest first."""
    all_of_it = list(plan)

    def noted(ended: Sequence[Result]) -> Sequence[Planned]:
        came = more(ended) if more else ()
        all_of_it.extend(came)
        return came

    jobs = [one.job for one in plan]
    results = run_jobs(jobs, reporter, workers, seconds=_seconds(plan), more=noted if more else None)
    # What killed workers left is removed by the next job, but for what the last ones left.
    jobs = [one.job for one in all_of_it]
    for folder in {part.folder for job in jobs if isinstance(job, SeparateJob) for part in job.parts}:
        sweep(folder)
    return results


def _seconds(plan: Sequence[Planned]) -> dict[str, float]:
    """Of audio, by the jobs' labels."""
    return {one.job.label: one.survey.seconds for one in plan}


def _methods(jobs: Sequence[Job]) -> list[str]:
    """The separators that jobs need."""
    presets = {job.preset for job in jobs if isinstance(job, SeparateJob)}
    names: set[str] = set()
    for text in presets:
        with suppress(PresetError):  # which its jobs will say
            names.update(text.preset.methods)
    return sorted(names)


def _no_more(ended: Sequence[Result]) -> Sequence[Planned]:
    return ()


def _here(jobs: Sequence[Job], reporter: Reporter, more: More) -> list[Result]:
    """One after the other, in this process."""
    waiting, results = deque(jobs), []
    while waiting:
        job = waiting.popleft()
        result = attempt(job, partial(_report, reporter, job.label))
        reporter.end(result)
        results.append(result)
        if came := more([result]):
            reporter.more(_seconds(came))
            waiting.extend(one.job for one in came)
    return results


def _report(reporter: Reporter, label: str, stage: str, fraction: float) -> None:
    reporter.update(Event(label, stage, fraction))


class _Batch:
    """Jobs by number, in flight on executors that may break."""

    def __init__(
        self,
        jobs: Sequence[Job],
        reporter: Reporter,
        pools: ExecutorFactory,
        workers: int,
        seconds: Mapping[str, float],
        more: More,
    ) -> None:
        self._jobs = list(jobs)
        self._reporter = reporter
        self._pools = pools
        self._workers = workers
        self._more = more
        self._ended: list[Result] = []
        self._results: dict[int, Result] = {}
        self._deaths = [0] * len(jobs)
        self._memory = [0] * len(jobs)
        self._seconds = dict(seconds)
        self._waiting = deque(self._longest_first(range(len(jobs))))
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
            self._take_more()
        return [self._results[number] for number in range(len(self._jobs))]

    def _longest_first(self, numbers: Iterable[int]) -> list[int]:
        return sorted(numbers, key=lambda number: -self._seconds.get(self._jobs[number].label, 0.0))

    def _take_more(self) -> None:
        """Tell of what has ended, and take what came."""
        ended, self._ended = self._ended, []
        came = self._more(ended)
        if not came:
            return
        lengths = _seconds(came)
        self._reporter.more(lengths)
        self._seconds |= lengths
        numbers = range(len(self._jobs), len(self._jobs) + len(came))
        self._jobs += [one.job for one in came]
        self._deaths += [0] * len(came)
        self._memory += [0] * len(came)
        self._waiting = deque(self._longest_first([*self._waiting, *numbers]))

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
            self._take_more()

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
        self._ended.append(result)
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
