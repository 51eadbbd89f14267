"""A job's temporary folder, and raw audio in it: nothing half-done ever stands under a final name.

The folder lies inside the output folder, so that finished files are only renamed. It is locked
while its process lives, whichever way that ends; a later job removes the ones that nobody holds.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np

from plugin_bridge.audio.pcm import interleaved
from plugin_bridge.errors import JobError
from separators.base import Audio

PREFIX = ".stembridge-"
"""Names of temporary folders start with this."""
LOCK = "lock"

temporary: set[Path] = set()
"""The temporary folders and lock files of this process."""


@contextmanager
def workspace(folder: Path) -> Iterator[Path]:
    """Yield a new temporary folder in ``folder`` (made if missing), removed on leaving.

    Those of killed processes are removed first. Raises :class:`JobError` if ``folder`` cannot be written.
    """
    path = folder / f"{PREFIX}{secrets.token_hex(8)}"  # known before it is there: Ctrl-C may come between
    temporary.add(path)
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            sweep(folder)
            held = _make_locked(path)
        except OSError as error:
            in_the_way = folder.exists() and not folder.is_dir()
            reason = "a file of that name is in the way" if in_the_way else error.strerror
            raise JobError(f"{folder}: cannot be written to: {reason}") from None
        with held:
            yield path
    finally:
        _remove(path)
        temporary.discard(path)


def remove_all() -> None:
    """Remove what is temporary of this process, which ends without leaving its jobs."""
    for path in list(temporary):
        _remove(path)
        with suppress(OSError):
            path.unlink()


def _remove(path: Path) -> None:
    """Remove a temporary folder, its lock last: a kill in between leaves one that the next job removes."""
    with suppress(OSError):
        for inner in path.iterdir():
            if inner.name != LOCK:
                shutil.rmtree(inner, ignore_errors=True)
                with suppress(OSError):
                    inner.unlink()
    shutil.rmtree(path, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove the temporary folders in ``folder`` whose processes are gone."""
    for path in folder.glob(f"{PREFIX}*"):
        if not path.is_dir() or path.is_symlink():
            continue
        with suppress(OSError):
            if not (path / LOCK).exists():
                path.rmdir()  # killed, or about to lock it and then to find it gone; only if it is empty
                continue
            with (path / LOCK).open("rb+") as file:
                lock(file)
                _remove(path)


def _make_locked(path: Path) -> IO[bytes]:
    """Make the folder ``path``; returns its locked file."""
    while True:
        path.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):
            held = (path / LOCK).open("wb")
            try:
                lock(held)
                is_ours = (path / LOCK).exists()
            except BlockingIOError:
                is_ours = False
            except OSError:  # a file system without locks: then nobody can sweep here either
                is_ours = True
            if is_ours:
                return held
            held.close()
        time.sleep(0.01)  # another job sweeps it away between its making and its locking


if sys.platform == "win32":
    import msvcrt

    def lock(file: IO[bytes] | int) -> None:
        """Lock or raise OSError; the system unlocks when the file is closed, even by a kill."""
        msvcrt.locking(file if isinstance(file, int) else file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def lock(file: IO[bytes] | int) -> None:
        """Lock or raise OSError; the system unlocks when the file is closed, even by a kill."""
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Spool:
    """Float32 audio in a temporary file: written once, then read from any position.

    A :class:`separators.streaming.AudioSource`; a context manager, which closes the file.
    """

    def __init__(self, path: Path, sample_rate: int, channels: int) -> None:
        self.path = path
        self.sample_rate = sample_rate
        self.channels = channels
        self.frames = 0
        self._file = path.open("x+b", buffering=0)

    def write(self, audio: Audio) -> None:
        """Append a block ``(channels, frames)``; raises OSError with the path if the disk is full."""
        if audio.shape[1] == 0:
            return
        samples = interleaved(audio).data.cast("B")
        try:
            self._file.seek(0, os.SEEK_END)
            written = 0
            while written < len(samples):
                written += self._file.write(samples[written:])
        except OSError as error:
            error.filename = str(self.path.parent.parent)  # of the output folder: the spool itself is no news
            raise
        self.frames += audio.shape[1]

    def read(self, start: int, frames: int) -> Audio:
        """Frames ``start`` to ``start + frames`` as ``(channels, frames)``, all inside the spool."""
        samples = np.empty((frames, self.channels), np.float32)
        if frames == 0:
            return np.ascontiguousarray(samples.T)
        view = samples.data.cast("B")
        self._file.seek(start * self.channels * 4)
        got = 0
        while got < len(view):
            count = self._file.readinto(view[got:])
            if not count:
                raise JobError(f"{self.path}: ends at frame {start + got // (4 * self.channels)}")
            got += count
        return np.ascontiguousarray(samples.T)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
