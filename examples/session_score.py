"""Timeline and notes of the example session: bars to frames, and MIDI songs out of Freedoom."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import mido

FREEDOOM = Path("/usr/share/games/doom/freedoom2.wad")

RATE = 44100
BPM = 95
TICKS = 96
"""MIDI ticks a beat, as in Freedoom's song."""
START = 3600 * RATE
"""The session starts at one hour, as is common where it is locked to picture or tape."""
MARKERS = {"Room": 0, "Verse": 2, "Band": 5, "Interview": 7}
"""Name -> bar."""


def frames(bars: float) -> int:
    """Length of ``bars`` in frames; a bar is no whole number of them, so never add up rounded bars."""
    return round(bars * 4 * 60 / BPM * RATE)


def freedoom_song(name: str) -> mido.MidiFile:
    """A MIDI song out of the game's archive: a header, and a directory of (position, size, name)."""
    archive = FREEDOOM.read_bytes()
    _, count, directory = struct.unpack_from("<4sii", archive)
    for index in range(count):
        position, size, entry = struct.unpack_from("<ii8s", archive, directory + 16 * index)
        if entry.rstrip(b"\0").decode() == name:
            return mido.MidiFile(file=BytesIO(archive[position : position + size]))
    raise SystemExit(f"{FREEDOOM}: no song {name}")


Note = tuple[int, int, int, int]
"""Start tick, length in ticks, pitch, velocity."""


def notes(song: mido.MidiFile, channel: int, bars: range, transpose: int = 5) -> list[Note]:
    """The notes of a channel that start in ``bars``, cut at the end of the last; from A minor to D minor."""
    first, last = bars.start * 4 * TICKS, bars.stop * 4 * TICKS
    found: list[Note] = []
    for track in song.tracks:
        tick, sounding = 0, {}
        for message in track:
            tick += message.time
            if message.type not in ("note_on", "note_off") or message.channel != channel:
                continue
            if message.type == "note_on" and message.velocity:
                sounding[message.note] = (tick, message.velocity)
            elif message.note in sounding:
                start, velocity = sounding.pop(message.note)
                if first <= start < last:
                    found.append((start - first, min(tick, last) - start, message.note + transpose, velocity))
    return sorted(found)


def events(score: list[Note]) -> list[tuple[int, mido.Message]]:
    """Note-ons and note-offs as (ticks since the one before, message)."""
    edges = [(start, 1, pitch, velocity) for start, _, pitch, velocity in score]
    edges += [(start + length, 0, pitch, 0) for start, length, pitch, _ in score]
    now, out = 0, []
    for tick, on, pitch, velocity in sorted(edges):
        out.append((tick - now, mido.Message("note_on" if on else "note_off", note=pitch, velocity=velocity)))
        now = tick
    return out


def midi_file(messages: Iterable[mido.Message | mido.MetaMessage]) -> mido.MidiFile:
    tempo = mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(BPM))
    meter = mido.MetaMessage("time_signature", numerator=4, denominator=4)
    return mido.MidiFile(type=0, ticks_per_beat=TICKS, tracks=[mido.MidiTrack([tempo, meter, *messages])])
