"""Which Stembridge this is."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache
def number() -> str:
    """``0.1.0``; ``0+unknown`` in a checkout that was never installed."""
    try:
        return version("stembridge")
    except PackageNotFoundError:
        return "0+unknown"


def program_version() -> str:
    """``stembridge 0.1.0``."""
    return f"stembridge {number()}"
