"""Tells stems that hold one person: a network that was made for two tears whoever talks alone for minutes.

Phrases of a person who was torn are as much like those on the other stem as like those on their own. A block
or two may deceive, so that the mean of all blocks so far decides; but who joins in after minutes of another
is told by a block of his own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from separators.base import Audio

ONE = 0.12
"""By less, as a cosine, are one person's phrases on two stems more like those of their own."""
CLEARLY_TWO = 0.25
"""In a block, as much tells that there are two whatever was heard before."""
KNOWN, ENOUGH = 96, 320
"""Hops of phrases by which each of two voices, 1.5 s, and both, 5 s, are known well enough to be one.

Who talks at the same time as another has few phrases of his own, of which nothing can be told."""
REMEMBERED = 3750
"""Hops of the blocks before that count at most, a minute; of each voice, where voices are remembered."""


class OnePerson:
    """Which stems are one person's, from block to block."""

    def __init__(self, voices: int) -> None:
        self.owners = np.arange(voices)
        """On whose stem each voice is: another one's where both are one person."""
        self._more, self._hops = np.zeros((2, voices, voices))

    def hear(self, more: Audio, hops: Audio, known: NDArray[np.float64]) -> None:
        """Learn of a block how much ``more`` like their own than another voice's its phrases are.

        As cosines times hops ``(voices, voices)``, of phrases of so many ``hops`` ``(voices, voices)``. By so
        many hops each voice is ``known`` ``(voices,)``, those of the block included.
        """
        enough = (known >= KNOWN) & (known >= KNOWN)[:, None]
        self._more += enough * more
        self._hops += enough * hops
        kept = np.minimum(1, REMEMBERED / np.maximum(self._hops, 1))
        self._more, self._hops = self._more * kept, self._hops * kept
        alike: NDArray[np.bool_] = (self._hops >= ENOUGH) & (self._more < ONE * self._hops)
        alike &= more < CLEARLY_TWO * hops
        self.owners = np.arange(len(known))
        order = np.argsort(-known, kind="stable")
        for place, voice in enumerate(order):
            for other in order[:place]:
                if self.owners[other] == other and alike[voice, other]:
                    self.owners[voice] = other
                    break

    def join(self, stems: Audio) -> None:
        """Put all that one person says in ``stems`` ``(voices, ..., frames)`` on one of them, in place."""
        for voice in self.gone:
            stems[self.owners[voice]] += stems[voice]
            stems[voice] = 0

    @property
    def gone(self) -> list[int]:
        """The voices that are on another one's stem."""
        return np.flatnonzero(self.owners != np.arange(len(self.owners))).tolist()
