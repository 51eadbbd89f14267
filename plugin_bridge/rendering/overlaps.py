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

    def gain(self, seconds: NDArray[np.float64], sample_rate: int) -> NDArray[np.float64]:
        """What is left of the hidden clip, at frames that lie at ``seconds``."""
        # Ends are rounded to the nearest frame, as clips' are.
        middle = seconds + 0.5 / sample_rate
        hidden = (middle > self.start) & (middle < self.end)
        left = np.where(hidden, 0.0, 1.0)
        for fade, is_out, part in (
            (self.out, False, seconds - self.start),
            (self.back, True, seconds - (self.end - self.back.seconds)),
        ):
            if fade.seconds > 0:
                here = hidden & (part >= 0 if is_out else part < fade.seconds)
                frames = round(fade.seconds * sample_rate)
                over = faded(fade, part[here] / fade.seconds, frames, is_out=is_out)
                left[here] = beneath_curve(fade, over)
        return left


def gaps(clips: Sequence[Clip]) -> dict[int, list[Gap]]:
    """The gaps of each of ``clips`` (by its index) that others hide; what is muted hides nothing."""
    found: dict[int, list[Gap]] = {}
    covers = [clip for clip in clips if clip.overlap is not Overlap.MIX and not clip.muted]
    if not covers:
        return found
    covers.sort(key=lambda clip: clip.position)
    starts = np.array([clip.position for clip in covers])
    longest = max(clip.length for clip in covers)
    for index, clip in enumerate(clips):
        end = clip.position + clip.length
        first, last = np.searchsorted(starts, [clip.position - longest, end])
        for cover in covers[first:last]:
            if hides(cover, clip):
                found.setdefault(index, []).append(_gap(cover))
    return {index: _merged(ones) for index, ones in found.items()}


def _merged(gaps: list[Gap]) -> list[Gap]:
    """Gaps without fades that meet are one, so that a thousand clips in one place cost no million."""
    plain = sorted((gap for gap in gaps if gap.out == gap.back == NONE), key=lambda gap: gap.start)
    merged: list[Gap] = []
    for gap in plain:
        if merged and gap.start <= merged[-1].end:
            merged[-1] = replace(merged[-1], end=max(merged[-1].end, gap.end))
        else:
            merged.append(gap)
    return [*merged, *(gap for gap in gaps if not gap.out == gap.back == NONE)]


def hides(cover: Clip, clip: Clip) -> bool:
    """Whether ``cover`` replaces what of ``clip`` lies beneath it."""
    end, cover_end = clip.position + clip.length, cover.position + cover.length
    if cover is clip or cover.lane != clip.lane or cover.layer <= clip.layer:
        return False
    if cover_end <= clip.position or cover.position >= end:
        return False
    if cover.overlap is Overlap.REPLACE_ENCLOSING:
        return clip.position <= cover.position and end >= cover_end
    return True


def _gap(cover: Clip) -> Gap:
    end = cover.position + cover.length
    if cover.overlap is not Overlap.CROSSFADE:
        return Gap(cover.position, end)
    fade_in, fade_out = fade_lengths(cover.fade_in, cover.fade_out, cover.length)
    out, back = replace(cover.fade_in, seconds=fade_in), replace(cover.fade_out, seconds=fade_out)
    return Gap(cover.position, end, out, back)
