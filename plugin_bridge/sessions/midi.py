"""Standard MIDI files: tempo, meter, markers and notes, in seconds.

Tempo and meter of all tracks are merged by absolute tick before anything is converted, and times are
integrated from the file's start, never added up from rounded pieces.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mido

from plugin_bridge.errors import SessionError
from plugin_bridge.sessions.model import Marker, MidiNote, TempoChange
from plugin_bridge.sessions.tempo import TempoMap

MAX_BYTES = 64 << 20
DROP_FRAME_RATES = {29: 30000 / 1001}
DEFAULT_BPM = 120.0


class NotePairs:
    """Pairs note-ons with note-offs; of equal notes that overlap, the oldest ends first."""

    def __init__(self) -> None:
        self.notes: list[MidiNote] = []
        self._sounding: dict[tuple[int, int], deque[tuple[float, int]]] = defaultdict(deque)

    def start(self, channel: int, pitch: int, velocity: int, seconds: float) -> None:
        """A key goes down."""
        self._sounding[channel, pitch].append((seconds, velocity))

    def stop(self, channel: int, pitch: int, seconds: float) -> None:
        """A key goes up; without a note sounding nothing happens."""
        if sounding := self._sounding[channel, pitch]:
            start, velocity = sounding.popleft()
            self.notes.append(MidiNote(start, max(0.0, seconds - start), pitch, velocity, channel))

    def stop_all(self, seconds: float) -> None:
        """All keys go up, and the notes are put in order."""
        for channel, pitch in list(self._sounding):
            while self._sounding[channel, pitch]:
                self.stop(channel, pitch, seconds)
        self.notes.sort(key=lambda note: (note.start, note.channel, note.pitch))


@dataclass
class MidiFile:
    """What a Standard MIDI File says, in seconds from its start."""

    tempo: list[TempoChange]
    markers: list[Marker]
    tracks: list[tuple[str, list[MidiNote]]] = field(default_factory=list)
    """The name and the notes of each track that has notes."""


def read_midi(path: Path) -> MidiFile:
    """Read a type 0 or 1 file. Raises :class:`SessionError` if it is damaged or of type 2."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SessionError(f"{path}: larger than {MAX_BYTES >> 20} MB, which no MIDI file is")
        file = mido.MidiFile(path)
    except (OSError, EOFError, ValueError, IndexError, KeyError, TypeError) as error:
        reason = str(error) or "it ends too early"
        raise SessionError(f"{path}: cannot be read as MIDI: {reason}") from error
    if file.type == 2:
        raise SessionError(f"{path}: MIDI files of type 2 (independent patterns) have no common timeline")
    if file.ticks_per_beat == 0:
        raise SessionError(f"{path}: its ticks have no length (division 0)")

    events = [
        (tick, index, message) for index, track in enumerate(file.tracks) for tick, message in _timed(track)
    ]
    clock = _Clock(file.ticks_per_beat, events)
    markers = [
        Marker(clock.seconds(tick), decoded(message.text))
        for tick, _, message in sorted(events, key=lambda event: event[0])
        if message.type in ("marker", "cue_marker")
    ]
    tracks = []
    for index, track in enumerate(file.tracks):
        notes = _notes(track, clock)
        if notes:
            tracks.append((decoded(track.name).strip() or f"MIDI {index + 1}", notes))
    return MidiFile(clock.changes, markers, tracks)


def decoded(text: str) -> str:
    """Text as its writer meant it: mido takes every byte for Latin-1, most programs write UTF-8."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _timed(track: Any) -> list[tuple[int, Any]]:
    tick = 0
    events = []
    for message in track:
        tick += message.time
        events.append((tick, message))
    return events


class _Clock:
    """Ticks -> seconds."""

    def __init__(self, division: int, events: list[tuple[int, int, Any]]) -> None:
        self.smpte = division < 0
        if self.smpte:
            # Two bytes, minus frames a second and ticks a frame, which mido reads as one number.
            frames = 256 - (division >> 8 & 0xFF)
            self.ticks_per_second = DROP_FRAME_RATES.get(frames, frames) * max(division & 0xFF, 1)
        self.ticks_per_quarter = division
        points: dict[int, dict[str, float]] = {0: {}}
        for tick, _, message in sorted(events, key=lambda event: event[0]):
            if message.type == "set_tempo" and message.tempo > 0:
                points.setdefault(tick, {})["bpm"] = 60e6 / message.tempo
            elif message.type == "time_signature":
                point = points.setdefault(tick, {})
                point["numerator"], point["denominator"] = message.numerator, message.denominator
        self.changes = [TempoChange(0.0, points[0].get("bpm", DEFAULT_BPM))]
        bpm, numerator, denominator, seconds, last = DEFAULT_BPM, 4, 4, 0.0, 0
        changes = []
        for tick in sorted(points):
            seconds += self._length(tick - last, bpm)
            last = tick
            bpm = points[tick].get("bpm", bpm)
            numerator = int(points[tick].get("numerator", numerator))
            denominator = int(points[tick].get("denominator", denominator))
            changes.append(TempoChange(seconds, bpm, numerator, denominator))
        self.changes = changes
        self._map = TempoMap(changes)

    def _length(self, ticks: int, bpm: float) -> float:
        return ticks / self.ticks_per_second if self.smpte else ticks / self.ticks_per_quarter * 60 / bpm

    def seconds(self, tick: int) -> float:
        """The time of an absolute tick."""
        if self.smpte:
            return tick / self.ticks_per_second
        return self._map.seconds(tick / self.ticks_per_quarter)


def _notes(track: Any, clock: _Clock) -> list[MidiNote]:
    pairs = NotePairs()
    tick = 0
    for message in track:
        tick += message.time
        if message.type == "note_on" and message.velocity > 0:
            pairs.start(message.channel, message.note, message.velocity, clock.seconds(tick))
        elif message.type in ("note_on", "note_off"):
            pairs.stop(message.channel, message.note, clock.seconds(tick))
    pairs.stop_all(clock.seconds(tick))
    return pairs.notes
