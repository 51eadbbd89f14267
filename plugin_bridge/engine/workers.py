"""Local workers: an executor of processes, each with a pipe and a thread that serves it.

A worker that is killed takes its own job with it and no other, and the next job gets a new one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from queue import Empty, Queue
from types import TracebackType
from typing import Any

from plugin_bridge.engine.contract import NoWorkersError, WorkerExecutor, WorkerLostError
from plugin_bridge.engine.memory import resident_bytes
from plugin_bridge.engine.template import START_SECONDS, Fork, take
from plugin_bridge.engine.threads import environment, share_of
from plugin_bridge.engine.worker import GRACE_SECONDS, READY, serve
from plugin_bridge.jobs.progress import Event

STARTS = 5
"""Workers that end before their first word, one after the other, until there will be none."""
MEMORY_SECONDS = 0.1
"""Between two looks at a worker's memory."""


class LocalWorkers(WorkerExecutor):
    """``workers`` processes, each with its share of the machine's cores."""

    def __init__(
        self,
        workers: int,
        update: Callable[[Event], None],
        memory_bytes: int | None = None,
        separators: Iterable[str] = (),
    ) -> None:
        """``separators`` are those that jobs will need: loaded once for all, where workers are forked."""
        self._template = take()
        if self._template:
            self._template.load(separators)
        self._workers = workers
        self._update = update
        self._memory_bytes = memory_bytes
        self._tasks: Queue[_Task | None] = Queue()
        """None wakes a slot that waits: there will be no more."""
        self._failed_starts = 0
        self._closing = threading.Event()
        self._stopping = threading.Event()
        self._slots = [_Slot(self) for _ in range(workers)]
        for slot in self._slots:
            slot.start()

    @property
    def capacity(self) -> int:
        """As many as there are; raises NoWorkersError where none can be started."""
        if self._failed_starts >= STARTS:
            raise NoWorkersError(
                "worker processes end as soon as they are started: a script that asks for several jobs at "
                'once must do so under `if __name__ == "__main__":`, or the system has no memory for them'
            )
        return self._workers

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run ``function`` with its one argument in the next free worker."""
        task = _Task(function, args[0])
        self._tasks.put(task)
        return task.future

    def stop(self) -> None:
        """Tell all workers to stop; each interrupts its job, cleans up and ends."""
        self._stopping.set()
        self._close()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End all workers when they are idle, or soon if :meth:`stop` was called."""
        self._close()
        for slot in self._slots if wait else []:
            slot.join()
        if self._template:
            self._template.close()

    def _close(self) -> None:
        self._closing.set()
        for _ in self._slots:
            self._tasks.put(None)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.stop()
        self.shutdown()


class _Task:
    def __init__(self, function: Callable[..., Any], job: Any) -> None:
        self.function, self.job = function, job
        self.future: Future[Any] = Future()


class _Slot(threading.Thread):
    """A thread that always has one worker, and hands it one task after the other."""

    def __init__(self, pool: LocalWorkers) -> None:
        super().__init__(daemon=True)
        self._pool = pool
        self._process: SpawnProcess | Fork | None = None
        self._connection: Connection[Any, Any] | None = None

    def run(self) -> None:
        pool = self._pool
        while not pool._closing.is_set():
            if not self._alive():
                self._start()
                continue
            try:
                task = pool._tasks.get(timeout=0.05)
            except Empty:
                continue
            if task:
                self._run(task)
        self._end()

    def _alive(self) -> bool:
        return self._process is not None and self._process.is_alive()

    def _start(self) -> None:
        """Start a worker and wait for its first word; count it if it dies without one."""
        self._kill()  # which died while it had nothing to do
        end = time.monotonic() + START_SECONDS
        with suppress(Exception):  # whatever it is: without this thread jobs would be waited for in vain
            self._process, self._connection = self._new_worker()
            while not self._pool._closing.is_set() and time.monotonic() < end:
                if self._connection.poll(0.05):
                    if self._connection.recv() == READY:
                        self._pool._failed_starts = 0
                        return
                    break
        if not self._pool._closing.is_set():
            self._pool._failed_starts += 1
            self._kill()
            self._pool._closing.wait(0.2)

    def _new_worker(self) -> tuple[SpawnProcess | Fork, Connection[Any, Any]]:
        """A fork of the template, or else a process of its own."""
        pool, context = self._pool, get_context("spawn")
        share = share_of(pool._workers)
        ours, theirs = context.Pipe()
        with theirs:
            if pool._template:
                fork = pool._template.fork(theirs, share, lambda: not pool._closing.is_set())
                if fork:
                    return fork, ours
            process = context.Process(target=serve, args=(theirs,), daemon=True)
            with environment(share):
                process.start()
            return process, ours

    def _run(self, task: _Task) -> None:
        """Hand the task to the worker and pass on what it says."""
        assert self._connection is not None
        try:
            self._connection.send((task.function, task.job))
            while True:
                if self._connection.poll(MEMORY_SECONDS if self._pool._memory_bytes else 0.5):
                    message = self._connection.recv()
                    if not isinstance(message, Event):
                        task.future.set_result(message)
                        return
                    self._pool._update(message)
                if self._too_large():
                    self._kill()
                    task.future.set_exception(WorkerLostError("memory"))
                    return
                if self._pool._stopping.is_set():
                    return  # nobody waits for the future
        except Exception:  # the pipe broke, wherever in a message
            self._kill()
            task.future.set_exception(WorkerLostError())

    def _too_large(self) -> bool:
        limit = self._pool._memory_bytes
        return limit is not None and self._process is not None and resident_bytes(self._process.pid) > limit

    def _end(self) -> None:
        if self._process is None or self._connection is None:
            return
        with suppress(OSError):
            self._connection.send(None)
        self._process.join(GRACE_SECONDS + 0.4)
        self._kill()

    def _kill(self) -> None:
        if self._process is None or self._connection is None:
            return
        with suppress(OSError):
            self._process.kill()
        self._process.join(5)
        with suppress(ValueError):  # not even that has ended it
            self._process.close()
        self._connection.close()
        self._process = self._connection = None
