"""Matrix products on one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from threading import Lock
from typing import Any, ParamSpec, TypeVar

from threadpoolctl import ThreadpoolController

P = ParamSpec("P")
T = TypeVar("T")


def on_one_thread(function: Callable[P, T]) -> Callable[P, T]:
    """Make ``function`` run numpy's matrix products on the calling thread only.

    For loops over small products, which the threads of a BLAS slow down even on an idle machine
    and, as they wait by spinning, up to fifty times on a busy one (measured with OpenBLAS). Work is
    spread over cores by running several jobs.
    """

    @wraps(function)
    def limited(*args: P.args, **kwargs: P.kwargs) -> T:
        with _one_thread.held():
            return function(*args, **kwargs)

    return limited


class _OneThread:
    """The limit, which is the whole process's: set by the first that asks, lifted after the last."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._holders = 0
        self._limit: Any = None

    @contextmanager
    def held(self) -> Iterator[None]:
        with self._lock:
            if self._holders == 0:
                self._limit = _libraries().limit(limits=1, user_api="blas")
            self._holders += 1
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1
                if self._holders == 0:
                    self._limit.restore_original_limits()


_one_thread = _OneThread()


@cache
def _libraries() -> ThreadpoolController:
    import numpy.linalg  # noqa: F401  (its BLAS must be loaded to be found)

    return ThreadpoolController()
