"""Mends moments in which the network tore one voice: both stems then hold copies of the same sound.

Two voices that talk at once sound different, and so do their stems by clusters even where they are separated
badly. A voice that the network is not sure of comes out on two stems at about half its level, as the same
wave. Where stems are copies of each other, and one of them talks alone around that, all of it is put on that
one's stem. Where nobody talks alone nearby nothing is mended: there the network may as well have failed to
separate two.
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from separators.base import Audio
from separators.neural.network import HOP
from separators.neural.talkers import AUDIBLE_DB, COPIES, around, by_hop, faded, power_around, speech_level

HEARD = 0.05
"""The quieter copy has at least this part of the energy of both; else there is nothing to mend."""
SHORTEST = 6
"""Hops that are mended, 0.1 s."""
BESIDE = 6
"""Hops beside torn ones that tell nothing either: means around them hide that they are torn."""
NEAR = 20
"""Hops, 0.3 s, over which what is heard around torn moments counts e times less."""
FAR = 6 * NEAR
"""Hops beyond which nothing counts."""
ALONE = 0.95
"""Who has at least this part of a moment's energy talks alone."""
CLEAR = 0.9
"""At least this part of what is heard around must be of who talks alone."""
ENOUGH = 2.0
"""Times the energy of a torn hop that must be heard around."""


class Join(NamedTuple):
    """From a hop to another all that is on stem ``other`` belongs to ``owner``."""

    start: int
    end: int
    owner: int
    other: int


def joins(stems: Audio) -> list[Join]:
    """What is to be put together in the ``stems`` ``(voices, frames)`` at 16 kHz."""
    power = power_around(stems)
    if not power.size:
        return []
    total = power.sum(0)
    audible = total > speech_level(power) * 10 ** (AUDIBLE_DB / 10)
    loudest = power >= np.sort(power, 0)[-2]
    torn = {
        (one, other): audible
        & loudest[one]
        & loudest[other]
        & (power[[one, other]].min(0) > HEARD * power[[one, other]].sum(0))
        & (around(stems[one] * stems[other]) >= COPIES * np.sqrt(power[one] * power[other]))
        for one, other in combinations(range(len(stems)), 2)
    }
    whole = np.convolve(np.any(list(torn.values()), 0), np.ones(2 * BESIDE + 1), "same") < 0.5
    energy = whole * by_hop(np.square(stems))
    alone = energy * (energy >= ALONE * energy.sum(0))
    found = []
    for (one, other), where in torn.items():
        for start, end in _runs(where):
            near = _heard_near(alone, start, end)
            owner = one if near[one] >= near[other] else other
            enough = ENOUGH * power[[one, other], start:end].sum() / (end - start)
            clear = near.sum() >= CLEAR * _heard_near(energy, start, end).sum()
            if end - start >= SHORTEST and clear and near[owner] >= enough:
                found.append(Join(start, end, owner, other if owner == one else one))
    return found


def _runs(where: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """From where to where something is true without a break."""
    changes = np.flatnonzero(np.diff(np.pad(where.astype(np.int8), 1)))
    return list(zip(changes[::2].tolist(), changes[1::2].tolist(), strict=True))


def _heard_near(energy: NDArray[np.float64], start: int, end: int) -> NDArray[np.float64]:
    """Of ``energy`` ``(voices, hops)`` what is around the hops from ``start`` to ``end``, ``(voices,)``."""
    first, last = max(0, start - FAR), min(energy.shape[1], end + FAR)
    hop = np.arange(first, last)
    away = np.maximum(np.maximum(start - hop, hop - end + 1), 0)
    heard: NDArray[np.float64] = energy[:, first:last] @ np.exp(-away / NEAR)
    return heard


def join(stems: Audio, found: list[Join], first: int = 0, scale: float = 1.0) -> None:
    """Put together what was ``found`` in the ``stems`` ``(voices, ..., frames)``, in place.

    They begin at the frame ``first`` of those that were searched, and have ``scale`` times 16 kHz.
    """
    for start, end, owner, other in found:
        where, share = faded(start * HOP - first, end * HOP - first, stems.shape[-1], scale)
        moved = share * stems[other, ..., where]
        stems[owner, ..., where] += moved
        stems[other, ..., where] -= moved
