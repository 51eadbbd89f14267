"""Warps: moments of a recording nailed to times of a clip, as a play rate or as stretch markers.

Anchors are pairs of a time (in beats or seconds of the clip's own timeline) and a second of the recording;
between two the rate is even, outside it is that of the nearest two.
"""

from __future__ import annotations

from collections.abc import Iterable

from plugin_bridge.errors import SessionError
from plugin_bridge.sessions.beats import Frame
from plugin_bridge.sessions.model import StretchMarker

UNSTRETCHED = 25e-6
"""Seconds, about one sample: a warp that moves nothing by more is none."""
RATES = (1 / 64, 64.0)

Pairs = list[tuple[float, float]]


def anchors(pairs: Iterable[tuple[float, float]]) -> Pairs:
    """At least two pairs in order, both rising; raises :class:`SessionError` for those that do not."""
    found: Pairs = []
    for time, content in sorted(pairs):
        if found and not (time > found[-1][0] and content > found[-1][1]):
            if (time, content) != found[-1]:
                raise SessionError(f"a warp at {time:g} goes back or stands still in its audio")
            continue
        found.append((time, content))
    if not found:
        raise SessionError("a warped clip without warp markers")
    return found if len(found) > 1 else [found[0], (found[0][0] + 1, found[0][1] + 1)]


def second_at(pairs: Pairs, time: float) -> float:
    """The second of the recording at a time.

    >>> second_at([(0.0, 0.0), (2.0, 1.0)], 4.0)
    2.0
    """
    index = next((i for i in range(1, len(pairs) - 1) if time < pairs[i][0]), len(pairs) - 1)
    (x0, y0), (x1, y1) = pairs[index - 1], pairs[index]
    return y0 + (time - x0) * (y1 - y0) / (x1 - x0)


def time_at(pairs: Pairs, second: float) -> float:
    """The time at which a second of the recording is heard."""
    return second_at([(content, time) for time, content in pairs], second)


def markers(frame: Frame, pairs: Pairs, start: float, end: float) -> Pairs:
    """Seconds of the session and of the recording, wherever the rate may change from ``start`` to ``end``."""
    first, last = frame.time(start), frame.time(end)
    times = [time for time, _ in pairs]
    if frame.unit == "beats":
        times += [beat - frame.origin for beat in frame.clock.grid()]
    inside = sorted({time for time in times if first < time < last})
    return [
        (start, second_at(pairs, first)),
        *((frame.seconds(time), second_at(pairs, time)) for time in inside),
        (end, second_at(pairs, last)),
    ]


def rate(moments: Pairs) -> tuple[float, tuple[StretchMarker, ...], str]:
    """The play rate, the markers if it is not even, and why such a rate cannot be played.

    >>> rate([(1.0, 0.0), (3.0, 1.0)])
    (0.5, (), '')
    """
    (start, first), (end, last) = moments[0], moments[-1]
    if all(abs((source - first) - (moment - start)) <= UNSTRETCHED for moment, source in moments):
        return 1.0, (), ""
    even = (last - first) / (end - start)
    if not RATES[0] <= even <= RATES[1]:
        return 1.0, (), f"a warp to {even:g} times the speed is not played; {RATES[0]:g} to {RATES[1]:g} are"
    if all(abs((source - first) - even * (moment - start)) <= UNSTRETCHED for moment, source in moments):
        return even, (), ""
    return even, tuple(StretchMarker(moment - start, source) for moment, source in moments), ""
