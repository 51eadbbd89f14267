"""Processes to be killed: those below another one, and a Dask cluster that is started again when it ends."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from plugin_bridge.engine.cluster import PRELOAD

ENVIRONMENT = {
    # Without the one that keeps modules from being compiled once for all, as installing them does.
    **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
    "PYTHONPATH": str(Path(__file__).parents[1]),
    **{f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")},
}


def processes(of: int, words: bytes) -> list[int]:
    """The processes below ``of`` whose command line holds ``words``."""
    found = []
    with suppress(OSError):
        for children in Path(f"/proc/{of}/task").glob("*/children"):
            for child in map(int, children.read_text().split()):
                with suppress(OSError):
                    if words in Path(f"/proc/{child}/cmdline").read_bytes():
                        found.append(child)
                found += processes(child, words)
    return found


def used(pid: int) -> float:
    """Seconds of processors that a process has used; 0 if it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


class Cluster:
    """A scheduler and workers, each a process of its own, which are started again when they end."""

    def __init__(self, folder: Path, workers: int, *options: str) -> None:
        """``options`` are those of each ``dask worker``."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.folder = folder
        self.workers: list[subprocess.Popen | None] = [None] * workers
        self.scheduler: subprocess.Popen | None = None
        self._options = (
            "--preload",
            PRELOAD,
            "--nthreads",
            "1",
            "--no-dashboard",
            "--local-directory",
            str(folder / "dask"),
            *options,
        )
        self.keep()

    def _start(self, *words: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "distributed.cli." + words[0], *words[1:]]
        environment = {**ENVIRONMENT, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "2"}
        with (self.folder / "dask.log").open("a") as log:
            return subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=self.folder)

    def keep(self) -> None:
        if self.scheduler is None or self.scheduler.poll() is not None:
            address = ("--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard")
            self.scheduler = self._start("dask_scheduler", *address)
        for number, worker in enumerate(self.workers):
            if worker is None or worker.poll() is not None:
                self.workers[number] = self.start_worker()

    def start_worker(self, *options: str) -> subprocess.Popen:
        """One more, which is not started again."""
        return self._start("dask_worker", self.address, *self._options, *options)

    def worker_processes(self) -> list[int]:
        return [pid for one in self.workers if one for pid in processes(one.pid, b"spawn_main")]

    def kill_scheduler(self) -> None:
        if self.scheduler is not None:
            self.scheduler.kill()
            self.scheduler.wait()

    def close(self) -> None:
        for process in (*self.workers, self.scheduler):
            if process is not None:
                process.terminate()
        for process in (*self.workers, self.scheduler):
            if process is not None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(10)
                process.kill()
                process.wait()
