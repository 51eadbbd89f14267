"""Reads mutated files one after the other, in a process that may neither hang nor grow."""

from __future__ import annotations

import resource
import signal
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from tests.fuzz.kinds import KINDS
from tests.fuzz.mutations import mutated

LONGEST_SECONDS = 10
"""Of the processor's time, which does not depend on what else the machine does."""
LONGEST_WAIT = 120
"""Seconds, for what waits and does nothing."""
LARGEST_GROWTH = 1_000_000
"""Kilobytes by which one file may let the process grow."""
LONGEST_LINE = 4000
"""Characters of an error."""


class Hang(BaseException):
    """A file took too long."""


@dataclass
class Findings:
    """What the mutations of one kind did."""

    kind: str
    count: int = 0
    accepted: int = 0
    slowest: float = 0.0
    growth: int = 0
    """The largest, kilobytes."""
    wrong: list[tuple[int, str]] = field(default_factory=list)
    """The numbers of mutations that did what they must not, and what that was."""
    seen: Counter[str] = field(default_factory=Counter)
    """How often the same came up."""

    def add(self, number: int, what: str) -> None:
        """Remember what is wrong, the first of each kind."""
        self.seen[what] += 1
        if self.seen[what] == 1:
            self.wrong.append((number, what))

    def __str__(self) -> str:
        lines = [
            f"{self.kind}: {self.count} mutations, {self.accepted} accepted, slowest {self.slowest:.1f} s, "
            f"largest growth {self.growth / 1000:.0f} MB, {len(self.wrong)} faults"
        ]
        lines += [f"  mutation {number} ({self.seen[what]} times): {what}" for number, what in self.wrong]
        return "\n".join(lines)


def fuzz(kind: str, numbers: range, folder: Path) -> Findings:
    """Read mutations ``numbers`` of a kind's seeds, written into ``folder``; needs the main thread."""
    found, one = Findings(kind), KINDS[kind]
    seeds = one.seeds()
    path = folder / f"fuzzed{one.suffix}"
    before = {number: signal.signal(number, _too_long) for number in (signal.SIGALRM, signal.SIGPROF)}
    try:
        for number in numbers:
            path.write_bytes(mutated(seeds[number % len(seeds)], number))
            started, size = time.process_time(), _size()
            signal.setitimer(signal.ITIMER_PROF, LONGEST_SECONDS)
            signal.alarm(LONGEST_WAIT)
            try:
                one.read(path)
                found.accepted += 1
            except one.errors as error:
                if "\n" in (said := str(error)) or not said or len(said) > LONGEST_LINE:
                    found.add(number, f"no line: {said[:200]!r}")
            except (Exception, Hang) as error:
                place = traceback.extract_tb(error.__traceback__)[-1]
                found.add(
                    number,
                    f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}: {error!s:.80}",
                )
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
                signal.alarm(0)
            found.count += 1
            found.slowest = max(found.slowest, time.process_time() - started)
            growth = _size() - size
            found.growth = max(found.growth, growth)
            if growth > LARGEST_GROWTH:
                found.add(number, f"grew by {growth / 1e6:.1f} GB")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return found


def _too_long(number: int, frame: FrameType | None) -> None:
    raise Hang(f"{signal.Signals(number).name}, longer than {LONGEST_SECONDS} s")


def _size() -> int:
    """The most that the process has held, kilobytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
