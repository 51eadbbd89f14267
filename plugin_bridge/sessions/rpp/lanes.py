"""Which items of a REAPER track play and which replace which: lanes, free positions, ``ITEMMIX``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from plugin_bridge.errors import SessionError
from plugin_bridge.sessions.model import Clip, Overlap
from plugin_bridge.sessions.rpp.text import Block

MOST_LANES = 1024
MIXES = {0: Overlap.REPLACE_ENCLOSING, 1: Overlap.MIX, 2: Overlap.REPLACE}
"""``ITEMMIX``: enclosed items replace enclosing ones, all are mixed, later ones replace earlier ones."""
FREE, FIXED = 1, 2
"""``FREEMODE``: items lie anywhere between the track's top and bottom; or in lanes."""


@dataclass(frozen=True)
class Placed:
    """An item's clips, and where it lies between the track's top (0) and bottom (1)."""

    clips: Sequence[Clip]
    top: float = 0.0
    height: float = 1.0
    mix: int | None = None
    """The item's own ``ITEMMIX``."""


class Lanes:
    """A track's lanes (REAPER 7), of which some may not play."""

    def __init__(self, track: Block) -> None:
        self.mode = track.line("FREEMODE").whole_at(0, 0)
        lanes = track.line("LANESOLO") if self.mode == FIXED else None
        words = [lanes.whole_at(index, 0) for index in range(len(lanes.values))] if lanes else []
        if len(words) > MOST_LANES // 32:
            raise SessionError(f"line {track.first_line + 1}: a track of more than {MOST_LANES} lanes")
        self.playing = sum(word << (32 * index) for index, word in enumerate(words)) if words else None
        self.hide_lower = self.mode == FIXED and track.line("FIXEDLANES").whole_at(3, 0) != 0

    def place(self, item: Block) -> tuple[float, float]:
        """The top and the height of ``item``; checked where lanes say what plays."""
        line = item.line("YPOS")
        top, height = line.number_at(0, 0), line.number_at(1, 0)
        if self.mode == FIXED and height > 0 and not 0 <= top < MOST_LANES * height:
            raise SessionError(
                f"line {line.first_line + 1}: YPOS holds {top:g} {height:g}; "
                f"that is none of {MOST_LANES} lanes"
            )
        return top, height

    def play(self, item: Block) -> bool:
        """Whether the lane of ``item`` is heard."""
        top, height = self.place(item)
        return self.playing is None or height <= 0 or bool(self.playing >> round(top / height) & 1)

    def layered(self, placed: Sequence[Placed], mix: int) -> list[Clip]:
        """The clips of all items in the file's order, each with its layer, lane and what it replaces."""
        rows = self._rows(placed)
        order = sorted(
            range(len(placed)),
            key=lambda index: (_position(placed[index]), -_length(placed[index]), index),
        )
        layers = {index: layer for layer, index in enumerate(order)}
        found = []
        for index, one in enumerate(placed):
            own = one.mix if one.mix in MIXES else mix
            overlap, layer, row = MIXES.get(own, Overlap.MIX), layers[index], rows[index]
            if self.hide_lower:
                overlap, layer, row = Overlap.REPLACE, layer + row * len(placed), 0
            if overlap is not Overlap.MIX:
                found += [replace(clip, overlap=overlap, layer=layer, lane=row) for clip in one.clips]
            else:
                found += one.clips
        return found

    def _rows(self, placed: Sequence[Placed]) -> list[int]:
        """Items that share no height do not meet: each has the number of its lane, or of its stack."""
        if self.mode == FIXED:
            return [round(one.top / one.height) if one.height > 0 else 0 for one in placed]
        if self.mode != FREE:
            return [0] * len(placed)
        rows, row, bottom = [0] * len(placed), -1, 0.0
        for index in sorted(range(len(placed)), key=lambda index: placed[index].top):
            one = placed[index]
            if row < 0 or one.top >= bottom - 1e-6:
                row += 1
                bottom = one.top
            bottom = max(bottom, one.top + one.height)
            rows[index] = row
        return rows


def _position(placed: Placed) -> float:
    return placed.clips[0].position if placed.clips else 0.0


def _length(placed: Placed) -> float:
    return placed.clips[0].length if placed.clips else 0.0
