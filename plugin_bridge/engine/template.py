"""A process that has loaded what jobs need; workers are forks of it, which begin within milliseconds.

Loading takes half a second of a processor, and two with PyTorch: as long as many a job, and workers that are
spawned each take it anew. A fork of a process with several threads may hang, so that the template has one,
looks before each fork, and does no job's work. Where it cannot fork, workers are spawned.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from plugin_bridge.engine.threads import THREAD_VARIABLES, environment

LOOK_SECONDS = 0.05
"""Between two looks at whether a worker is still wanted."""
COLLECT_SECONDS = 0.5
"""Between two looks at whose forks have ended."""
END_SECONDS = 5.0
"""How long it may take to collect them and end."""
START_SECONDS = 300.0
"""How long loading may take, on the busiest machine."""

_guard = threading.Lock()
_prepared: Template | None = None


def prepare() -> None:
    """Start a template that the next pool of workers will take: it loads while the jobs are planned."""
    global _prepared
    with _guard:
        if _prepared is None:
            _prepared = _started()


def take() -> Template | None:
    """The prepared template, or a new one; None where there can be none."""
    global _prepared
    with _guard:
        taken, _prepared = _prepared, None
    return taken or _started()


def discard() -> None:
    """Nobody will take the prepared template."""
    global _prepared
    with _guard:
        unused, _prepared = _prepared, None
    if unused:
        unused.close()


def _started() -> Template | None:
    # Elsewhere it cannot be known how many threads a process has, and macOS's libraries survive no fork.
    if sys.platform == "linux" and hasattr(os, "pidfd_open"):
        with suppress(OSError):
            return Template()
    return None


class Fork:
    """A worker that was forked: what the pool uses of :class:`multiprocessing.Process`.

    Its handle, unlike its number, never comes to mean another process.
    """

    def __init__(self, pid: int, handle: int) -> None:
        self.pid = pid
        self._handle = handle
        self._poll = select.poll()
        self._poll.register(handle, select.POLLIN)

    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return not self._poll.poll(0)

    def join(self, timeout: float) -> None:
        """Wait until it has ended, ``timeout`` seconds at most."""
        self._poll.poll(1000 * timeout)

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def close(self) -> None:
        """Give the handle back; no more may be asked of it."""
        os.close(self._handle)


class Template:
    """The process, as its parent sees it; any thread may ask it for a worker."""

    def __init__(self) -> None:
        """Start it; raises OSError if it cannot be started."""
        context = get_context("spawn")
        self._lock = threading.Lock()
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_main, args=(theirs,), daemon=True)
        # A library that has threads already when it is loaded would keep the template from forking.
        with theirs, environment(dict.fromkeys(THREAD_VARIABLES, "1")):
            self._process.start()
        self._socket = socket.socket(fileno=os.dup(self._connection.fileno()))

    def load(self, separators: Iterable[str]) -> None:
        """Have it load these separators, too."""
        with self._lock, suppress(OSError):
            self._connection.send(list(separators))

    def fork(
        self, serving: Connection[Any, Any], variables: Mapping[str, str], wanted: Callable[[], bool]
    ) -> Fork | None:
        """A worker that serves the connection ``serving``, with ``variables`` in its environment.

        None if there is none: the template is gone or has threads, or the worker is not ``wanted`` any more.
        """
        end = time.monotonic() + START_SECONDS
        with self._lock, suppress(OSError, EOFError):
            self._connection.send(({**os.environ, **variables}, str(Path.cwd())))
            socket.send_fds(self._socket, [b"!"], [serving.fileno()])
            while wanted() and time.monotonic() < end:
                if self._connection.poll(LOOK_SECONDS):
                    if (pid := self._connection.recv()) is None:
                        return None
                    return Fork(pid, _received(self._socket))
            self._connection.close()  # its answer would be taken for that to the next question
        return None

    def close(self) -> None:
        """End it."""
        self._connection.close()
        self._socket.close()
        self._process.join(END_SECONDS)
        self._process.kill()
        self._process.join()
        self._process.close()


def _received(channel: socket.socket) -> int:
    """The file descriptor that comes next."""
    _, (descriptor, *_), _, _ = socket.recv_fds(channel, 1, 1)
    return descriptor


def _main(connection: Connection[Any, Any]) -> None:
    """What the process does: load, and fork whenever it is asked, until its parent is gone."""
    for name in (signal.SIGINT, signal.SIGHUP):  # of the whole process group; workers do the same
        signal.signal(name, signal.SIG_IGN)
    channel = socket.socket(fileno=os.dup(connection.fileno()))
    _load()
    with suppress(OSError, EOFError):
        while True:
            while not connection.poll(COLLECT_SECONDS):
                _collect()
            message = connection.recv()
            if isinstance(message, list):
                _load(message)
                continue
            serving = _received(channel)
            pid = _fork(message, serving, (connection, channel))
            os.close(serving)
            _answer(pid, connection, channel)
            _collect()
    _collect()
    os._exit(0)


def _load(separators: Iterable[str] = ()) -> None:
    """Import what jobs need; what cannot be imported is said by the job that needs it."""
    import gc

    import plugin_bridge.engine.worker
    import plugin_bridge.jobs.bounce
    import plugin_bridge.jobs.separation  # noqa: F401
    from separators import registry

    for name in separators:
        with suppress(Exception):
            registry.get(name)
    gc.freeze()  # a collection in a fork would copy every page that it looks at


def _fork(
    message: tuple[Mapping[str, str], str], serving: int, ours: Iterable[Connection[Any, Any] | socket.socket]
) -> int | None:
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        return None
    pid = os.fork()
    if pid:
        return pid
    try:
        for end in ours:
            end.close()
        _work(*message, serving)
    finally:
        os._exit(1)


def _work(variables: Mapping[str, str], folder: str, serving: int) -> None:
    """What a fork does."""
    from plugin_bridge.engine import threads
    from plugin_bridge.engine.worker import serve

    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)
    threads.apply()
    serve(Connection(serving))


def _answer(pid: int | None, connection: Connection[Any, Any], channel: socket.socket) -> None:
    """Tell the parent, with a handle of the fork, which is not collected before."""
    handle = None
    if pid is not None:
        with suppress(OSError):  # a system that forbids it
            handle = os.pidfd_open(pid)
    if pid is None or handle is None:
        connection.send(None)
        return
    connection.send(pid)
    socket.send_fds(channel, [b"!"], [handle])
    os.close(handle)


def _collect() -> None:
    """Let the forks that have ended go."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
