"""What a separator says to the user while it works: a warning, or a line for whoever listens.

:func:`warnings.catch_warnings` changes the whole process: of two jobs in two threads, one would
collect what the other's separator says. A listener here belongs to the context it was set in (a
thread, an asyncio task), and hears only what is said there.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from separators.errors import SeparatorWarning

_listener: ContextVar[Callable[[str], None] | None] = ContextVar("listener", default=None)


def remark(message: str) -> None:
    """Say, in one line, why the stems may be poor: to the listener, else as a :class:`SeparatorWarning`."""
    listener = _listener.get()
    if listener is None:
        warnings.warn(message, SeparatorWarning, stacklevel=3)
    else:
        listener(message)


@contextmanager
def heard_by(listener: Callable[[str], None]) -> Iterator[None]:
    """Inside this context ``listener`` gets every remark, and no warning is raised.

    >>> lines = []
    >>> with heard_by(lines.append):
    ...     remark("nmf: found no drums")
    >>> lines
    ['nmf: found no drums']
    """
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
