"""Automation items of REAPER: stretches of an envelope whose points lie in a pool of the project.

A pool (``POOLEDENV``) has a length and points in quarter notes; an item (``POOLEDENVINST``) plays it between
two seconds, from an offset on, at a rate, over and over. In what units a pool holds its values is known of
switches alone; of other envelopes the items are left out and said.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from plugin_bridge.errors import SessionError
from plugin_bridge.sessions.model import Point, PointShape
from plugin_bridge.sessions.rpp.text import Block, Line
from plugin_bridge.sessions.tempo import TempoMap

BYPASS_OUTSIDE = 4
"""Of ``POOLEDENVATTACH``, or of an envelope's own word: between its items an envelope does nothing."""
MIDDLE, WHOLE = 0.5, 1.0
"""The baseline and the amplitude that leave a pool's values as they are."""
LONGEST_POOL = 1e6
"""Quarter notes."""
MOST_POINTS = 100_000
"""With the repeats of all items of an envelope."""


@dataclass(frozen=True)
class _Pool:
    """Switches in order: quarter notes, and whether on from there."""

    length: float
    switches: tuple[tuple[float, bool], ...]


@dataclass(frozen=True)
class _Item:
    start: float
    end: float
    first: float
    """The quarter note of its pool at ``start``."""
    rate: float
    loops: bool
    pool: _Pool


class _Below:
    """The envelope that items lie on."""

    def __init__(self, points: Sequence[Point]) -> None:
        self._points = sorted(points, key=lambda point: point.seconds)
        self._seconds = [point.seconds for point in self._points]

    def at(self, seconds: float) -> Point:
        """What it says: before its first point the same as there; heard without one."""
        index = max(0, bisect_right(self._seconds, seconds) - 1)
        return Point(seconds, self._points[index].value if self._points else 0.0, PointShape.HOLD)

    def between(self, first: float, last: float) -> list[Point]:
        """The points behind ``first`` and before ``last``."""
        return self._points[bisect_right(self._seconds, first) : bisect_left(self._seconds, last)]


class AutomationItems:
    """The pools of a project, and what its items make of envelopes."""

    def __init__(self, root: Block, tempo: TempoMap) -> None:
        self._tempo = tempo
        self._bypasses = bool(root.line("POOLEDENVATTACH").whole_at(0, 0) & BYPASS_OUTSIDE)
        self._pools = {block.line("ID").text(0): _pool(block) for block in root.blocks("POOLEDENV")}

    def mutes(self, envelope: Block, points: Sequence[Point]) -> tuple[Point, ...] | None:
        """The points of a mute (1 is muted) with the items laid over ``points``; None if that is unknown."""
        own = envelope.line("ACT").whole_at(1, -1)
        bypassed = own & BYPASS_OUTSIDE if own >= 0 else self._bypasses
        below = _Below(() if bypassed else points)
        lines = [line for line in envelope.lines("POOLEDENVINST") if line.number_at(12, 0) == 0]
        found = [self._item(line) for line in lines]
        items = sorted((item for item in found if item is not None), key=lambda item: item.start)
        if len(items) < len(lines) or any(a.end > b.start for a, b in pairwise(items)):
            return None
        laid = [below.at(0.0)]
        over = 0.0
        for item in items:
            laid += below.between(over, item.start)
            laid += self._played(item)
            laid.append(below.at(item.end))
            over = item.end
            if len(laid) > MOST_POINTS:
                raise SessionError(
                    f"line {envelope.first_line + 1}: automation items of more than {MOST_POINTS} points"
                )
        return (*laid, *below.between(over, math.inf))

    def _item(self, line: Line) -> _Item | None:
        pool = self._pools.get(line.text(0))
        start, rate = max(0.0, line.seconds_at(1)), line.number_at(4, 1)
        plain = line.number_at(6, MIDDLE) == MIDDLE and line.number_at(7, WHOLE) == WHOLE
        if pool is None or not pool.switches or not plain or rate <= 0:
            return None
        first = self._tempo.quarters(start + line.seconds_at(3)) - self._tempo.quarters(start)
        end = start + max(0.0, line.seconds_at(2))
        return _Item(start, end, first, rate, line.number_at(8, 0) != 0 and pool.length > 0, pool)

    def _played(self, item: _Item) -> Iterator[Point]:
        """The switches of an item, the one in force at its start first."""
        pool, origin = item.pool, self._tempo.quarters(item.start)
        first = item.first % pool.length if item.loops else item.first
        index = bisect_right(pool.switches, (first, True)) - 1
        yield Point(item.start, 1.0 - pool.switches[max(index, 0)][1], PointShape.HOLD)
        passed, count = 0.0, 0
        while True:
            for quarter, is_on in pool.switches[max(index + 1, 0) :]:
                if item.loops and quarter >= pool.length:
                    break
                seconds = self._tempo.seconds(origin + (passed + quarter - first) / item.rate)
                if seconds >= item.end:
                    return
                yield Point(seconds, 1.0 - is_on, PointShape.HOLD)
            if not item.loops:
                return
            passed, index, count = passed + pool.length, -1, count + 1
            seconds = self._tempo.seconds(origin + (passed - first) / item.rate)
            if seconds >= item.end:
                return
            if count * len(pool.switches) > MOST_POINTS:
                raise SessionError(f"an automation item at {item.start:g} s repeats without end; shorten it")
            yield Point(seconds, 1.0 - pool.switches[0][1], PointShape.HOLD)


def _pool(block: Block) -> _Pool:
    length = block.line("SRCLEN").number_at(0, 0)
    switches = sorted((line.number_at(0, 0), line.number_at(1, 0) >= MIDDLE) for line in block.lines("PPT"))
    for quarter in (length, *(quarter for quarter, _ in switches)):
        if abs(quarter) > LONGEST_POOL:
            raise SessionError(
                f"line {block.first_line + 1}: POOLEDENV holds {quarter:g} quarter notes; "
                f"at most {LONGEST_POOL:g} are read"
            )
    return _Pool(length, tuple(switches))
