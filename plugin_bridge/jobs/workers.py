"""Local worker processes that report how far they are, and that stop when nobody listens any more.

A worker's connection serves three ends. Its progress travels to the parent over it. The parent
closes it to stop the worker: the job is interrupted and cleans up behind itself. And when the
parent is killed, the system closes it, so that no worker lives on as an orphan. There is no
lock that a worker killed at a bad moment would leave taken, as a shared queue has.
"""

from __future__ import annotations

import _thread
import json
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict
from multiprocessing import AuthenticationError, get_context
from multiprocessing.connection import Client, Connection, Listener
from types import FrameType, TracebackType
from typing import Any

from plugin_bridge.jobs.contract import Job, Result, attempt
from plugin_bridge.jobs.progress import Event

GRACE_SECONDS = 10.0
"""How long a worker that was told to stop may clean up."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
"""Read by numpy's and torch's libraries when they are loaded."""


@contextmanager
def worker_pools(update: Callable[[Event], None]) -> Iterator[Callable[[int], Executor]]:
    """Yield a maker of process pools whose workers report to ``update``; leaving it stops them all."""
    channel = _Channel(update)
    try:
        yield channel.pool
    finally:
        channel.close()


def _listener(key: bytes) -> Listener:
    try:
        return Listener(authkey=key)
    except OSError:  # a folder for temporary files whose path is too long for a socket in it
        return Listener(("localhost", 0), authkey=key)


class _Channel:
    """The parent's end of all workers' connections."""

    def __init__(self, update: Callable[[Event], None]) -> None:
        self._update = update
        self._key = secrets.token_bytes(32)
        self._listener = _listener(self._key)
        self._open: set[Connection[Any, Any]] = set()
        self._lock = threading.Lock()
        self._closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def pool(self, workers: int) -> Executor:
        """A pool of ``workers`` fresh processes, each with its share of the machine's cores."""
        return _Pool(
            workers,
            self.stop,
            mp_context=get_context("spawn"),
            initializer=_start_worker,
            initargs=(self._listener.address, self._key),
        )

    def stop(self) -> None:
        """Tell all workers to stop; each interrupts its job, cleans up and ends."""
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            with suppress(OSError):
                connection.send_bytes(b"stop")

    def close(self) -> None:
        """Stop the workers and take no new ones."""
        with self._lock:
            self._closed = True
        self.stop()
        with suppress(OSError, EOFError, AuthenticationError):
            Client(self._listener.address, authkey=self._key).close()  # wakes the accepting thread

    def _accept(self) -> None:
        with self._listener:
            while True:
                try:
                    connection = self._listener.accept()
                except (OSError, EOFError, AuthenticationError):
                    time.sleep(0.1)
                    continue  # a worker was killed while it said hello
                with self._lock:
                    if self._closed:
                        connection.close()
                        return
                    self._open.add(connection)
                threading.Thread(target=self._listen, args=(connection,), daemon=True).start()

    def _listen(self, connection: Connection[Any, Any]) -> None:
        with connection, suppress(OSError, EOFError):
            while True:
                self._update(Event(**json.loads(connection.recv_bytes())))
        with self._lock:
            self._open.discard(connection)


class _Pool(ProcessPoolExecutor):
    """A process pool whose workers are started with their share of the cores.

    Numpy's and torch's libraries read their thread counts from the environment when they are
    loaded, so the variables must be there when a worker starts, which is at its first job.
    """

    def __init__(self, workers: int, stop: Callable[[], None], **options: Any) -> None:
        super().__init__(workers, **options)
        self._stop = stop
        self._threads = str(max(1, (os.cpu_count() or 1) // workers))

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
        os.environ.update((name, self._threads) for name in THREAD_VARIABLES if before[name] is None)
        try:
            return super().submit(function, *args, **kwargs)
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if kind is not None:
            self._stop()  # else the shutdown would wait until the running jobs are done
        return super().__exit__(kind, error, trace)


class _Worker:
    """What a worker process knows: its connection and whether it is in a job."""

    def __init__(self, address: Any, key: bytes) -> None:
        self.connection: Connection[Any, Any] = Client(address, authkey=key)
        self.busy = False
        # Ctrl-C reaches the whole process group; the parent decides and tells its workers.
        for name in ("SIGINT", "SIGHUP"):  # so does the end of a terminal; Windows knows none
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self.stop)
        threading.Thread(target=self.watch, daemon=True).start()

    def stop(self, number: int, frame: FrameType | None) -> None:
        """Interrupt the job, once, or end at once if there is none."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if not self.busy:
            os._exit(1)
        raise KeyboardInterrupt

    def watch(self) -> None:
        """Wait until the parent says stop or is gone."""
        with suppress(OSError, EOFError):
            self.connection.recv_bytes()
        _thread.interrupt_main(signal.SIGTERM)
        time.sleep(GRACE_SECONDS)
        os._exit(1)


_worker: _Worker | None = None


def _start_worker(address: Any, key: bytes) -> None:
    global _worker
    _worker = _Worker(address, key)


def run_in_worker(job: Job) -> Result:
    """Run ``job`` in this worker process; one that is told to stop cleans up and ends the process."""
    worker = _worker
    if worker is None:  # another kind of executor: no progress from within the job
        return attempt(job, lambda stage, fraction: None)

    def report(stage: str, fraction: float) -> None:
        try:
            worker.connection.send_bytes(json.dumps(asdict(Event(job.label, stage, fraction))).encode())
        except OSError:
            raise KeyboardInterrupt from None  # nobody listens any more

    worker.busy = True
    try:
        return attempt(job, report)
    except KeyboardInterrupt:
        os._exit(1)
    finally:
        worker.busy = False
