"""How Ardour smooths faders that automation moves, as measured on the exports of Ardour 7.3.

The list is read once a cycle, from the cycle's first frame to the one behind its last, so that it is complete
on the last one; automation is as late as the export tool's latency; a one-pole low-pass follows it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

CYCLE = 1024
LATE = 256
"""Frames; sends are not late."""
CORNER = 156.825
"""The filter's coefficient times the sample rate: 25 Hz."""
FORGOTTEN_AFTER = 20
"""Time constants of the filter, after which nothing is left of where it began: e^-20 is -174 dB."""


def smoothed(
    at: Callable[[Values], Values],
    start: int,
    count: int,
    sample_rate: int,
    late: int = LATE,
    *,
    is_switch: bool = False,
) -> Values:
    """The gain at frames ``start`` to ``start + count`` where ``at`` gives it at any seconds.

    A switch is looked at once a cycle, at its first frame.
    """
    from scipy.signal import lfilter  # takes most of a second to load, and few sessions need it

    pole = min(1.0, CORNER / sample_rate)
    begin = max(0, start - int(FORGOTTEN_AFTER / pole))
    frames = np.arange(begin, start + count) - late
    cycle = frames // CYCLE * CYCLE
    part = 0 if is_switch else (frames - cycle) * CYCLE / (CYCLE - 1)
    values = at((cycle + part) / sample_rate)
    if not len(values):
        return np.asarray(values)
    state = [values[0]]
    return np.asarray(lfilter([0.0, pole], [1.0, pole - 1.0], values, zi=state)[0][start - begin :])
