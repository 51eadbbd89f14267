"""Which Stembridge this is."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache
def number() -> str:
    """As in pyproject.toml, ``1.2.3``; ``0+unknown`` in a checkout that was never installed."""
    try:
        return version("stembridge")
    except PackageNotFoundError:
        return "0+unknown"


def program_version() -> str:
    """``stembridge 1.2.3``."""
    return f"stembridge {number()}"
