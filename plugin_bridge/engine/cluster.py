"""A Dask cluster as an executor: one that runs already, by its address, or an embedded one.

Dask's defaults do not suit jobs that last minutes and may be killed at any time; the settings here are
what was measured to lose nothing. It runs a task again whose worker died; what it gives up becomes a
:class:`~plugin_bridge.engine.contract.WorkerLostError`. When the scheduler goes away, its jobs are
submitted again to the one that takes its place at the same address.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from plugin_bridge.engine.cluster_worker import Errand, run_errand, stop_errands
from plugin_bridge.engine.contract import LOCAL, NoWorkersError, WorkerExecutor, WorkerLostError, Workers
from plugin_bridge.engine.threads import THREAD_VARIABLES
from plugin_bridge.errors import JobError
from plugin_bridge.jobs.progress import Event
from plugin_bridge.version import program_version

PATIENCE_SECONDS = 300.0
"""How long a cluster may be without scheduler or worker."""
RESTART_SECONDS = 60.0
"""After so long without a worker an embedded cluster is made anew."""
PRELOAD = run_errand.__module__
"""What workers load before they take jobs."""
STOP_SECONDS = 1.2
"""How long jobs that were told to stop are waited for."""
SETTINGS = {
    # By default a worker that is not back 15 s after its death is given up for good.
    "distributed.deploy.lost-worker-timeout": "600s",
    # A job whose workers died so often is given up. Without any, innocent ones would be blamed.
    "distributed.scheduler.allowed-failures": 2,
    "distributed.comm.timeouts.connect": "10s",
    "distributed.worker.daemon": True,
}


def cluster_executor(
    who: Workers, update: Callable[[Event], None], say: Callable[[str], None]
) -> WorkerExecutor:
    """An executor on ``who.cluster``; raises :class:`JobError` if there is none, or no Dask here."""
    try:
        import distributed  # noqa: F401
    except ImportError:
        raise JobError("--cluster needs Dask; install it with pip install 'stembridge[cluster]'") from None
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    return _ClusterWorkers(who, update, say)


class _ClusterWorkers(WorkerExecutor):
    """A client of a cluster, which a thread keeps connected and counts the workers of."""

    def __init__(self, who: Workers, update: Callable[[Event], None], say: Callable[[str], None]) -> None:
        import dask

        self._update = update
        self._say = say
        self._topic = f"stembridge-{secrets.token_hex(8)}"
        self._opened = ExitStack()
        self._opened.enter_context(dask.config.set(SETTINGS))
        self._cluster = self._embedded(who) if who.cluster == LOCAL else None
        self._address = self._cluster or who.cluster
        self._lock = threading.Lock()
        self._flying: dict[Future[Any], Any] = {}
        self._capacity = 0
        self._threads = 1
        self._alone_since = time.monotonic()
        self._closed = threading.Event()
        self._client = self._connect()
        self._watch = threading.Thread(target=self._keep, daemon=True)
        self._watch.start()

    def _embedded(self, who: Workers) -> Any:
        import dask
        from distributed import LocalCluster, Security

        share = str(max(1, (os.cpu_count() or 1) // who.count))
        threads = dict.fromkeys(THREAD_VARIABLES, share)
        dask.config.set({"distributed.nanny.pre-spawn-environ": threads})
        return self._opened.enter_context(
            LocalCluster(
                n_workers=who.count,
                threads_per_worker=1,  # else the death of one would blame its neighbours
                memory_limit=who.memory_bytes or 0,
                dashboard_address=None,
                host="127.0.0.1",
                protocol="tls://",
                security=Security.temporary(),  # nobody else on this machine may hand it work
                silence_logs=logging.CRITICAL,
                preload=[PRELOAD],
            )
        )

    def _connect(self) -> Any:
        from distributed import Client
        from distributed.comm.addressing import get_address_host_port

        try:
            if self._cluster is None:  # a client that cannot read it leaves threads behind
                get_address_host_port(self._address, strict=True)
        except (ValueError, NotImplementedError) as error:
            raise JobError(
                f"--cluster {self._address}: is no address of a scheduler ({error}); write it like "
                "tcp://10.0.0.1:8786, or local"
            ) from None
        try:
            client = Client(self._address, timeout=10, set_as_default=False, heartbeat_interval="2s")
            client.subscribe_topic(self._topic, self._hear)
        except (OSError, TimeoutError, ValueError) as error:
            raise JobError(
                f"--cluster {self._address}: no scheduler answers there ({error}); start one with dask "
                "scheduler, and workers with dask worker ADDRESS --nthreads 1"
            ) from None
        return client

    def _hear(self, event: tuple[float, Any]) -> None:
        with suppress(Exception):  # whatever others write into a cluster's log
            said = event[1]
            self._update(Event(said["job"], said["stage"], said["fraction"]))

    @property
    def capacity(self) -> int:
        """The threads of all workers; raises NoWorkersError if there have been none for long."""
        if self._capacity == 0:
            alone = time.monotonic() - self._alone_since
            if self._cluster is not None and alone > RESTART_SECONDS:
                self._fail_all(BrokenExecutor("no worker came back"))
            elif alone > PATIENCE_SECONDS:
                raise NoWorkersError(
                    f"--cluster {self._address}: no worker for {PATIENCE_SECONDS:.0f} s; start some with "
                    "dask worker ADDRESS --nthreads 1 and run the same command again"
                )
        return self._capacity

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run ``function`` with its one argument, a job, on some worker."""
        job = args[0]
        future: Future[Any] = Future()
        errand = Errand(self._topic, str(Path.cwd()), program_version(), self._threads)
        needs = getattr(job, "resources", None) or {}
        try:
            distant = self._client.submit(
                run_errand,
                function,
                job,
                errand,
                key=f"stembridge-{secrets.token_hex(8)}",
                pure=False,  # else equal jobs would be one
                resources=dict(needs) or None,
            )
        except Exception as error:
            if self._cluster is not None:
                raise BrokenExecutor(str(error)) from error
            future.set_exception(WorkerLostError(deaths=0))
            return future
        with self._lock:
            self._flying[future] = distant
        distant.add_done_callback(lambda done: self._arrived(future, done))
        return future

    def _arrived(self, future: Future[Any], distant: Any) -> None:
        from distributed import KilledWorker

        with self._lock:
            if self._flying.pop(future, None) is None:
                return
        try:
            if distant.status == "finished":
                future.set_result(distant.result(timeout=60))
                return
            error = distant.exception(timeout=60) if distant.status == "error" else None
        except Exception:  # the result went with its worker, or the scheduler
            error = None
        if isinstance(error, KilledWorker):
            future.set_exception(WorkerLostError(deaths=3))
        elif isinstance(error, ModuleNotFoundError):
            future.set_exception(
                NoWorkersError(f"the cluster's workers lack something: {error}; install stembridge there")
            )
        else:
            future.set_exception(error or WorkerLostError(deaths=0))

    def _fail_all(self, error: BaseException) -> None:
        with self._lock:
            flying, self._flying = self._flying, {}
        for future in flying:
            future.set_exception(error)

    def _keep(self) -> None:
        """Count the workers; find the scheduler again if it is gone."""
        told = False
        while not self._closed.wait(0.2 if self._capacity == 0 else 1.0):
            try:
                if self._client.status in ("closed", "closing"):
                    self._client = self._connect()
                if self._client.status != "running":
                    raise OSError("connecting")
                self._count(self._client.scheduler_info(n_workers=-1)["workers"])
            except Exception:
                self._capacity = 0
            if self._capacity:
                self._alone_since, told = time.monotonic(), False
            elif not told and time.monotonic() - self._alone_since > 5:
                told = True
                where = f" at {self._address}" if self._cluster is None else ""
                self._say(f"waiting for workers{where}")

    def _count(self, workers: dict[str, dict[str, Any]]) -> None:
        hosts = [worker["host"] for worker in workers.values()]
        self._capacity = sum(worker["nthreads"] for worker in workers.values())
        # A worker's share of its machine, told by how many there are on the fullest.
        self._threads = max((hosts.count(host) for host in set(hosts)), default=1)

    def stop(self) -> None:
        """Tell the jobs on the cluster to stop, and wait a moment for them."""
        self._closed.set()
        self._fail_all(WorkerLostError(deaths=0))
        telling = threading.Thread(target=self._tell_all, daemon=True)
        telling.start()
        telling.join(STOP_SECONDS)

    def _tell_all(self) -> None:
        with suppress(Exception):
            self._client.run(stop_errands, self._topic, STOP_SECONDS, on_error="ignore")

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the cluster; an embedded one ends."""
        self._closed.set()
        with suppress(Exception):
            self._client.close(timeout=2)
        with suppress(Exception):
            self._opened.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
