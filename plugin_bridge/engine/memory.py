"""How much memory a process uses, and how people write amounts of it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from plugin_bridge.errors import JobError

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
UNITS |= {f"{unit}i": 1024**power for power, unit in enumerate("KMGT", 1)}
SMALLEST = 200_000_000
"""What a worker needs before it has read any audio."""


def parse_bytes(text: str) -> int:
    """An amount of memory: ``4GB``, ``600 MiB``, ``2e9``; raises :class:`JobError`.

    >>> parse_bytes("4GB"), parse_bytes("600 MiB"), parse_bytes("2e9")
    (4000000000, 629145600, 2000000000)
    """
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+(?:e[0-9]+)?)\s*([KMGT]?i?)B?\s*", text, re.IGNORECASE)
    unit = match[2][:1].upper() + match[2][1:].lower() if match else ""
    if match is None or unit not in UNITS:
        raise JobError(f"{text!r} is no amount of memory; write it like 4GB or 600MiB")
    amount = round(float(match[1]) * UNITS[unit])
    if amount < SMALLEST:
        raise JobError(f"{text} of memory is less than a worker needs to start; give at least 200MB")
    return amount


def resident_bytes(pid: int | None) -> int:
    """What the process ``pid`` holds in memory now; 0 if that cannot be known."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError, AttributeError):
        return _by_psutil(pid)


def _by_psutil(pid: int | None) -> int:
    try:
        import psutil

        return int(psutil.Process(pid).memory_info().rss)
    except Exception:  # not installed, or the process is gone
        return 0


def can_measure() -> bool:
    """Whether a limit can be held here."""
    return resident_bytes(os.getpid()) > 0
