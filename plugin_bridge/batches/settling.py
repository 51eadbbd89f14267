"""Which files and folders have stopped changing: somebody may still be copying, recording or saving them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Hashable, Mapping
from pathlib import Path


class Settling:
    """What is waited for, with what it looked like at the last look and since when."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._since: dict[Path, tuple[Hashable, float]] = {}
        self._taken: dict[Path, Hashable] = {}

    def look(
        self, there: Mapping[Path, Hashable], busy: Collection[Path] = ()
    ) -> tuple[list[Path], list[Path]]:
        """Compare with what is ``there`` now: what has settled since it was taken, and what is gone.

        What has settled counts as taken from now on. What somebody is at work with, ``busy``, is neither.
        """
        now = self._clock()
        known = self._taken.keys() | self._since.keys()
        gone = [path for path in known if path not in there and path not in busy]
        for path in gone:
            self._taken.pop(path, None)
            self._since.pop(path, None)
        settled = []
        for path, sign in there.items():
            if path in busy:
                continue
            if self._taken.get(path) == sign:
                self._since.pop(path, None)
                continue
            before, since = self._since.get(path, (None, now))
            if before != sign:
                self._since[path] = (sign, now)
            elif now - since >= self._seconds:
                settled.append(path)
                self._taken[path] = sign
                del self._since[path]
        return settled, gone

    def again(self, path: Path) -> None:
        """Take ``path`` once more, though it has not changed."""
        if path in self._taken:
            self._since[path] = (self._taken.pop(path), -math.inf)

    @property
    def waiting(self) -> bool:
        """Whether something has not settled yet."""
        return bool(self._since)
