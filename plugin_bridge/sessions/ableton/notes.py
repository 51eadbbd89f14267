"""The notes of a Live set's MIDI clips: each key has a list of its own."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from plugin_bridge.errors import SessionError
from plugin_bridge.sessions.beats import Frame
from plugin_bridge.sessions.model import MidiNote
from plugin_bridge.sessions.xml import number, switch

HIGHEST = 127
LONGEST_CLIP = 1e7
"""Beats."""
NEAR = 1e-9
"""What rounding does to beats and seconds."""


@dataclass(frozen=True)
class Written:
    """A note as its clip holds it, in beats of the clip's content."""

    beat: float
    length: float
    pitch: int
    velocity: int
    is_certain: bool
    """Whether it has no chance of being left out."""


def written_notes(clip: Element) -> list[Written]:
    """The notes of a clip that are not switched off, in order of time."""
    found = []
    for key in clip.iterfind("Notes/KeyTracks/KeyTrack"):
        name = key.find("MidiKey")
        pitch = number(name, "Value") if name is not None else -1.0
        if not 0 <= pitch <= HIGHEST:
            raise SessionError(f"notes of the key {pitch:g}; there are 0 to {HIGHEST}")
        for note in key.iterfind("Notes/MidiNoteEvent"):
            if not switch(note, "IsEnabled", True):
                continue
            beat, length = number(note, "Time"), number(note, "Duration")
            if not (abs(beat) <= LONGEST_CLIP and 0 <= length <= LONGEST_CLIP):
                raise SessionError(f"a note at beat {beat:g} of {length:g} beats, which no clip holds")
            velocity = round(min(HIGHEST, max(1.0, number(note, "Velocity", 100.0))))
            certain = number(note, "Probability", 1.0) >= 1
            found.append(Written(beat, length, int(pitch), velocity, certain))
    return sorted(found, key=lambda note: (note.beat, note.pitch))


def played(notes: list[Written], frame: Frame, first: float, last: float) -> Iterator[MidiNote]:
    """Those that begin between the seconds ``first`` and ``last``, where ``frame`` puts the content's beats.

    They end at ``last``, too.
    """
    begin = bisect_left(notes, frame.time(first) - NEAR, key=lambda note: note.beat)
    for note in notes[begin:]:
        start = max(first, frame.seconds(note.beat))
        if start >= last - NEAR:
            return
        end = min(last, frame.seconds(note.beat + note.length))
        yield MidiNote(start, max(0.0, end - start), note.pitch, note.velocity)
