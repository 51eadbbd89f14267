"""Settings of the whole process that some of its threads need for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock


class ProcessWide:
    """A setting that is made by the first that needs it and undone after the last."""

    def __init__(self, make: Callable[[], Callable[[], None]]) -> None:
        """``make`` makes it and returns what undoes it."""
        self._make = make
        self._lock = Lock()
        self._holders = 0
        self._undo: Callable[[], None]

    @contextmanager
    def held(self) -> Iterator[None]:
        """A context in which the setting is made."""
        with self._lock:
            if self._holders == 0:
                self._undo = self._make()
            self._holders += 1
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1
                if self._holders == 0:
                    self._undo()
