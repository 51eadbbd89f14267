"""Automation items of REAPER: stretches of an envelope whose points lie in a pool of the project.

A pool (``POOLEDENV``) has a length and points in quarter notes; an item (``POOLEDENVINST``) plays it between
two seconds, from an offset on, at a rate, over and over. Pools hold how far up their envelope's range a point
lies, 0 to 1, since one pool may serve envelopes of several kinds; the top of a volume's range is noted with
each item. Where that does not decide a value the items are left out and said: a volume off the fader's scale
with a top above +6 dB, items of versions that did not note it, other baselines and amplitudes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from plugin_bridge.errors import SessionError
from plugin_bridge.sessions.curves import PointCurve, scale_of
from plugin_bridge.sessions.model import Parameter, Point, PointShape, Scale
from plugin_bridge.sessions.rpp.text import Block, Line
from plugin_bridge.sessions.tempo import TempoMap

BYPASS_OUTSIDE = 4
"""Of ``POOLEDENVATTACH``, or of an envelope's own word: between its items an envelope does nothing."""
MIDDLE, WHOLE = 0.5, 1.0
"""The baseline and the amplitude that leave a pool's values as they are."""
TOPS = {0: 2.0, 1: 1.0, 4: 4.0, 5: 16.0}
"""Of the ranges of volume envelopes: +6, 0, +12 and +24 dB."""
HIGHEST_EVEN = 2.0
"""Up to here a volume's range off the fader's scale is even; above, its middle is 0 dB or is not."""
TRANSITION = 0.012
"""Seconds: how long an item's borders take where nothing else is said."""
LONGEST_TRANSITION = 10.0
LONGEST_POOL = 1e6
"""Quarter notes."""
MOST_POINTS = 100_000
"""With the repeats of all items of an envelope."""


@dataclass(frozen=True)
class _Pool:
    """Points in order, with quarter notes for seconds and parts of the range for values."""

    length: float
    points: tuple[Point, ...]


@dataclass(frozen=True)
class _Item:
    start: float
    end: float
    first: float
    """The quarter note of its pool at ``start``."""
    rate: float
    loops: bool
    transition: float
    """Seconds."""
    length: float
    """Of its pool, quarter notes."""
    curve: PointCurve
    """Its pool's, over quarter notes, in the parameter's own unit."""


class AutomationItems:
    """The pools of a project, and what its items make of envelopes."""

    def __init__(self, root: Block, tempo: TempoMap) -> None:
        self._tempo = tempo
        self._bypasses = bool(root.line("POOLEDENVATTACH").whole_at(0, 0) & BYPASS_OUTSIDE)
        self._pools = {block.line("ID").text(0): _pool(block) for block in root.blocks("POOLEDENV")}
        self.moved: set[Parameter] = set()
        """What items move, but for switches."""

    def laid(
        self, envelope: Block, points: Sequence[Point], parameter: Parameter, scale: Scale
    ) -> tuple[Point, ...] | None:
        """The points of an envelope with its items laid over ``points``; None if that is unknown."""
        own = envelope.line("ACT").whole_at(1, -1)
        bypassed = own & BYPASS_OUTSIDE if own >= 0 else self._bypasses
        nothing = Point(0.0, 0.0 if parameter in (Parameter.PAN, Parameter.MUTE) else 1.0, PointShape.HOLD)
        below = PointCurve([nothing] if bypassed or not points else points, scale)
        lines = [line for line in envelope.lines("POOLEDENVINST") if line.number_at(12, 0) == 0]
        found = [self._item(line, parameter, scale) for line in lines]
        items = sorted((item for item in found if item is not None), key=lambda item: item.start)
        if len(items) < len(lines) or any(a.end > b.start for a, b in pairwise(items)):
            return None
        switches = parameter is Parameter.MUTE
        if not switches:
            self.moved.add(parameter)
        laid: list[Point] = []
        over = 0.0
        for item, following in zip(items, [*items[1:], None], strict=True):
            joins_before, joins_behind = (
                item.start <= over and laid,
                following and following.start <= item.end,
            )
            if not joins_before:
                laid += below.part(over, item.start)
            played = self._played(item)
            if not switches:
                until = None if joins_behind else below.part(item.end, item.end)[-1].value
                played = _eased(item, played, scale, laid[-1].value, until)
            laid += played
            over = item.end
            if len(laid) > MOST_POINTS:
                raise SessionError(
                    f"line {envelope.first_line + 1}: automation items of more than {MOST_POINTS} points"
                )
        return (*laid, *below.part(over, max(over, below.points[-1].seconds)))

    def _item(self, line: Line, parameter: Parameter, scale: Scale) -> _Item | None:
        pool = self._pools.get(line.text(0))
        start, rate = max(0.0, line.seconds_at(1)), line.number_at(4, 1)
        plain = line.number_at(6, MIDDLE) == MIDDLE and line.number_at(7, WHOLE) == WHOLE
        value = _values(line, parameter, scale)
        if pool is None or not pool.points or not plain or rate <= 0 or value is None:
            return None
        points = [replace(one, value=value(one.value)) for one in pool.points]
        if parameter is Parameter.MUTE:
            points = [replace(one, shape=PointShape.HOLD) for one in points]
        curve = PointCurve(points, scale)
        first = self._tempo.quarters(start + line.seconds_at(3)) - self._tempo.quarters(start)
        end = start + max(0.0, line.seconds_at(2))
        transition = max(0.0, min(LONGEST_TRANSITION, line.number_at(14, TRANSITION)))
        loops = line.number_at(8, 0) != 0 and pool.length > 0
        return _Item(start, end, first, rate, loops, transition, pool.length, curve)

    def _played(self, item: _Item) -> list[Point]:
        """The points of an item from its start to its end, repeats included."""
        origin = self._tempo.quarters(item.start)
        left = (self._tempo.quarters(item.end) - origin) * item.rate
        at = item.first % item.length if item.loops else item.first
        played: list[Point] = []
        passed = 0.0
        while True:
            stretch = min(left - passed, item.length - at) if item.loops else left - passed
            played += [
                replace(one, seconds=self._tempo.seconds(origin + (passed + one.seconds - at) / item.rate))
                for one in item.curve.part(at, at + stretch)
            ]
            passed, at = passed + stretch, 0.0
            if left - passed <= left * 1e-12 or not item.loops:
                return played
            if len(played) > MOST_POINTS:
                raise SessionError(f"an automation item at {item.start:g} s repeats without end; shorten it")


def _eased(
    item: _Item, played: list[Point], scale: Scale, before: float, behind: float | None
) -> list[Point]:
    """``played`` with the item's transitions at its borders, from ``before`` and to ``behind``."""
    width = min(item.transition, (item.end - item.start) / 2)
    if width <= 0:
        return played
    curve = PointCurve(played, scale)
    eased = [Point(item.start, before)]
    eased += curve.part(item.start + width, item.end - width if behind is not None else item.end)
    if behind is not None:
        eased[-1] = replace(eased[-1], shape=PointShape.LINEAR)
        eased.append(Point(item.end, behind))
    return eased


def _values(line: Line, parameter: Parameter, scale: Scale) -> Callable[[float], float] | None:
    """From a part of a parameter's range to its value; None where that is not known."""
    if parameter is Parameter.MUTE:
        return lambda part: float(part < MIDDLE)
    if parameter is Parameter.PAN:  # counted to the left
        return lambda part: 1 - 2 * part
    if parameter is Parameter.WIDTH:
        return lambda part: 2 * part - 1
    top = TOPS.get(line.whole_at(15, -1) & 5) if len(line.values) > 15 else None
    if top is None or (scale is Scale.VALUE and top > HIGHEST_EVEN):
        return None
    to_way, from_way = scale_of(scale)
    whole = to_way(np.array([top]))
    return lambda part: float(from_way(part * whole)[0])


def _pool(block: Block) -> _Pool:
    length = block.line("SRCLEN").number_at(0, 0)
    points = sorted((_pool_point(line) for line in block.lines("PPT")), key=lambda point: point.seconds)
    for quarter in (length, *(point.seconds for point in points)):
        if abs(quarter) > LONGEST_POOL:
            raise SessionError(
                f"line {block.first_line + 1}: POOLEDENV holds {quarter:g} quarter notes; "
                f"at most {LONGEST_POOL:g} are read"
            )
    return _Pool(length, tuple(points))


def _pool_point(line: Line) -> Point:
    part = max(0.0, min(1.0, line.number_at(1, 0)))
    shape = dict(enumerate(PointShape)).get(line.whole_at(2, 0), PointShape.LINEAR)
    bend = max(-1.0, min(1.0, line.number_at(3, 0))) if shape is PointShape.BEZIER else 0.0
    return Point(line.number_at(0, 0), part, shape, bend)
