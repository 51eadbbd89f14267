"""The bytes of Standard MIDI Files (MIDI Association, RP-001) as events with their ticks.

Own code instead of mido, which stops at what a score does not need: a key signature of eight sharps, a short
time signature, a velocity above 127, a track count that is wrong. Here only notes, three controllers,
programs, tempo, meter, names and markers are looked at; all else is passed over by its length.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from separators.errors import SeparatorError

NOTE_OFF, NOTE_ON, CONTROL, PROGRAM_CHANGE = 0x80, 0x90, 0xB0, 0xC0
"""Kinds of events: their status without the channel."""
META = 0x100
"""Added to the type of a meta event."""
NAME, MARKER, CUE, END, TEMPO, METER = (META + kind for kind in (0x03, 0x06, 0x07, 0x2F, 0x51, 0x58))
LEAST_BYTES = {
    NOTE_OFF: 2,
    NOTE_ON: 2,
    CONTROL: 2,
    PROGRAM_CHANGE: 1,
    NAME: 0,
    MARKER: 0,
    CUE: 0,
    TEMPO: 3,
    METER: 4,
}
"""The kinds that are kept, and how many bytes they need to be understood."""
VOLUME, PAN, EXPRESSION = 7, 10, 11
KEPT_CONTROLS = frozenset({VOLUME, PAN, EXPRESSION})
SYSTEM_BYTES = {0xF1: 1, 0xF2: 2, 0xF3: 1}
"""Data bytes of system messages, which do not belong into files; the others have none."""
MOST_EVENTS = 1_000_000
"""Of those that are kept. Whole operas have a tenth of this; more would only cost memory."""
LONGEST_NUMBER = 4
"""Bytes in a delta time or a length."""


class MidiError(SeparatorError):
    """A file cannot be read as MIDI."""


class Event(NamedTuple):
    """One event: what kind of, when, on which channel (of 16, from 0), and its data bytes."""

    tick: int
    """From the file's start."""
    kind: int
    channel: int
    data: bytes


@dataclass
class Track:
    """One chunk ``MTrk``."""

    events: list[Event] = field(default_factory=list)
    end: int = 0
    """The tick of its last event of any kind."""


class StandardMidiFile(NamedTuple):
    """What a file holds."""

    type: int
    division: int
    """Ticks in a quarter note; negative for those of SMPTE time, see the format."""
    tracks: list[Track]


def parse(data: bytes) -> StandardMidiFile:
    """Read a file's content; a RIFF file around it (``.rmi``) is taken off.

    Chunks of other kinds, bytes behind the last one and a wrong count of tracks are passed over. A track ends
    with its end mark or its chunk. Raises :class:`MidiError` if it is cut short or no MIDI file.
    """
    position = _inside_riff(data)
    if data[position : position + 4] != b"MThd":
        raise MidiError("it does not begin with MThd")
    length = int.from_bytes(data[position + 4 : position + 8], "big")
    header = data[position + 8 : position + 8 + length]
    if length < 6 or len(header) < 6:
        raise MidiError("its header is cut short")
    kind = int.from_bytes(header[:2], "big")
    division = int.from_bytes(header[4:6], "big", signed=True)
    position += 8 + length
    tracks: list[Track] = []
    kept = 0
    while _is_chunk(data, position):
        start, length = position + 8, int.from_bytes(data[position + 4 : position + 8], "big")
        if data[position : position + 4] != b"MTrk":
            position = start + length
            continue
        track, position = _TrackReader(data, start, start + length, MOST_EVENTS - kept).read()
        kept += len(track.events)
        tracks.append(track)
    return StandardMidiFile(kind, division, tracks)


def _inside_riff(data: bytes) -> int:
    """Where the MIDI file begins."""
    if data[:4] != b"RIFF" or data[8:12] != b"RMID":
        return 0
    position = 12
    while position + 8 <= len(data) and data[position : position + 4] != b"data":
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        position += 8 + length + length % 2
    return position + 8


def _is_chunk(data: bytes, position: int) -> bool:
    name = data[position : position + 4]
    return len(data) >= position + 8 and name.isascii() and name.decode("ascii").isprintable()


class _TrackReader:
    """Reads the events of a track that begins at ``start`` and says that it ends at ``end``."""

    def __init__(self, data: bytes, start: int, end: int, most: int) -> None:
        # A length that leads nowhere (zero in files of unfinished recordings) is not believed.
        leads_on = _is_chunk(data, end) or end == len(data) or (end < len(data) and not any(data[end:]))
        self._data = data if not leads_on else data[:end]
        self._end = end if leads_on else None
        self._position = start
        self._most = most

    def read(self) -> tuple[Track, int]:
        """The track, and the position behind it."""
        track = Track()
        running = 0
        while self._position != self._end:
            track.end += self._number()
            status = self._byte()
            if status < 0x80:
                status, self._position = running, self._position - 1
            if status == 0:
                raise MidiError(f"byte {self._position} belongs to no event")
            if status == 0xFF:
                kind = META + self._byte()
                data = self._bytes(self._number())
            elif status >= 0xF0:
                kind = status
                data = self._bytes(self._number() if status in (0xF0, 0xF7) else SYSTEM_BYTES.get(status, 0))
            else:
                running, kind = status, status & 0xF0
                data = self._bytes(1 if kind in (PROGRAM_CHANGE, 0xD0) else 2)
            if kind == END:
                break
            if _matters(kind, data):
                track.events.append(Event(track.end, kind, status & 0x0F, data))
                if len(track.events) > self._most:
                    raise MidiError(f"it has more than {MOST_EVENTS} events, which no score has")
        return track, self._position if self._end is None else self._end

    def _byte(self) -> int:
        return self._bytes(1)[0]

    def _bytes(self, count: int) -> bytes:
        start, self._position = self._position, self._position + count
        if self._position > len(self._data):
            raise MidiError("it ends too early")
        return self._data[start : self._position]

    def _number(self) -> int:
        """A number of variable length."""
        value = 0
        for _ in range(LONGEST_NUMBER):
            byte = self._byte()
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                return value
        raise MidiError(f"the number that ends at byte {self._position} has more than {LONGEST_NUMBER} bytes")


def _matters(kind: int, data: bytes) -> bool:
    """Whether an event is of a kind that is kept, and whole."""
    least = LEAST_BYTES.get(kind)
    if least is None or len(data) < least:
        return False
    if kind < META and data[0] > 127:
        raise MidiError(f"an event holds {data[0]} where 127 is the most")
    return kind != CONTROL or data[0] in KEPT_CONTROLS
