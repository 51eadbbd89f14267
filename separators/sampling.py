"""Where a long source is listened to before it is separated: evenly over what sounds, not over its silence.

The source is seen in cells, which are as long as a piece of the sample or, in hours, several. Cells far
below the level at which most of the energy lies (:data:`QUIET_DB`) come last, if at all. Over the others
the pieces are spread evenly, whatever their level, so that a quiet passage is heard like a loud one. Only
where few of them hold most of the energy (:data:`RARE`) is half of the sample taken from those: an event of
seconds in minutes of murmur would otherwise fall between the pieces.

Only ratios of levels decide, so that a gain on the source changes nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.float64]
Numbers = NDArray[np.intp]
Stretch = tuple[int, int]
"""First frame and number of frames."""

QUIET_DB, LOUD_DB = -40.0, -12.0
"""Against the level at which most of the energy lies."""
RARE = 0.25
"""Loud cells are rare if they are less than this part of all that sound."""
ENOUGH = 0.25
"""If what sounds makes up this part of the sample, quiet cells are not heard at all."""
MOST_CELLS = 4096
"""So that memory does not grow with the length."""


def cell_frames(frames: int, piece: int) -> int:
    """The length of the cells of a source of ``frames``: one or more pieces of ``piece`` frames.

    >>> cell_frames(60 * 1000, 1000), cell_frames(10 * MOST_CELLS * 1000, 1000)
    (1000, 10000)
    """
    return piece * max(1, -(-frames // (piece * MOST_CELLS)))


def stretches_to_hear(powers: Levels, frames: int, cell: int, piece: int, pieces: int) -> list[Stretch]:
    """The stretches to listen to, in order and apart; at most ``pieces * piece`` frames in all.

    ``powers`` ``(cells,)`` are those of consecutive cells of ``cell`` frames of a source of ``frames``,
    of which the last may be shorter.

    >>> stretches_to_hear(np.array([0, 0, 0, 1, 1, 0, 0, 0, 0, 0.0]), 1000, 100, 100, 4)
    [(300, 200)]
    """
    left = np.arange(len(powers))
    budget = pieces * piece
    enough = (1 - ENOUGH) * budget
    found: list[Stretch] = []
    while budget >= piece and len(left):
        level = np.square(powers[left]).sum() / max(powers[left].sum(), np.finfo(np.float64).tiny)
        sounding = left[powers[left] >= 10 ** (QUIET_DB / 10) * level]
        loud = left[powers[left] >= 10 ** (LOUD_DB / 10) * level]
        rare = len(loud) < RARE * len(sounding)
        taken = loud if rare else sounding
        spread = _spread(taken, frames, cell, piece, budget // 2 if rare else budget)
        found += spread
        budget -= sum(length for _, length in spread)
        if budget <= enough and not rare:
            break
        left = np.setdiff1d(left, taken, assume_unique=True)
    return _joined(found)


def _spread(cells: Numbers, frames: int, cell: int, piece: int, budget: int) -> list[Stretch]:
    """All ``cells``, or pieces of ``budget`` frames spread evenly over them as if they lay side by side."""
    starts = cells * cell
    lengths = np.minimum(cell, frames - starts)
    ends = np.cumsum(lengths)
    if ends[-1] <= budget:
        return [(int(start), int(length)) for start, length in zip(starts, lengths, strict=True)]
    pieces, room = max(1, budget // piece), int(ends[-1]) - piece
    places = np.linspace(0, room, pieces) if pieces > 1 else np.array([room / 2])
    found = []
    for place in places.astype(int):
        wanted, number = piece, int(np.searchsorted(ends, place, "right"))
        inside = int(place - ends[number] + lengths[number])
        while wanted:
            length = min(wanted, int(lengths[number]) - inside)
            found.append((int(starts[number]) + inside, length))
            wanted, number, inside = wanted - length, number + 1, 0
    return found


def _joined(stretches: list[Stretch]) -> list[Stretch]:
    """``stretches`` in order, those that touch as one."""
    joined: list[Stretch] = []
    for start, length in sorted(stretches):
        if joined and sum(joined[-1]) == start:
            joined[-1] = (joined[-1][0], joined[-1][1] + length)
        else:
            joined.append((start, length))
    return joined
