"""When to look at a watched folder: when the system says that it changed, or again and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path


def moments(folder: Path, interval: float, pause: Callable[[], float], poll: bool) -> Iterator[bool]:
    """Every ``interval`` seconds whether the system says that something in ``folder`` has changed.

    Where it cannot say so (too many folders for it, or names that are no text), and with ``poll``, it
    is taken to have changed each time, but after ``pause()`` seconds: how long depends on who looks.
    """
    if not poll:
        from watchfiles import watch

        # RuntimeError is what becomes of errors in the library's native part.
        with suppress(OSError, RuntimeError):
            for changes in watch(
                folder,
                rust_timeout=round(1000 * interval),
                yield_on_timeout=True,
                debounce=round(min(1600, 1000 * interval)),
                ignore_permission_denied=True,
            ):
                yield bool(changes)
    while True:
        yield True
        time.sleep(pause())
