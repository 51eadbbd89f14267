"""Jobs that people submit, done one after the other by the engine, in worker processes of their own."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from plugin_bridge import api
from plugin_bridge.errors import BridgeError, JobError
from plugin_bridge.naming import safe_name
from plugin_bridge.presets.preset import Preset
from plugin_bridge.server import journal
from plugin_bridge.server.places import OutsideError, below, check_tree
from separators.errors import SeparatorError

RESULTS = "stems"
"""The folder below the root into which all results go."""
TEMPLATE = "{track}/{preset}/{stem}"
"""Results of several presets lie side by side, and are compared on one page."""
MOST_WAITING, MOST_ENDED = 100, 200
ENDED = ("done", "failed", "cancelled")


class FullError(JobError):
    """Too many jobs are waiting."""


class _StoppedError(Exception):
    """Somebody has cancelled the job."""


@dataclass
class Entry:
    """One submission."""

    number: int
    path: str
    preset: str
    kind: str
    """``separate`` or ``render``."""
    submitted: float
    state: str = "waiting"
    """Then ``running``, and one of :data:`ENDED`."""
    stage: str = ""
    fraction: float = 0.0
    error: str = ""
    page: str = ""
    """Of the finished job, below the root."""


class Queue:
    """Takes submissions from any thread; a context manager, which does them in a thread of its own.

    What has not ended when the program does stands in the root (:mod:`~plugin_bridge.server.journal`), and is
    done after the next start; what had been done of it by then is not done again.
    """

    def __init__(self, root: Path, *, jobs: int = 1, memory: str | None = None) -> None:
        self._root = root
        self._jobs = jobs
        self._memory = memory
        self._lock = threading.Condition()
        self._waiting: deque[Entry] = deque()
        self._entries: dict[int, Entry] = {}
        self._submitted = 0
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="queue", daemon=True)

    def __enter__(self) -> Queue:
        self._submitted, kept = journal.read(self._root)
        for one in kept[: MOST_WAITING + 1]:  # and the one that ran
            entry = Entry(one.number, one.path, one.preset, one.kind, one.submitted)
            try:
                self._check(one.path, one.preset, one.kind)
            except BridgeError as error:  # it is gone since, or somebody wrote the journal
                entry.state, entry.error = "failed", str(error)
            else:
                self._waiting.append(entry)
            self._entries[entry.number] = entry
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._closing = True
            self._lock.notify_all()
        self._thread.join(timeout=30)

    def submit(self, path: str, preset: str, kind: str = "separate") -> dict[str, Any]:
        """Add a job; raises what is wrong with it as :class:`~plugin_bridge.errors.BridgeError`."""
        found = self._check(path, preset, kind)
        with self._lock:
            if len(self._waiting) >= MOST_WAITING:
                raise FullError(f"{MOST_WAITING} jobs are waiting already; try again later")
            self._submitted += 1
            shown = found.relative_to(self._root).as_posix()
            entry = Entry(self._submitted, shown, preset, kind, time.time())
            self._entries[entry.number] = entry
            self._waiting.append(entry)
            self._forget()
            self._keep()
            self._lock.notify_all()
            return asdict(entry)

    def _check(self, path: str, preset: str, kind: str) -> Path:
        """The file or folder of a submission; raises what is wrong with it."""
        found = below(self._root, path)
        check_tree(self._root, found)
        if kind not in ("separate", "render"):
            raise JobError(f"kind {kind!r} is unknown; there are: separate, render")
        if preset not in Preset.names():
            raise JobError(f"preset {preset!r} is not one of those that come with the program")
        return found

    def _keep(self) -> None:
        """Note what has not ended; where nothing can be written the queue lives as long as the program."""
        unended = [asdict(entry) for entry in self._entries.values() if entry.state not in ENDED]
        with suppress(OSError):
            journal.write(self._root, self._submitted, unended)

    def cancel(self, number: int) -> None:
        """Take a job out of the queue, or stop it; raises :class:`JobError` if there is none to stop."""
        with self._lock:
            entry = self._entries.get(number)
            if entry is None or entry.state in ENDED:
                raise JobError(f"job {number} is neither waiting nor running")
            if entry.state == "waiting":
                self._waiting.remove(entry)
            entry.state = "cancelled"  # who runs it looks at that
            self._keep()

    def entries(self) -> list[dict[str, Any]]:
        """All jobs that are known, the newest first."""
        with self._lock:
            return [asdict(entry) for entry in reversed(self._entries.values())]

    def _forget(self) -> None:
        ended = [number for number, entry in self._entries.items() if entry.state in ENDED]
        for number in ended[:-MOST_ENDED]:
            del self._entries[number]

    def _work(self) -> None:
        while True:
            with self._lock:
                while not self._waiting and not self._closing:
                    self._lock.wait()
                if self._closing:
                    return
                entry = self._waiting.popleft()
                entry.state = "running"
            try:
                page = self._do(entry)
                state, error = "done", ""
            except _StoppedError:
                if self._closing and entry.state == "running":
                    return  # it stands in the journal
                state, error, page = "cancelled", "", ""
            except Exception as failure:  # the next job still runs
                known = isinstance(failure, BridgeError | SeparatorError | OSError)
                error = str(failure) if known else f"internal error: {type(failure).__name__}"
                state, page = "failed", ""
            with self._lock:
                entry.state, entry.page, entry.fraction = state, page, 1.0
                entry.error = error.replace(f"{self._root}{os.sep}", "").replace(str(self._root), "").strip()
                self._forget()
                self._keep()

    def _do(self, entry: Entry) -> str:
        """Run one job; returns its page, below the root."""
        path = below(self._root, entry.path)
        check_tree(self._root, path)
        name = safe_name(path.stem if path.is_file() else path.name) or "stems"
        out = self._root / RESULTS / name
        if not out.resolve().is_relative_to(self._root):
            raise OutsideError(f"{RESULTS} is a link that leads out of the served folder")

        def progress(job: str, stage: str, fraction: float) -> None:
            with self._lock:
                if self._closing or entry.state == "cancelled":
                    raise _StoppedError
                entry.stage, entry.fraction = stage, fraction

        call = api.separate if entry.kind == "separate" else api.render
        results = call(
            path,
            entry.preset,
            out,
            name=TEMPLATE,
            report=True,
            jobs=self._jobs,
            memory=self._memory,
            progress=progress,
        )
        return results.page.relative_to(self._root).as_posix() if results.page else ""
