"""One child process that holds a third-party plug-in, with a limit of time and of memory.

It runs :mod:`plugin_bridge.plugins.hosting_worker`. A thread watches it while it works on a request: when
its time is over, or its memory has grown past the limit, it is killed. Its memory is what the system says
is resident (Linux); a second limit of the system's, twice as high, also holds where nobody watches.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import weakref
from contextlib import suppress
from pathlib import Path
from threading import Event, RLock, Thread
from typing import Any, NoReturn

from plugin_bridge.errors import PluginError
from plugin_bridge.plugins import hosting_worker
from separators import Audio

WATCH_SECONDS = 0.02
DOING = {"load": "loading", "process": "processing audio", "play": "playing notes"}


class Child:
    """The child process of one plug-in; it ends with this object, and with this process."""

    def __init__(self, name: str, memory_bytes: int) -> None:
        self._name = name
        self._memory_bytes = memory_bytes
        self._parent = os.getpid()
        self._lock = RLock()
        self._stopped = ""
        """Why it was killed."""
        # A script of its own (-P: without its folder on the path), so that starting it imports
        # numpy and pedalboard only.
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and file
            [sys.executable, "-P", str(Path(hosting_worker.__file__)), str(2 * memory_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        self.end = weakref.finalize(self, _end, self._process, os.getpid())

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self.ours and self._process.poll() is None

    @property
    def ours(self) -> bool:
        """Whether it is this process's child: after a fork the fork starts one of its own."""
        return os.getpid() == self._parent

    @property
    def resident_bytes(self) -> int:
        """The memory that it takes at present; 0 where the system does not say."""
        try:
            pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
        except (OSError, IndexError):
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def ask(self, request: dict[str, Any], audio: Audio | None) -> tuple[dict[str, Any], Audio | None]:
        """Send a request and wait for its answer, at most ``request["seconds"]``.

        Raises :class:`PluginError` where the plug-in says no, crashes, hangs or eats memory.
        """
        with self._lock:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            done = Event()
            watcher = Thread(target=self._watch, args=(request["seconds"], done), daemon=True)
            watcher.start()
            try:
                hosting_worker.write_message(self._process.stdin, request, audio)
                message = hosting_worker.read_message(self._process.stdout)
            except OSError:  # the pipe broke
                message = None
            except BaseException:  # Ctrl-C between question and answer: they no longer belong together
                self.end()
                raise
            finally:
                done.set()
                watcher.join()
        if message is None:
            self._raise_ended(DOING.get(request["do"], "being set up"))
        header, answer = message
        if "error" in header:
            raise PluginError(f"{self._name}: {header['error']}")
        return header, answer

    def _watch(self, seconds: float, done: Event) -> None:
        limit = time.monotonic() + seconds
        while not done.wait(WATCH_SECONDS):
            if time.monotonic() > limit:
                self._stopped = f"hung while {{doing}} and was stopped after {seconds:g} s"
            elif self.resident_bytes > self._memory_bytes:
                gigabytes = self._memory_bytes / 2**30
                self._stopped = f"took more than {gigabytes:.3g} GB of memory while {{doing}} and was stopped"
            else:
                continue
            self._process.kill()
            return

    def _raise_ended(self, doing: str) -> NoReturn:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1)  # for its own exit status
        self.end()
        status = self._process.returncode
        crash = f"crashed while {doing} ({f'signal {-status}' if status < 0 else f'status {status}'})"
        what = self._stopped.format(doing=doing) or crash
        raise PluginError(f"{self._name} {what}; leave this plug-in out, or ask its maker")


def _end(process: subprocess.Popen[bytes], parent: int) -> None:
    if os.getpid() != parent:  # a fork of the process that it belongs to
        return
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with suppress(OSError):  # what was not yet written is lost with the child
                stream.close()
