"""What the engine asks of executors: :class:`concurrent.futures.Executor`, and a word on who died.

An executor of another kind may break as a whole, as the standard library's process pool does when one of
its workers is killed; then a new one is made, and whatever was in flight runs again.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Literal

from plugin_bridge.engine.memory import can_measure, parse_bytes
from plugin_bridge.errors import JobError

LOCAL = "local"
"""In place of a cluster's address: an embedded one."""


class WorkerLostError(Exception):
    """The worker that ran this job is gone, and no other job with it; a future's exception."""

    def __init__(self, reason: Literal["killed", "memory"] = "killed", deaths: int = 1) -> None:
        super().__init__(reason, deaths)
        self.reason = reason
        self.deaths = deaths
        """So many workers have died of this job by now."""


class NoWorkersError(JobError):
    """There is nobody who could run jobs, and nobody came for a long time."""


class WorkerExecutor(Executor):
    """Workers of ours: their number may change, they can be told to stop, and each dies alone."""

    @property
    def capacity(self) -> int:
        """How many jobs may be in flight now; raises :class:`NoWorkersError` if that is 0 for too long."""
        raise NotImplementedError

    def stop(self) -> None:
        """Interrupt the running jobs, which clean up; returns soon."""
        raise NotImplementedError


@dataclass(frozen=True)
class Workers:
    """Who does the jobs."""

    count: int = 1
    """In this process if it is 1 and there is no cluster and no limit; else processes of their own."""
    cluster: str | None = None
    """``local`` for an embedded Dask cluster of ``count`` workers, or the address of one that runs."""
    memory_bytes: int | None = None
    """What a job's worker may use before it is ended; None: no limit."""

    @classmethod
    def chosen(cls, jobs: int = 1, cluster: str | None = None, memory: str | None = None) -> Workers:
        """As people say it; raises :class:`~plugin_bridge.errors.JobError` for what cannot be."""
        amount = None if memory is None else parse_bytes(memory)
        if amount and not cluster and not can_measure():
            raise JobError("--memory needs psutil on this system; install it with pip install psutil")
        if amount and cluster not in (None, LOCAL):
            raise JobError("--memory is for workers of our own; start a cluster's with --memory-limit")
        return cls(jobs, cluster, amount)
