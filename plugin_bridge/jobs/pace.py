"""How fast a batch is: what part of its audio is done, in times real time, and the time that is left."""

from __future__ import annotations

import time
from collections.abc import Mapping

FIRST_SECONDS = 2.0
"""Before that nothing is said of the time that is left: it would jump."""


class Pace:
    """Jobs weighed by their audio; one whose length nobody knows counts as the average."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._average = 1.0
        self.begin(0)

    def weigh(self, seconds: Mapping[str, float]) -> None:
        """So much audio each job is about."""
        self._seconds = {job: length for job, length in seconds.items() if length > 0}
        self._average = sum(self._seconds.values()) / len(self._seconds) if self._seconds else 1.0

    def begin(self, jobs: int) -> None:
        """So many jobs begin now."""
        self._started = time.monotonic()
        self._fractions: dict[str, float] = {}
        self._total = sum(self._seconds.values()) + self._average * (jobs - len(self._seconds))
        self._done = self._free = 0.0

    def more(self, seconds: Mapping[str, float]) -> None:
        """These jobs came while others were at work."""
        self._seconds |= {job: length for job, length in seconds.items() if length > 0}
        self._total += sum(self._seconds.get(job, self._average) for job in seconds)
        for job in seconds:  # which may have been done before, as it was then
            self._fractions.pop(job, None)

    def update(self, job: str, fraction: float, free: bool = False) -> None:
        """So much of a job is done; ``free`` if it was there already, which says nothing of the speed."""
        weight, before = self._seconds.get(job, self._average), self._fractions.get(job, 0.0)
        self._fractions[job] = fraction
        if free:
            self._done -= weight * before
            self._free += weight * fraction
        else:
            self._done += weight * (fraction - before)

    @property
    def audio_seconds(self) -> float | None:
        """Of all jobs; None if nobody knows."""
        return self._total if self._seconds else None

    @property
    def times_real_time(self) -> float | None:
        """So many seconds of audio a second; None while nobody knows."""
        elapsed = time.monotonic() - self._started
        return self._done / elapsed if self._seconds and self._done > 0 and elapsed > FIRST_SECONDS else None

    @property
    def seconds_left(self) -> float | None:
        """As it went so far; None while nobody knows."""
        elapsed = time.monotonic() - self._started
        if self._done <= 0 or elapsed < FIRST_SECONDS:
            return None
        return max(0.0, elapsed * (self._total - self._done - self._free) / self._done)


def clock(seconds: float) -> str:
    """A duration for people.

    >>> clock(42), clock(192), clock(7384)
    ('42 s', '3:12 min', '2:03 h')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h"
