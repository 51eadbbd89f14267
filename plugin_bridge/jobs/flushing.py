"""Gets finished files onto the disk while the job goes on, so that it need not wait for each."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self


class Flusher:
    """Flushes files in a thread; a context manager.

    It waits for what the thread is at when it is left, but not by an error: a busy disk takes seconds for a
    flush, longer than a job that is told to stop may clean up.
    """

    def __init__(self, folder: Path) -> None:
        """``folder`` is what an error names: the files' own is a temporary one."""
        self._folder = folder
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="flusher")
        self._flushed: list[Future[None]] = []

    def add(self, path: Path) -> None:
        """Flush the file at ``path``, which is complete."""
        self._flushed.append(self._pool.submit(_flush, path))

    def wait(self) -> None:
        """Return when all files are on the disk; raises OSError for one that is not."""
        try:
            for one in self._flushed:
                one.result()
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._folder)) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Windows removes no file that is open.
        self._pool.shutdown(wait=kind is None or os.name == "nt", cancel_futures=True)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
