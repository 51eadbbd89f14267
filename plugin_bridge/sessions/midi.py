"""Standard MIDI files as sessions see them; :mod:`separators.score.midi` reads them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from plugin_bridge.errors import SessionError
from plugin_bridge.sessions.model import Marker, MidiNote, TempoChange
from separators.score import midi
from separators.score.midi import CONTROLS, PROGRAM, ControlChange, Mixer, NotePairs

__all__ = ["CONTROLS", "PROGRAM", "ControlChange", "MidiFile", "Mixer", "NotePairs", "read_midi"]


@dataclass
class MidiFile:
    """What a Standard MIDI File says, in seconds from its start."""

    tempo: list[TempoChange]
    markers: list[Marker]
    tracks: list[tuple[str, list[MidiNote]]]
    """The name and the notes of each track that has notes."""
    length: float
    """When its longest track ends."""


def read_midi(path: Path) -> MidiFile:
    """Read a type 0 or 1 file. Raises :class:`SessionError` if it is damaged or of type 2."""
    try:
        file = midi.read_midi(path)
    except midi.MidiError as error:
        raise SessionError(str(error)) from None
    tempo = [TempoChange(*change) for change in file.tempo]
    markers = [Marker(seconds, name) for seconds, name in file.markers]
    return MidiFile(tempo, markers, file.tracks, file.length)
