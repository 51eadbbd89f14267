"""A click track as audio: short tones on the beats, the first of a bar higher and louder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from plugin_bridge.sessions.model import TempoChange
from plugin_bridge.sessions.tempo import TempoMap
from separators.base import Audio

SECONDS = 0.03
"""How long a click sounds."""
ACCENT, BEAT = "A", "B"
MOST_BEATS = 1_000_000


@dataclass(frozen=True)
class Click:
    """The clicks of a stretch of the timeline, counted from ``start``; mono."""

    start: float
    """Where on the timeline the clicks' frame 0 lies, seconds."""
    length: float
    tempo: tuple[TempoChange, ...]
    volumes: tuple[float, float] = (0.5, 0.25)
    """Of the first beat of a bar and of the others; linear."""
    frequencies: tuple[float, float] = (1760.0, 880.0)
    pattern: str = ""
    """A letter for each beat: A accent, B beat, others rest; without one, ABBB as the meter says."""

    def open(self, sample_rate: int) -> ClickSource:
        """The clicks at ``sample_rate``."""
        return ClickSource(self, sample_rate)

    def beats(self) -> list[tuple[float, str]]:
        """When each beat falls, seconds from ``start``, and its letter."""
        tempo = TempoMap(self.tempo)
        found: list[tuple[float, str]] = []
        for change, following in zip(self.tempo, [*self.tempo[1:], None], strict=True):
            end = self.start + self.length if following is None else following.seconds
            step = 4 / change.denominator
            origin = tempo.quarters(change.seconds)
            pattern = self.pattern or ACCENT + BEAT * (change.numerator - 1)
            first = max(0, int((tempo.quarters(max(self.start, change.seconds)) - origin) / step - 1e-9))
            for number in range(first, first + MOST_BEATS):
                seconds = tempo.seconds(origin + number * step)
                if seconds >= min(end, self.start + self.length) - 1e-9:
                    break
                if seconds >= self.start - 1e-9:
                    found.append((max(0.0, seconds - self.start), pattern[number % len(pattern)]))
        return found


class ClickSource:
    """A :class:`Click` as a source of audio."""

    channels = 1

    def __init__(self, click: Click, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self.frames = round(click.length * sample_rate)
        self._sounds: dict[str, Audio] = {
            letter: _tone(volume, frequency, sample_rate)
            for letter, volume, frequency in zip(ACCENT + BEAT, click.volumes, click.frequencies, strict=True)
        }
        self._beats = [
            (round(seconds * sample_rate), letter)
            for seconds, letter in click.beats()
            if letter in self._sounds
        ]
        self._starts = np.array([frame for frame, _ in self._beats], np.int64)

    def read(self, start: int, frames: int) -> Audio:
        """Frames ``start`` to ``start + frames`` as ``(1, frames)``."""
        audio = np.zeros((1, frames), np.float32)
        longest = round(SECONDS * self.sample_rate)
        first, last = np.searchsorted(self._starts, [start - longest, start + frames])
        for frame, letter in self._beats[first:last]:
            sound = self._sounds[letter]
            begin, end = max(frame, start), min(frame + sound.shape[1], start + frames)
            if begin < end:
                audio[:, begin - start : end - start] += sound[:, begin - frame : end - frame]
        return audio


def _tone(volume: float, frequency: float, sample_rate: int) -> Audio:
    frames = round(SECONDS * sample_rate)
    seconds = np.arange(frames) / sample_rate
    fading = 1 - np.arange(frames) / max(1, frames)
    return (volume * fading * np.sin(2 * np.pi * frequency * seconds)).astype(np.float32)[np.newaxis]
