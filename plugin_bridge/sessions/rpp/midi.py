"""The notes of REAPER's MIDI items, for separators that follow a score; rendering does not play them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from plugin_bridge.errors import SessionError
from plugin_bridge.sessions.midi import CONTROLS, PROGRAM, ControlChange, Mixer, NotePairs, read_midi
from plugin_bridge.sessions.model import MidiMessage, MidiNote
from plugin_bridge.sessions.rpp.text import Block
from plugin_bridge.sessions.sources import MAX_SECONDS
from plugin_bridge.sessions.tempo import TempoMap

HEARD = frozenset({"E", "e"})
"""Events; in lower case they are selected."""
TIMED = HEARD | {"Em", "em", "X", "x", "Xm", "xm"}
"""Muted events and system-exclusive ones: they only move the time."""
POOL = "POOLEDEVTS"
HIGHEST = 127
SHORTEST_PASS = 0.005
"""Seconds; an item is that much longer than its source where its length is no whole number of ticks."""
MOST_EVENTS = 1_000_000
"""That a looped item plays."""
NOTE_OFF, NOTE_ON, CONTROL, PROGRAM_CHANGE, CHANNEL_PRESSURE = 0x80, 0x90, 0xB0, 0xC0, 0xD0


@dataclass
class MidiTake:
    """What a MIDI take does while its item lasts, in seconds on the timeline."""

    start: float
    end: float
    keys: list[tuple[float, int, int, int]] = field(default_factory=list)
    """Seconds, channel, pitch and velocity (0: the key goes up)."""
    changes: list[ControlChange] = field(default_factory=list)
    messages: list[MidiMessage] = field(default_factory=list)
    """All messages that are no notes."""


def midi_pool(tracks: Iterable[Block]) -> dict[str, Block]:
    """The sources whose events others share, by their pool: ``MIDIPOOL`` ones name it and hold none."""
    sources = (
        source for track in tracks for item in track.blocks("ITEM") for source in item.blocks("SOURCE")
    )
    pool: dict[str, Block] = {}
    for source in sources:
        name = source.line(POOL).text(0)
        if name and source.line("HASDATA").values:
            pool.setdefault(name, source)
    return pool


Event = tuple[float, int, int, int]
"""The quarter note in the source, and three bytes."""


@dataclass
class Written:
    """The events of a source."""

    events: list[Event]
    length: float = 0.0
    """Quarter notes after which they begin again where an item is looped."""


def written_in(source: Block) -> Written:
    """What a project holds: ticks since the event before; ``HASDATA`` says how many are a quarter note."""
    ticks_per_quarter = source.line("HASDATA").number_at(1, 960)
    if ticks_per_quarter <= 0:
        return Written([])
    tick, found = 0.0, []
    for event in source.content:
        if event.name not in TIMED:
            continue
        tick += event.number_at(0, 0)
        if event.name not in HEARD:
            continue
        try:
            status, one, two = (int(event.text(index, "0"), 16) for index in (1, 2, 3))
        except ValueError:
            continue
        found.append((tick / ticks_per_quarter, status & 0xFF, one & 0x7F, two & 0x7F))
    return Written(found, tick / ticks_per_quarter)


def written_in_file(path: Path) -> Written:
    """The notes and programs of a MIDI file. Raises :class:`SessionError` if it is damaged."""
    file = read_midi(path)
    tempo = TempoMap(file.tempo)
    found: list[Event] = []
    programs: dict[int, int | None] = {}
    for note in sorted((note for _, notes in file.tracks for note in notes), key=lambda note: note.start):
        start, end = tempo.quarters(note.start), tempo.quarters(note.start + note.length)
        if note.program is not None and programs.get(note.channel) != note.program:
            programs[note.channel] = note.program
            found.append((start, PROGRAM_CHANGE | note.channel, note.program, 0))
        found.append((start, NOTE_ON | note.channel, note.pitch, note.velocity))
        found.append((end, NOTE_OFF | note.channel, note.pitch, 0))
    return Written(sorted(found, key=lambda event: event[0]), tempo.quarters(file.length))


def read_take(item: Block, take: Block, source: Block, written: Written, tempo: TempoMap) -> MidiTake:
    """The events of a MIDI take inside its item, repeated where it is looped.

    A take that ignores the project's tempo brings its own.
    """
    position = item.line("POSITION").seconds_at(0)
    found = MidiTake(position, position + item.line("LENGTH").seconds_at(0))
    if item.line("MUTE").number_at(0, 0) != 0:
        return found
    clock = _Clock(item, take, source, tempo)
    loops = item.line("LOOP").number_at(0, 0) != 0 and written.length > 0
    for start in _passes(clock, written, found) if loops else (0.0,):
        held = _play(written.events, start, clock, found, source)
        over = clock.seconds(start + written.length)
        if loops and over < found.end:
            found.keys += [(over, channel, pitch, 0) for channel, pitch in sorted(held)]
    return found


def _play(
    events: list[Event], start: float, clock: _Clock, take: MidiTake, source: Block
) -> set[tuple[int, int]]:
    """One pass through a source; the channels and pitches of the keys that are down at its end."""
    held: set[tuple[int, int]] = set()
    for quarter, status, one, two in events:
        kind, channel = status & 0xF0, status & 0x0F
        moment = clock.seconds(start + quarter)
        if not abs(moment) <= MAX_SECONDS:
            raise SessionError(
                f"line {source.first_line + 1}: a MIDI event lies {moment:.3g} s from the start; "
                f"it must lie within {MAX_SECONDS:.0f} s"
            )
        if kind in (NOTE_ON, NOTE_OFF):
            pitch = one + clock.semitones
            if 0 <= pitch <= HIGHEST:
                velocity = two if kind == NOTE_ON else 0
                take.keys.append((moment, channel, pitch, velocity))
                (held.add if velocity else held.discard)((channel, pitch))
            continue
        if not (kind >= NOTE_OFF and moment < take.end):
            continue
        # What lies before the item's start holds from there on, as REAPER plays it.
        moment = max(moment, take.start)
        count = 2 if kind in (PROGRAM_CHANGE, CHANNEL_PRESSURE) else 3
        take.messages.append(MidiMessage(moment, bytes([status, one, two][:count])))
        if kind == CONTROL and one in CONTROLS:
            take.changes.append((moment, channel, one, two))
        elif kind == PROGRAM_CHANGE:
            take.changes.append((moment, channel, PROGRAM, one))
    return held


class _Clock:
    """Where a take's quarter notes lie on the timeline."""

    def __init__(self, item: Block, take: Block, source: Block, tempo: TempoMap) -> None:
        self.tempo = tempo
        self.position = item.line("POSITION").seconds_at(0)
        rate = take.line("PLAYRATE").number_at(0, 1)
        self.rate = rate if rate > 0 else 1.0
        self.semitones = round(max(-HIGHEST, min(HIGHEST, take.line("PLAYRATE").number_at(2, 0))))
        self.first = tempo.quarters(self.position)
        own_tempo = source.line("IGNTEMPO")
        self.own_quarter = (
            60 / max(own_tempo.number_at(1, 120), 1.0) if own_tempo.number_at(0, 0) != 0 else None
        )
        offset = take.line("SOFFS").seconds_at(0)
        if self.own_quarter is not None:
            self.offset = offset / self.own_quarter
        else:
            self.offset = tempo.quarters(self.position + offset) - self.first
        """Of the source, left out at the item's start; quarter notes."""

    def seconds(self, quarters: float) -> float:
        """The moment on the timeline of one in the source."""
        quarters = (quarters - self.offset) / self.rate
        if self.own_quarter is not None:
            return self.position + quarters * self.own_quarter
        return self.tempo.seconds(self.first + quarters)


def _passes(clock: _Clock, written: Written, take: MidiTake) -> Iterator[float]:
    """The quarter note at which each pass through a looped source begins."""
    clock.offset %= written.length
    yield 0.0
    number = 1
    while clock.seconds(number * written.length) < take.end - SHORTEST_PASS:
        yield number * written.length
        number += 1
        if number * (len(written.events) + 1) > MOST_EVENTS:
            raise SessionError(
                f"a looped MIDI item at {take.start:g} s repeats more than {MOST_EVENTS} events; shorten it"
            )


def notes_of(takes: Sequence[MidiTake]) -> list[MidiNote]:
    """The notes of a track's takes; volume, pan and program hold on from one item to the next."""
    changes = [change for take in takes for change in take.changes]
    mixer = Mixer(sorted(changes, key=lambda change: change[0]))
    notes: list[MidiNote] = []
    for take in takes:
        pairs = NotePairs(mixer)
        for seconds, channel, pitch, velocity in take.keys:
            if velocity:
                pairs.start(channel, pitch, velocity, seconds)
            else:
                pairs.stop(channel, pitch, seconds)
        pairs.stop_all(take.end)
        notes += [
            replace(note, length=min(note.length, take.end - note.start))
            for note in pairs.notes
            if take.start <= note.start < take.end
        ]
    return notes
