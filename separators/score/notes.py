"""What a note is, wherever it was read from."""

from __future__ import annotations

from dataclasses import dataclass

DRUM_CHANNEL = 9
"""The channel, counted from 0, that General MIDI gives to drums."""


@dataclass(frozen=True)
class Note:
    """One note: seconds, MIDI pitch (60 is middle C), velocity 1 to 127, channel counted from 0.

    ``volume`` (a gain, at most 1) and ``pan`` (0 left, 1 right) are what its channel's controllers say,
    ``program`` (counted from 0, as in General MIDI) is its channel's instrument, None if nothing says it.
    """

    start: float
    length: float
    pitch: int
    velocity: int
    channel: int = 0
    volume: float = 1.0
    pan: float = 0.5
    program: int | None = None

    @property
    def is_drum(self) -> bool:
        """Whether the pitch names a drum rather than a frequency."""
        return self.channel == DRUM_CHANNEL
