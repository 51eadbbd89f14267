"""What runs in the workers of a Dask cluster."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import chdir
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from plugin_bridge.jobs.contract import Job, Result
from plugin_bridge.jobs.progress import Cancelled, Event
from plugin_bridge.version import program_version

REPORT_SECONDS = 0.25
"""Between two reports of one stage: the scheduler passes on all of them."""

_stopped: set[str] = set()
_running: dict[int, str] = {}
"""By thread: the batch that it works for."""


@dataclass(frozen=True)
class Errand:
    """What a job needs to know where it is run."""

    topic: str
    """The batch's, under which the progress goes home."""
    folder: str
    """That relative paths begin in."""
    version: str
    neighbours: int
    """So many workers share this machine."""


def run_errand(function: Callable[[Job], Result], job: Job, errand: Errand) -> Result:
    """Run ``job`` as its home would, with progress."""
    from distributed import get_worker

    host = os.uname().nodename if hasattr(os, "uname") else "a worker"
    if program_version() != errand.version:
        text = f"{host} has stembridge {program_version()}, and this is {errand.version}; install the same"
        return Result(job.label, "failed", error=text)
    if not Path(errand.folder).is_dir():
        text = f"{host} does not see the folder {errand.folder}; all machines must see the files alike"
        return Result(job.label, "failed", error=text)
    worker = get_worker()
    last = ("", 0.0)

    def report(stage: str, fraction: float) -> None:
        nonlocal last
        if errand.topic in _stopped:
            raise Cancelled
        now = time.monotonic()
        if stage != last[0] or now - last[1] > REPORT_SECONDS:
            last = (stage, now)
            worker.log_event(errand.topic, asdict(Event(job.label, stage, fraction)))

    thread = threading.get_ident()
    _running[thread] = errand.topic
    try:
        _limit_threads(errand.neighbours)
        with chdir(errand.folder):
            return _attempt(function, job, report)
    except Cancelled:
        return Result(job.label, "failed", error="stopped")
    finally:
        del _running[thread]


def _attempt(function: Callable[[Job], Result], job: Job, report: Callable[[str, float], None]) -> Result:
    from plugin_bridge.engine import worker

    if function is worker.run_in_worker:
        from plugin_bridge.jobs.contract import attempt

        return attempt(job, report)
    return function(job)


def _limit_threads(neighbours: int) -> None:
    """A worker has one thread for jobs, and its libraries as many as its share of the machine."""
    threads = max(1, (os.cpu_count() or 1) // neighbours)
    torch = sys.modules.get("torch")
    if torch is None:  # which takes longer to load than many a job: it reads this when one needs it
        os.environ.update(OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads))
    elif torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


def stop_errands(topic: str, seconds: float) -> None:
    """Stop the jobs of a batch in this worker; returns when they have cleaned up, or after ``seconds``."""
    _stopped.add(topic)
    end = time.monotonic() + seconds
    while topic in _running.values() and time.monotonic() < end:
        time.sleep(0.02)


def dask_setup(worker: Any) -> None:
    """Called before a worker takes jobs, where ``--preload`` names this module: an embedded cluster does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the business of its parent, which tells it
    # So that the first job need not: a worker that is killed meanwhile has had none that would be blamed.
    import plugin_bridge.jobs.separation  # noqa: F401
