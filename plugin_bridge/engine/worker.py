"""What runs in a local worker process: one job after the other, until the parent says stop or is gone.

A worker's pipe serves three ends. Jobs come down and results go up, with the progress between them. The
parent's word stops the worker: the job is interrupted and cleans up behind itself. And when the
parent is killed, the system closes the pipe, so that no worker lives on as an orphan. There is no
lock that a worker killed at a bad moment would leave taken, as a shared queue has.
"""

from __future__ import annotations

import _thread
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from queue import SimpleQueue
from types import FrameType
from typing import Any

from plugin_bridge.jobs.contract import Job, Result, attempt
from plugin_bridge.jobs.progress import Event
from plugin_bridge.jobs.workspace import remove_all

GRACE_SECONDS = 1.3
"""How long a job that was told to stop may clean up by itself; then its folder is removed from under it."""
READY = "ready"
"""A worker's first word."""


def run_in_worker(job: Job) -> Result:
    """Run ``job`` in a worker of any kind, with progress if it is one of ours."""
    return attempt(job, _worker.report(job) if _worker else lambda stage, fraction: None)


class _Worker:
    """What a worker process knows: its pipe and whether it is in a job."""

    def __init__(self, connection: Connection[Any, Any]) -> None:
        self.connection = connection
        self.work: SimpleQueue[tuple[Callable[..., Any], Any] | None] = SimpleQueue()
        """None: there will be no more."""
        self.busy = False
        # Ctrl-C reaches the whole process group; the parent decides and tells its workers.
        for name in ("SIGINT", "SIGHUP"):  # so does the end of a terminal; Windows knows none
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self.interrupt)
        threading.Thread(target=self.listen, daemon=True).start()

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """Interrupt the job, once, or end at once if there is none."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if not self.busy:
            os._exit(1)
        raise KeyboardInterrupt

    def listen(self) -> None:
        """Take jobs until the parent says stop or is gone."""
        with suppress(OSError, EOFError):
            while (message := self.connection.recv()) is not None:
                self.work.put(message)
        self.work.put(None)  # one that waits for work does not hear of signals
        _thread.interrupt_main(signal.SIGTERM)
        time.sleep(GRACE_SECONDS)  # native code is interrupted when it returns, and that may be late
        remove_all()
        os._exit(1)

    def report(self, job: Job) -> Callable[[str, float], None]:
        def report(stage: str, fraction: float) -> None:
            try:
                self.connection.send(Event(job.label, stage, fraction))
            except OSError:
                raise KeyboardInterrupt from None  # nobody listens any more

        return report

    def serve(self) -> None:
        self.connection.send(READY)
        while (message := self.work.get()) is not None:
            function, job = message
            self.busy = True
            try:
                self.connection.send(function(job))
            except (KeyboardInterrupt, OSError):
                os._exit(1)
            finally:
                self.busy = False
        os._exit(0)


_worker: _Worker | None = None


def serve(connection: Connection[Any, Any]) -> None:
    """The main function of a worker process."""
    global _worker
    _worker = _Worker(connection)
    _worker.serve()
