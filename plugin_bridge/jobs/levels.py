"""How stems fit into the files they are written to: the bit depth and, where it must be, a common gain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from plugin_bridge.audio.outputs import BIT_DEPTHS, LOSSY, has_full_scale
from separators.base import Audio

PROMISED_DB = -120.0
"""Stems sum to their mixture to this or better, unless a format was asked for that cannot."""
LOOKED_AT_ONCE = 1 << 14
"""Frames, few enough to stay in the processor's cache."""


@dataclass(frozen=True)
class Fit:
    """The bit depth to write, the gain to write with, and what is to be said about either."""

    bit_depth: str
    gain: float = 1.0
    note: str = ""
    warning: str = ""


def fit(format: str, bit_depth: str, *, asked: bool, peak: float, rounding_db: float = -math.inf) -> Fit:
    """How to write stems of this ``peak`` (linear) as files meant to have ``bit_depth``.

    Unless somebody ``asked`` for that depth, stems that it would clip, or round by more than
    :data:`PROMISED_DB`, become 32-bit float, so that the files sum to the mixture. Elsewhere one gain for all
    stems keeps them from clipping.
    """
    if not has_full_scale(format, bit_depth):
        return Fit(bit_depth)
    if not asked and not has_full_scale(format, "float32"):
        if peak > 1:
            return Fit("float32", note=f"{_FLOAT} peaks of {_db(peak)} do not fit {bit_depth} bits")
        if rounding_db > PROMISED_DB:
            return Fit(
                "float32",
                note=f"{_FLOAT} at {bit_depth} bits the stems of so quiet a mixture would sum to it "
                f"to {rounding_db:.0f} dB only",
            )
    if peak <= 1:
        return Fit(bit_depth)
    kind = format if format in LOSSY else f"{bit_depth} bits"
    return Fit(
        bit_depth,
        1 / peak,
        warning=f"turned down by one gain of {1 / peak:.4g} ({_db(1 / peak)}), since peaks of {_db(peak)} "
        f"do not fit {kind}: the files do not sum to the input; wav at --bit-depth float32 needs no gain",
    )


class Rounding:
    """What rounding stems to integers would add to their sum; they come in blocks."""

    def __init__(self, bit_depth: str) -> None:
        """``bit_depth``: float32 rounds nothing."""
        self._scale = 0.0 if bit_depth == "float32" else 2.0 ** (BIT_DEPTHS[bit_depth] - 1)
        self._sum = 0.0
        self._error = 0.0

    def add(self, stems: Sequence[Audio]) -> None:
        """Take in the next block of each stem, ``(channels, frames)``."""
        if not self._scale:
            return
        for start in range(0, stems[0].shape[1], LOOKED_AT_ONCE):
            exact = [stem[:, start : start + LOOKED_AT_ONCE].astype(np.float64) for stem in stems]
            total = sum(exact)
            rounded = sum(np.rint(stem * self._scale) for stem in exact) / self._scale
            self._sum += float(np.sum(np.square(total)))
            self._error += float(np.sum(np.square(rounded - total)))

    @property
    def decibels(self) -> float:
        """Energy of that, relative to the sum."""
        if self._error == 0 or self._sum == 0:
            return -math.inf
        return 10 * math.log10(self._error / self._sum)


_FLOAT = "written as 32-bit float:"


def _db(linear: float) -> str:
    return f"{20 * math.log10(linear):+.1f} dB"
