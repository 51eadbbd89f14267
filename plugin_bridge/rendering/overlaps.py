"""Where clips of one track hide each other: layers of which the top one replaces what lies beneath."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.sessions.fades import beneath_curve, fade_lengths, faded
from plugin_bridge.sessions.model import Clip, Fade, Overlap

NONE = Fade()


@dataclass(frozen=True)
class Gap:
    """A stretch of the timeline in which a clip is hidden, seconds.

    It gives way over the fade ``out`` and returns over the fade ``back``, both inside.
    """

    start: float
    end: float
    out: Fade = NONE
    back: Fade = NONE
    is_ardours: bool = False
    """What goes on behind such a gap loses its last frame."""

    def shortens(self, start: float, end: float) -> bool:
        """Whether a clip from ``start`` to ``end`` loses its last frame by it."""
        hidden_from, hidden_to = self.start + self.out.seconds, self.end - self.back.seconds
        return self.is_ardours and hidden_from < end and start < hidden_to < end

    def gain(self, seconds: NDArray[np.float64], sample_rate: int) -> NDArray[np.float64]:
        """What is left of the hidden clip, at frames that lie at ``seconds``."""
        # Ends are rounded to the nearest frame, as clips' are.
        middle = seconds + 0.5 / sample_rate
        hidden = (middle > self.start) & (middle < self.end)
        left = np.where(hidden, 0.0, 1.0)
        fades = np.zeros(len(left), bool)
        for fade, is_out, part in (
            (self.out, False, seconds - self.start),
            (self.back, True, seconds - (self.end - self.back.seconds)),
        ):
            if fade.seconds > 0:
                here = hidden & (part >= 0 if is_out else part < fade.seconds)
                frames = round(fade.seconds * sample_rate)
                over = faded(fade, part[here] / fade.seconds, frames, is_out=is_out)
                left[here] = np.where(fades[here], left[here], 1.0) * beneath_curve(fade, over)
                fades |= here
        return left


def gaps(clips: Sequence[Clip]) -> dict[int, list[Gap]]:
    """The gaps of each of ``clips`` (by its index) that others hide; what is muted hides nothing."""
    found: dict[int, list[Gap]] = {}
    covers = [clip for clip in clips if clip.overlap is not Overlap.MIX and not clip.muted]
    if not covers:
        return found
    covers.sort(key=lambda clip: clip.position)
    there = _Covers(covers)
    for index, clip in enumerate(clips):
        hidden = there.over(clip)
        plain = hidden[~there.fading[hidden]]
        ones = there.merged(plain) + [there.gaps[place] for place in hidden[there.fading[hidden]]]
        if ones:
            found[index] = ones
    return found


class _Covers:
    """Clips that hide others, in the order of their starts; as arrays, since thousands may meet."""

    def __init__(self, covers: Sequence[Clip]) -> None:
        self.clips = covers
        self.starts = np.array([clip.position for clip in covers])
        self.lengths = np.array([clip.length for clip in covers])
        self.ends = self.starts + self.lengths
        self.lanes = np.array([clip.lane for clip in covers])
        self.layers = np.array([clip.layer for clip in covers])
        self.needs_enclosing = np.array([clip.overlap is Overlap.REPLACE_ENCLOSING for clip in covers])
        self.gaps = [_gap(cover) for cover in covers]
        self.fading = np.array([gap.out != NONE or gap.back != NONE for gap in self.gaps])

    def over(self, clip: Clip) -> NDArray[np.intp]:
        """The places of those that replace what of ``clip`` lies beneath them; never itself, by its layer."""
        end = clip.position + clip.length
        first, last = np.searchsorted(self.starts, [clip.position - self.lengths.max(), end])
        near = slice(first, last)
        hides = (self.lanes[near] == clip.lane) & (self.layers[near] > clip.layer)
        hides &= self.ends[near] > clip.position
        encloses = (clip.position <= self.starts[near]) & (end >= self.ends[near])
        places: NDArray[np.intp] = np.flatnonzero(hides & (encloses | ~self.needs_enclosing[near]))
        places += first
        return places

    def merged(self, places: NDArray[np.intp]) -> list[Gap]:
        """Gaps without fades that meet are one, so that a thousand clips in one place cost no million."""
        if not len(places):
            return []
        starts, ends = self.starts[places], np.maximum.accumulate(self.ends[places])
        begins = np.flatnonzero(np.append(True, starts[1:] > ends[:-1]))
        last = np.append(begins[1:], len(places)) - 1
        is_ardours = any(self.clips[place].overlap is Overlap.CROSSFADE for place in places)
        return [
            Gap(float(starts[one]), float(ends[other]), is_ardours=is_ardours)
            for one, other in zip(begins, last, strict=True)
        ]


def _gap(cover: Clip) -> Gap:
    end = cover.position + cover.length
    if cover.overlap is not Overlap.CROSSFADE:
        return Gap(cover.position, end)
    fade_in, fade_out = fade_lengths(cover.fade_in, cover.fade_out, cover.length)
    out, back = replace(cover.fade_in, seconds=fade_in), replace(cover.fade_out, seconds=fade_out)
    return Gap(cover.position, end, out, back, is_ardours=True)
