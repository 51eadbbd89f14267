"""Standard MIDI files: tempo, meter, markers and notes, in seconds.

Tempo and meter of all tracks are merged by absolute tick before anything is converted, and times are
integrated from the file's start, never added up from rounded pieces.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict, deque
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from separators import regular_files
from separators.score.notes import Note
from separators.score.standard_midi_file import (
    CONTROL,
    CUE,
    EXPRESSION,
    MARKER,
    METER,
    NAME,
    NOTE_OFF,
    NOTE_ON,
    PAN,
    PROGRAM_CHANGE,
    TEMPO,
    VOLUME,
    Event,
    MidiError,
    Track,
    parse,
)

__all__ = [
    "CONTROLS",
    "PROGRAM",
    "ControlChange",
    "MidiError",
    "MidiFile",
    "Mixer",
    "NotePairs",
    "Tempo",
    "read_midi",
]

MAX_BYTES = 16 << 20
LONGEST_SECONDS = 7 * 24 * 3600.0
"""Times beyond a week are damage or malice, not music."""
DROP_FRAME_RATES = {29: 30000 / 1001}
DEFAULT_BPM = 120.0
SHORTEST_BEAT = 6
"""Meters count in notes of this power of two at most: 64ths."""
CONTROLS = {VOLUME: 100, PAN: 64, EXPRESSION: 127}
"""What these controllers are until they are set."""
PROGRAM = 128
"""Changes of a channel's program are kept like those of a controller with this number, which none has."""

ControlChange = tuple[float, int, int, int]
"""Seconds, channel, controller (or :data:`PROGRAM`) and value."""


class Mixer:
    """The volume, panorama and programs that a file gives its channels, as General MIDI means them."""

    def __init__(self, changes: list[ControlChange]) -> None:
        """``changes`` in order of time."""
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
    length: float
    """When its longest track ends."""


def read_midi(path: Path) -> MidiFile:
    """Read a type 0 or 1 file. Raises :class:`MidiError` if it is damaged, of type 2 or no regular file."""
    try:
        file = parse(regular_files.read(path, MAX_BYTES))
    except OSError as error:
        raise MidiError(f"{path}: cannot be read as MIDI: {error.strerror}") from error
    except MidiError as error:
        raise MidiError(f"{path}: cannot be read as MIDI: {error}; export it anew") from error
    if file.type > 1:
        raise MidiError(
            f"{path}: MIDI files of type {file.type} (independent patterns) have no common timeline"
        )
    if file.division == 0:
        raise MidiError(f"{path}: its ticks have no length (division 0)")
    if not file.tracks:
        raise MidiError(f"{path}: cannot be read as MIDI: it ends before its first track; export it anew")

    events = sorted((event for track in file.tracks for event in track.events), key=attrgetter("tick"))
    clock = _Clock(file.division, events)
    end = clock.seconds(max(track.end for track in file.tracks))
    if end > LONGEST_SECONDS:
        raise MidiError(f"{path}: ends at {end:.3g} s; it must end within {LONGEST_SECONDS:.0f} s")
    markers = [
        (clock.seconds(event.tick), decoded(event.data)) for event in events if event.kind in (MARKER, CUE)
    ]
    mixer = Mixer(
        [
            (clock.seconds(event.tick), event.channel, event.data[0], min(event.data[1], 127))
            for event in events
            if event.kind == CONTROL
        ]
        + [
            (clock.seconds(event.tick), event.channel, PROGRAM, event.data[0])
            for event in events
            if event.kind == PROGRAM_CHANGE
        ]
    )
    tracks = [
        (_name(track) or f"MIDI {number}", notes)
        for number, track in enumerate(file.tracks, 1)
        if (notes := _notes(track, clock, mixer))
    ]
    return MidiFile(clock.changes, markers, tracks, end)


def _name(track: Track) -> str:
    return next((decoded(event.data).strip() for event in track.events if event.kind == NAME), "")


def decoded(text: bytes) -> str:
    """Text as its writer meant it: the format leaves its encoding open, most programs write UTF-8."""
    try:
        return text.decode("utf-8")
    except UnicodeError:
        return text.decode("latin-1")


class _Clock:
    """Ticks -> seconds."""

    def __init__(self, division: int, events: list[Event]) -> None:
        self._smpte = division < 0
        if self._smpte:
            # Two bytes in one number: minus frames a second, and ticks a frame.
            frames = 256 - (division >> 8 & 0xFF)
            self._ticks_per_second = DROP_FRAME_RATES.get(frames, frames) * max(division & 0xFF, 1)
        self._ticks_per_quarter = division
        self._ticks = [0]
        self.changes = [Tempo(0.0, DEFAULT_BPM, 4, 4)]
        for event in events:
            last = self.changes[-1]
            if event.kind == TEMPO and (microseconds := int.from_bytes(event.data[:3], "big")) > 0:
                change = last._replace(bpm=60e6 / microseconds)
            elif event.kind == METER and event.data[0] > 0 and event.data[1] <= SHORTEST_BEAT:
                change = last._replace(numerator=event.data[0], denominator=1 << event.data[1])
            else:
                continue
            change = change._replace(seconds=self.seconds(event.tick))
            if event.tick == self._ticks[-1]:
                self.changes[-1] = change
            else:
                self._ticks.append(event.tick)
                self.changes.append(change)

    def seconds(self, tick: int) -> float:
        """The time of an absolute tick."""
        if self._smpte:
            return tick / self._ticks_per_second
        index = bisect_right(self._ticks, tick) - 1
        change = self.changes[index]
        return change.seconds + (tick - self._ticks[index]) / self._ticks_per_quarter * 60 / change.bpm


def _notes(track: Track, clock: _Clock, mixer: Mixer) -> list[Note]:
    pairs = NotePairs(mixer)
    for event in track.events:
        if event.kind not in (NOTE_ON, NOTE_OFF):
            continue
        pitch, velocity = event.data[0], min(event.data[1], 127)
        if event.kind == NOTE_ON and velocity > 0:
            pairs.start(event.channel, pitch, velocity, clock.seconds(event.tick))
        else:
            pairs.stop(event.channel, pitch, clock.seconds(event.tick))
    pairs.stop_all(clock.seconds(track.end))
    return pairs.notes
