"""What a parameter follows: a curve over time, or the level of a signal.

Both give one value for each block of ``step_frames`` frames, counted from the signal's first frame; see
:class:`~plugin_bridge.plugins.automated.Automated`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.plugins.sidechains import STEM, TRACK, read_sidechain
from separators import Audio

Value = bool | float | str
FLOOR_DB = -120.0
"""The level of silence."""
MOST_POINTS = 100_000


@dataclass(frozen=True)
class Curve:
    """A parameter over time: ``values`` at ``times_seconds`` from the signal's first frame.

    Between two times the value moves in a straight line (``shape="linear"``, numbers only) or stays
    until the next one (``shape="hold"``); before the first time and behind the last it stays. Raises
    ValueError for times that do not rise and values that are no numbers where they must be.
    """

    times_seconds: Sequence[float]
    values: Sequence[Value]
    shape: Literal["linear", "hold"] = "linear"

    def __post_init__(self) -> None:
        object.__setattr__(self, "times_seconds", _numbers("times_seconds", self.times_seconds))
        if self.shape not in ("linear", "hold"):
            raise ValueError(f"shape must be linear or hold, not {self.shape!r}")
        if self.shape == "linear":
            object.__setattr__(self, "values", _numbers("values", self.values))
        else:
            object.__setattr__(self, "values", tuple(_plain(value) for value in self.values))
        _check_points("times_seconds", self.times_seconds, self.values)

    def at(self, seconds: NDArray[np.float64]) -> list[Value]:
        """The values at ``seconds``."""
        if self.shape == "linear":
            return list(map(float, np.interp(seconds, self.times_seconds, np.asarray(self.values, float))))
        places = np.searchsorted(np.asarray(self.times_seconds), seconds, side="right") - 1
        return [self.values[place] for place in np.maximum(places, 0)]


@dataclass(frozen=True)
class Follower:
    """A parameter by the level of a signal: ``values`` at ``levels_db``, straight lines between.

    The signal is the plug-in's own input, or the ``stem`` of that name in the same rack, or the
    ``track`` of that name (:mod:`plugin_bridge.plugins.sidechains`); with ``low_hz`` and ``high_hz``
    only what lies between the two (Butterworth filters of second order). Its level in decibels re full
    scale is that of the mean square of each block, of the loudest channel, smoothed from block to
    block by ``attack_seconds`` where it rises and ``release_seconds`` where it falls (the time constants
    of ``e = c e + (1 - c) p``, ``c = exp(-step / (time * rate))``); silence is -120 dB.
    """

    levels_db: Sequence[float]
    values: Sequence[float]
    stem: str = ""
    track: str = ""
    attack_seconds: float = 0.005
    release_seconds: float = 0.2
    low_hz: float | None = None
    high_hz: float | None = None

    def __post_init__(self) -> None:
        for name in ("levels_db", "values"):
            object.__setattr__(self, name, _numbers(name, getattr(self, name)))
        _check_points("levels_db", self.levels_db, self.values)
        if self.stem and self.track:
            raise ValueError(
                f"one signal is followed: stem = {self.stem!r} or track = {self.track!r}, not both"
            )
        for name in ("stem", "track"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"{name} must be a name, not {getattr(self, name)!r}")
        for name, low, high in (
            ("attack_seconds", 0.0, 60.0),
            ("release_seconds", 0.0, 60.0),
            ("low_hz", 1.0, 1e6),
            ("high_hz", 1.0, 1e6),
        ):
            value = getattr(self, name)
            if value is None and name.endswith("hz"):
                continue
            if not _is_number(value) or not low <= value <= high:
                raise ValueError(f"{name} must be a number from {low:g} to {high:g}, not {value!r}")
            object.__setattr__(self, name, float(value))
        if self.low_hz is not None and self.high_hz is not None and self.low_hz >= self.high_hz:
            raise ValueError(f"low_hz must lie below high_hz, and {self.low_hz:g} does not: {self.high_hz:g}")

    @cached_property
    def listens_to(self) -> tuple[str, str] | None:
        """The kind and name of its sidechain; None: the plug-in's own input."""
        if self.stem:
            return STEM, self.stem
        return (TRACK, self.track) if self.track else None


class Following:
    """A :class:`Follower` along one signal."""

    def __init__(self, follower: Follower, sample_rate: float, step_frames: int) -> None:
        self._follower = follower
        self._step = step_frames
        self._attack, self._release = (
            math.exp(-step_frames / (seconds * sample_rate)) if seconds else 0.0
            for seconds in (follower.attack_seconds, follower.release_seconds)
        )
        self._filters = list(_filters(follower, sample_rate))
        self._states: list[NDArray[np.float64]] = []
        self._power = 0.0

    def next(self, audio: Audio, start: int) -> list[Value]:
        """The values for ``audio``, the plug-in's input from frame ``start`` on, in whole steps."""
        key = self._follower.listens_to
        heard = audio if key is None else read_sidechain(*key, start, audio.shape[1])
        powers = self._powers(heard)
        levels = np.empty(len(powers))
        power, attack, release = self._power, self._attack, self._release
        for place, new in enumerate(map(float, powers)):
            keeps = attack if new > power else release
            power = keeps * power + (1 - keeps) * new
            levels[place] = power
        self._power = power
        decibels = 10 * np.log10(np.maximum(levels, 10 ** (FLOOR_DB / 10)))
        return list(map(float, np.interp(decibels, self._follower.levels_db, self._follower.values)))

    def _powers(self, heard: Audio) -> NDArray[np.float64]:
        """The mean square of each step, of the loudest channel."""
        from scipy.signal import sosfilt  # takes most of a second to load, and few presets need it

        signal = heard.astype(np.float64)
        if not self._states:
            self._states = [np.zeros((len(sos), len(signal), 2)) for sos in self._filters]
        for number, sos in enumerate(self._filters):
            signal, self._states[number] = sosfilt(sos, signal, axis=1, zi=self._states[number])
        steps = signal.reshape(len(signal), -1, self._step)
        powers: NDArray[np.float64] = np.mean(np.square(steps), axis=2).max(axis=0)
        return powers


def _filters(follower: Follower, sample_rate: float) -> Any:
    from scipy.signal import butter

    for kind, frequency in (("highpass", follower.low_hz), ("lowpass", follower.high_hz)):
        if frequency is not None and frequency < sample_rate / 2:
            yield butter(2, frequency, kind, fs=sample_rate, output="sos")


def _plain(value: Any) -> Value:
    plain: Value = value.item() if isinstance(value, np.generic) else value
    if not isinstance(plain, bool | int | float | str):
        raise ValueError(f"values must be numbers, true, false or names, not {value!r}")
    return plain


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _numbers(name: str, values: Any) -> tuple[float, ...]:
    if isinstance(values, str | bytes) or not isinstance(values, Sequence | np.ndarray):
        raise ValueError(f"{name} must be a list of numbers, not {values!r}")
    plain = [_plain(value) for value in values]
    for value in plain:
        if not _is_number(value):
            raise ValueError(f"{name} must be numbers, and {value!r} is none")
    return tuple(map(float, plain))


def _check_points(name: str, places: Sequence[float], values: Sequence[Value]) -> None:
    if not places or len(places) != len(values) or len(places) > MOST_POINTS:
        raise ValueError(
            f"{name} and values belong together, one of each and at most {MOST_POINTS}: "
            f"there are {len(places)} and {len(values)}"
        )
    for before, after in pairwise(places):
        if not before < after:
            raise ValueError(f"{name} must rise, and {after:g} does not follow {before:g}")
