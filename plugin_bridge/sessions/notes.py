"""A track's notes as MIDI messages (mido's) in absolute seconds, for instruments."""

from __future__ import annotations

import math
from collections.abc import Iterator

import mido

from plugin_bridge.sessions.model import MidiNote, Track

VOLUME, PAN = 7, 10
OFF, CONTROL, ON = range(3)
"""At the same time keys go up first, then controllers change, then keys go down."""


def messages_of(track: Track) -> list[mido.Message]:
    """All that the track plays, in order of time; ``time`` is in seconds on the session's timeline.

    Besides notes: the controllers, programs and bends that the session holds; where it holds none,
    the program, volume and pan that its notes were read with.
    """
    found = [(note.start, ON, _on(note)) for note in track.notes]
    found += [(note.start + note.length, OFF, _off(note)) for note in track.notes]
    if track.messages:
        found += [(one.seconds, CONTROL, mido.Message.from_bytes(one.data)) for one in track.messages]
    else:
        found += [(seconds, CONTROL, message) for seconds, message in _settings(track)]
    found.sort(key=lambda one: one[:2])
    return [message.copy(time=max(0.0, seconds)) for seconds, _, message in found]


def _on(note: MidiNote) -> mido.Message:
    return mido.Message("note_on", channel=note.channel, note=note.pitch, velocity=max(1, note.velocity))


def _off(note: MidiNote) -> mido.Message:
    return mido.Message("note_off", channel=note.channel, note=note.pitch)


def _settings(track: Track) -> Iterator[tuple[float, mido.Message]]:
    """What the notes' channels were set to, where it changes."""
    known: dict[int, tuple[int | None, int, int]] = {}
    for note in sorted(track.notes, key=lambda note: note.start):
        volume, pan = round(127 * math.sqrt(note.volume)), round(note.pan * 126) + 1
        now = (note.program, volume, pan)
        before = known.get(note.channel, (None, -1, -1))
        known[note.channel] = now
        if note.program is not None and note.program != before[0]:
            yield (
                note.start,
                mido.Message("program_change", channel=note.channel, program=note.program),
            )
        for control, value, was in ((VOLUME, volume, before[1]), (PAN, pan, before[2])):
            if value != was:
                yield (
                    note.start,
                    mido.Message("control_change", channel=note.channel, control=control, value=value),
                )
