"""One run at a time writes into an output folder, and one job at a time moves its files into place.

Two runs with different presets would replace each other's stems, over and over. Locks are the system's, so
that they end with their process, whichever way that ends.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from plugin_bridge.errors import JobError
from plugin_bridge.jobs.workspace import lock, temporary

NAME = ".stembridge.lock"
WRITING = ("another run is writing here", "wait until it ends, or choose another --out")
PLACING_SECONDS = 60.0
"""How long a job waits for another one to move its files; that takes none a second."""

_held: Counter[Path] = Counter()
_files: dict[Path, IO[bytes]] = {}
_guard = threading.Lock()


class FolderTakenError(JobError):
    """Another process is writing into the folder."""


@contextmanager
def locked(folder: Path, name: str = NAME, said: tuple[str, str] = WRITING) -> Iterator[None]:
    """Hold ``folder`` (made if it is missing) against other processes; calls of this one share it.

    ``name`` is that of the file that is locked: who takes another one is no obstacle. Raises
    :class:`FolderTakenError`, with who holds it, between what is ``said`` of that and of what to do. A folder
    that cannot be written is not held: nothing can be written into it by anybody.
    """
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    path = folder.resolve() / name
    with _guard:
        if not _held[path]:
            file = _take(folder / name, said)
            if file is not None:
                _files[path] = file
        _held[path] += 1
    try:
        yield
    finally:
        with _guard:
            _held[path] -= 1
            if not _held[path] and path in _files:
                with suppress(OSError):
                    (folder / name).unlink()  # while it is held: who has opened it sees that it is gone
                _files.pop(path).close()
                temporary.discard(folder / name)


def _take(path: Path, said: tuple[str, str]) -> IO[bytes] | None:
    """Take the lock at ``path``; None where there can be none."""
    while True:
        try:
            file = path.open("a+b")
        except OSError:
            return None
        try:
            if _is_held(file, path, said):
                with suppress(OSError):
                    since = time.strftime("%Y-%m-%d %H:%M:%S")
                    file.truncate(0)
                    who = {"pid": os.getpid(), "host": platform.node(), "since": since}
                    file.write(json.dumps(who).encode())
                    file.flush()
                temporary.add(path)
                return file
        except BaseException as error:
            if not isinstance(error, FolderTakenError):  # Ctrl-C
                path.unlink(missing_ok=True)
            file.close()
            raise
        file.close()


def _is_held(file: IO[bytes], path: Path, said: tuple[str, str]) -> bool:
    """Lock ``file``; False if it is another one than at ``path`` by now: its holder has removed it."""
    try:
        lock(file)
    except OSError as error:
        if isinstance(error, BlockingIOError | PermissionError) or error.errno == errno.EDEADLK:
            who, instead = said
            raise FolderTakenError(f"{path.parent}: {who}{_holder(file)}; {instead}") from None
        return True  # a file system without locks
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


@contextmanager
def placing(folder: Path) -> Iterator[None]:
    """Let no other job move files in ``folder`` meanwhile, where the system can lock folders."""
    try:
        number = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        yield
        return
    try:
        end = time.monotonic() + PLACING_SECONDS
        while time.monotonic() < end:
            try:
                lock(number)
            except BlockingIOError:
                time.sleep(0.01)
                continue
            except OSError:
                pass
            break
        yield
    finally:
        os.close(number)


def _holder(file: IO[bytes]) -> str:
    try:
        file.seek(0)
        who = json.loads(file.read(1000))
        return f" (process {int(who['pid'])} on {who['host']}, since {who['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
