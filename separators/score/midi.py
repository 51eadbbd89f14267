"""Standard MIDI files: tempo, meter, markers and notes, in seconds.

Tempo and meter of all tracks are merged by absolute tick before anything is converted, and times are
integrated from the file's start, never added up from rounded pieces.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict, deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from separators.errors import SeparatorError
from separators.score.score import Note

MAX_BYTES = 64 << 20
DROP_FRAME_RATES = {29: 30000 / 1001}
DEFAULT_BPM = 120.0
CONTROLS = {7: 100, 10: 64, 11: 127}
"""The controllers for volume, pan and expression, and what they are until they are set."""
PROGRAM = 128
"""Changes of a channel's program are kept like those of a controller with this number, which none has."""


class MidiError(SeparatorError):
    """A file cannot be read as MIDI."""


class Mixer:
    """The volume, panorama and programs that a file gives its channels, as General MIDI means them."""

    def __init__(self, changes: list[tuple[float, int, int, int]]) -> None:
        """``changes``: seconds, channel, controller and value, in order."""
        self._changes: dict[tuple[int, int], list[tuple[float, int]]] = defaultdict(list)
        for seconds, channel, control, value in changes:
            self._changes[channel, control].append((seconds, value))

    def at(self, seconds: float, channel: int) -> tuple[float, float]:
        """The gain, 1 at most, and the pan, 0 left to 1 right, of a note that starts then."""
        volume, pan, expression = (
            self._value(seconds, channel, control, default) for control, default in CONTROLS.items()
        )
        return (volume * expression / 127**2) ** 2, min(max(pan - 1, 0) / 126, 1.0)

    def program(self, seconds: float, channel: int) -> int | None:
        """The program of a note that starts then, None before the first change."""
        program = self._value(seconds, channel, PROGRAM, -1)
        return None if program < 0 else program

    def _value(self, seconds: float, channel: int, control: int, default: int) -> int:
        changes = self._changes.get((channel, control), [])
        place = bisect_right(changes, (seconds, 128))
        return changes[place - 1][1] if place else default


class NotePairs:
    """Pairs note-ons with note-offs; of equal notes that overlap, the oldest ends first."""

    def __init__(self, mixer: Mixer | None = None) -> None:
        self.notes: list[Note] = []
        self._mixer = mixer or Mixer([])
        self._sounding: dict[tuple[int, int], deque[tuple[float, int]]] = defaultdict(deque)

    def start(self, channel: int, pitch: int, velocity: int, seconds: float) -> None:
        """A key goes down."""
        self._sounding[channel, pitch].append((seconds, velocity))

    def stop(self, channel: int, pitch: int, seconds: float) -> None:
        """A key goes up; without a note sounding nothing happens."""
        if sounding := self._sounding[channel, pitch]:
            start, velocity = sounding.popleft()
            volume, pan = self._mixer.at(start, channel)
            program = self._mixer.program(start, channel)
            length = max(0.0, seconds - start)
            self.notes.append(Note(start, length, pitch, velocity, channel, volume, pan, program))

    def stop_all(self, seconds: float) -> None:
        """All keys go up, and the notes are put in order."""
        for channel, pitch in list(self._sounding):
            while self._sounding[channel, pitch]:
                self.stop(channel, pitch, seconds)
        self.notes.sort(key=lambda note: (note.start, note.channel, note.pitch))


class Tempo(NamedTuple):
    """Tempo and meter from ``seconds`` on; ``bpm`` counts quarter notes."""

    seconds: float
    bpm: float
    numerator: int
    denominator: int


@dataclass(frozen=True)
class MidiFile:
    """What a Standard MIDI File says, in seconds from its start."""

    tempo: list[Tempo]
    markers: list[tuple[float, str]]
    tracks: list[tuple[str, list[Note]]]
    """The name and the notes of each track that has notes."""


def read_midi(path: Path) -> MidiFile:
    """Read a type 0 or 1 file. Raises :class:`MidiError` if it is damaged or of type 2."""
    import mido

    try:
        if path.stat().st_size > MAX_BYTES:
            raise MidiError(f"{path}: larger than {MAX_BYTES >> 20} MB, which no MIDI file is")
        file = mido.MidiFile(path)
    except (OSError, EOFError, ValueError, IndexError, KeyError, TypeError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "it ends too early"
        raise MidiError(f"{path}: cannot be read as MIDI: {reason}") from error
    if file.type == 2:
        raise MidiError(f"{path}: MIDI files of type 2 (independent patterns) have no common timeline")
    if file.ticks_per_beat == 0:
        raise MidiError(f"{path}: its ticks have no length (division 0)")

    timed = [_timed(track) for track in file.tracks]
    events = sorted((event for track in timed for event in track), key=lambda event: event[0])
    clock = _Clock(file.ticks_per_beat, events)
    markers = [
        (clock.seconds(tick), decoded(message.text))
        for tick, message in events
        if message.type in ("marker", "cue_marker")
    ]
    mixer = Mixer(
        [
            (clock.seconds(tick), message.channel, message.control, message.value)
            for tick, message in events
            if message.type == "control_change" and message.control in CONTROLS
        ]
        + [
            (clock.seconds(tick), message.channel, PROGRAM, message.program)
            for tick, message in events
            if message.type == "program_change"
        ]
    )
    tracks = [
        (decoded(track.name).strip() or f"MIDI {number}", notes)
        for number, (track, own) in enumerate(zip(file.tracks, timed, strict=True), 1)
        if (notes := _notes(own, clock, mixer))
    ]
    return MidiFile(clock.changes, markers, tracks)


def decoded(text: str) -> str:
    """Text as its writer meant it: mido takes every byte for Latin-1, most programs write UTF-8."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


Event = tuple[int, Any]
"""The absolute tick, and mido's message."""


def _timed(track: Any) -> list[Event]:
    tick = 0
    events = []
    for message in track:
        tick += message.time
        events.append((tick, message))
    return events


class _Clock:
    """Ticks -> seconds."""

    def __init__(self, division: int, events: list[Event]) -> None:
        self._smpte = division < 0
        if self._smpte:
            # Two bytes, minus frames a second and ticks a frame, which mido reads as one number.
            frames = 256 - (division >> 8 & 0xFF)
            self._ticks_per_second = DROP_FRAME_RATES.get(frames, frames) * max(division & 0xFF, 1)
        self._ticks_per_quarter = division
        self._ticks = [0]
        self.changes = [Tempo(0.0, DEFAULT_BPM, 4, 4)]
        for tick, message in events:
            last = self.changes[-1]
            if message.type == "set_tempo" and message.tempo > 0:
                change = last._replace(bpm=60e6 / message.tempo)
            elif message.type == "time_signature":
                change = last._replace(numerator=message.numerator, denominator=message.denominator)
            else:
                continue
            change = change._replace(seconds=self.seconds(tick))
            if tick == self._ticks[-1]:
                self.changes[-1] = change
            else:
                self._ticks.append(tick)
                self.changes.append(change)

    def seconds(self, tick: int) -> float:
        """The time of an absolute tick."""
        if self._smpte:
            return tick / self._ticks_per_second
        index = bisect_right(self._ticks, tick) - 1
        change = self.changes[index]
        return change.seconds + (tick - self._ticks[index]) / self._ticks_per_quarter * 60 / change.bpm


def _notes(events: list[Event], clock: _Clock, mixer: Mixer) -> list[Note]:
    pairs = NotePairs(mixer)
    for tick, message in events:
        if message.type == "note_on" and message.velocity > 0:
            pairs.start(message.channel, message.note, message.velocity, clock.seconds(tick))
        elif message.type in ("note_on", "note_off"):
            pairs.stop(message.channel, message.note, clock.seconds(tick))
    if events:
        pairs.stop_all(clock.seconds(events[-1][0]))
    return pairs.notes
