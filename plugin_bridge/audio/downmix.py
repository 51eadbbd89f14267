"""Audio of more than two loudspeakers in stereo, with the gains of ITU-R BS.775."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from separators.base import Audio
from separators.streaming import AudioSource

USUAL_LOUDSPEAKERS = {4: 0x33, 5: 0x37, 6: 0x3F, 8: 0x63F}
"""What so many channels are for where nothing says so: quadro, 5.0, 5.1, 7.1; bits of WAV's channel mask."""
_HALF = math.sqrt(0.5)
_LEFT, _RIGHT, _BOTH, _NEITHER = (1.0, 0.0), (0.0, 1.0), (_HALF, _HALF), (0.0, 0.0)
_SIDE_LEFT, _SIDE_RIGHT = (_HALF, 0.0), (0.0, _HALF)
GAINS = (
    _LEFT, _RIGHT, _BOTH, _NEITHER, _SIDE_LEFT, _SIDE_RIGHT,
    _LEFT, _RIGHT, (0.5, 0.5), _SIDE_LEFT, _SIDE_RIGHT,
)  # fmt: skip
"""What each loudspeaker gives to the left and the right, by its bit: front left and right, centre, low
frequencies (nothing, as BS.775 has it), back left and right, between front and centre, back centre, sides."""


def stereo_gains(channels: int, channel_mask: int = 0) -> NDArray[np.float32] | None:
    """``(2, channels)``; None where it is not known which loudspeakers the channels are for.

    >>> stereo_gains(6).astype(float).round(2).tolist()
    [[1.0, 0.0, 0.71, 0.0, 0.71, 0.0], [0.0, 1.0, 0.71, 0.0, 0.0, 0.71]]
    """
    mask = channel_mask or USUAL_LOUDSPEAKERS.get(channels, 0)
    bits = [bit for bit in range(mask.bit_length()) if mask >> bit & 1]
    if len(bits) != channels or bits[-1] >= len(GAINS):
        return None
    return np.array([GAINS[bit] for bit in bits], np.float32).T


class StereoSource:
    """A source of many channels, mixed into two."""

    channels = 2

    def __init__(self, source: AudioSource, gains: NDArray[np.float32]) -> None:
        """``gains``: see :func:`stereo_gains`."""
        self._source, self._gains = source, gains
        self.sample_rate, self.frames = source.sample_rate, source.frames

    def read(self, start: int, frames: int) -> Audio:
        """Frames ``start`` to ``start + frames`` as ``(2, frames)``."""
        return self._gains @ self._source.read(start, frames)
