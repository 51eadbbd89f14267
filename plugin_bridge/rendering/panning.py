"""Pan laws: the gains with which a strip's channels reach the left and the right side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.sessions.model import PanMode, Track
from plugin_bridge.sessions.plain import ardour_side
from separators.base import Audio

Place = float | NDArray[np.float64]
"""-1 left to +1 right; one for all frames, or one for each."""


@dataclass(frozen=True)
class PanLaw:
    """How a strip pans."""

    mode: PanMode = PanMode.BALANCE
    middle: float = 1.0
    """The gain of both sides in the middle."""
    boosts: bool = False
    """Whether the middle keeps its level and the sides are turned up in its place."""
    dual: tuple[float, float] = (-1.0, 1.0)

    @classmethod
    def of(cls, track: Track) -> PanLaw:
        """That of a track."""
        return cls(track.pan_mode, track.pan_law, track.pan_boosts, track.dual_pan)

    @property
    def is_neutral(self) -> bool:
        """Whether a pan in the middle, at full width, changes nothing."""
        return self.mode is PanMode.BALANCE and (self.middle == 1 or self.boosts)

    def sides(self, place: Place) -> tuple[Place, Place]:
        """The gains of the left and the right side for one signal at ``place``."""
        near = self.middle + (1 - self.middle) * np.abs(place)
        far = self.middle * (1 - np.abs(place))
        factor = 1 / self.middle if self.boosts and self.middle > 0 else 1.0
        is_left = np.less_equal(place, 0)
        left, right = np.where(is_left, near, far) * factor, np.where(is_left, far, near) * factor
        return (left, right) if isinstance(place, np.ndarray) else (float(left), float(right))

    def apply(self, audio: Audio, place: Place, width: Place = 1.0) -> Audio:
        """``audio`` panned: mono becomes stereo; of more channels the first two are moved."""
        if self.mode is PanMode.BALANCE and not np.any(place):
            return audio if self.is_neutral else audio * np.float32(self.middle)
        mono = len(audio) == 1
        if mono and self.mode is PanMode.ARDOUR_MONO:
            left, right = _ardour(np.asarray(place))
            return np.concatenate([audio * _single(left), audio * _single(right)])
        panned = np.repeat(audio, 2, axis=0) if mono else audio.copy()
        if mono or self.mode in (PanMode.BALANCE, PanMode.ARDOUR_MONO):
            middle = self.mode is PanMode.DUAL
            sides = self.sides(sum(self.dual) / 2 if middle else place)
            panned[0] *= _single(sides[0])
            panned[1] *= _single(sides[1])
            return panned
        if self.mode is PanMode.DUAL:
            places: tuple[Place, Place] = self.dual
        elif self.mode is PanMode.ARDOUR_STEREO:
            places = (place - np.asarray(width), place + np.asarray(width))
        else:
            spread = np.asarray(width) * (1 - np.abs(place))
            places = (place - spread, place + spread)
        law = _ardour if self.mode is PanMode.ARDOUR_STEREO else _linear
        moved = [law(np.clip(one, -1.0, 1.0)) for one in places]
        panned[0] = audio[0] * _single(moved[0][0]) + audio[1] * _single(moved[1][0])
        panned[1] = audio[0] * _single(moved[0][1]) + audio[1] * _single(moved[1][1])
        return panned


def _linear(place: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return (1 - place) / 2, (1 + place) / 2


def _ardour(place: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    way = (place + 1) / 2
    return ardour_side(1 - way), ardour_side(way)


def _single(gain: Place) -> NDArray[np.float32]:
    return np.asarray(gain, np.float32)
