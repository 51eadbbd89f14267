"""Matrix products on one thread."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import ParamSpec, TypeVar

from threadpoolctl import ThreadpoolController

from separators.process_wide import ProcessWide

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


@cache
def _libraries() -> ThreadpoolController:
    import numpy.linalg  # noqa: F401  (its BLAS must be loaded to be found)

    return ThreadpoolController()


def _limit() -> Callable[[], None]:
    return _libraries().limit(limits=1, user_api="blas").restore_original_limits  # type: ignore[no-any-return]


_one_thread = ProcessWide(_limit)
