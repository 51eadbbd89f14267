"""Which Stembridge this is."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache
def program_version() -> str:
    """``stembridge 0.1.0``."""
    try:
        return f"stembridge {version('stembridge')}"
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "stembridge, not installed"
