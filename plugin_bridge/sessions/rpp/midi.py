"""The notes of REAPER's MIDI items, for separators that follow a score; rendering does not play them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from plugin_bridge.errors import SessionError
from plugin_bridge.sessions.midi import CONTROLS, PROGRAM, ControlChange, Mixer, NotePairs
from plugin_bridge.sessions.model import MidiMessage, MidiNote
from plugin_bridge.sessions.rpp.text import Block
from plugin_bridge.sessions.sources import MAX_SECONDS
from plugin_bridge.sessions.tempo import TempoMap

HEARD = frozenset({"E", "e"})
"""Events; in lower case they are selected."""
TIMED = HEARD | {"Em", "em", "X", "x", "Xm", "xm"}
"""Muted events and system-exclusive ones: they only move the time."""
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


def read_take(item: Block, take: Block, source: Block, tempo: TempoMap) -> MidiTake:
    """The events of a MIDI take inside its item.

    Events are ticks since the one before; a quarter note has as many as ``HASDATA`` says. Repeats of a
    looped item are left out, and a take that ignores the project's tempo brings its own.
    """
    position = item.line("POSITION").seconds_at(0)
    found = MidiTake(position, position + item.line("LENGTH").seconds_at(0))
    ticks_per_quarter = source.line("HASDATA").number_at(1, 960)
    if ticks_per_quarter <= 0:
        return found
    rate = take.line("PLAYRATE").number_at(0, 1)
    offset = take.line("SOFFS").seconds_at(0)
    own_tempo = source.line("IGNTEMPO")
    ignores_project = own_tempo.number_at(0, 0) != 0
    own_quarter = 60 / max(own_tempo.number_at(1, 120), 1.0)
    first = tempo.quarters(position)

    def seconds(ticks: float) -> float:
        quarters = ticks / ticks_per_quarter / (rate if rate > 0 else 1.0)
        if ignores_project:
            return position + quarters * own_quarter - offset
        return tempo.seconds(first + quarters) - offset

    for tick, (status, one, two) in _events(source):
        kind, channel = status & 0xF0, status & 0x0F
        moment = seconds(tick)
        if not abs(moment) <= MAX_SECONDS:
            raise SessionError(
                f"line {source.first_line + 1}: a MIDI event lies {moment:.3g} s from the start; "
                f"it must lie within {MAX_SECONDS:.0f} s"
            )
        if kind in (NOTE_ON, NOTE_OFF):
            found.keys.append((moment, channel, one, two if kind == NOTE_ON else 0))
            continue
        if kind >= NOTE_OFF and moment < found.end:
            length = 2 if kind in (PROGRAM_CHANGE, CHANNEL_PRESSURE) else 3
            data = bytes([status, one, two][:length])
            found.messages.append(MidiMessage(max(moment, position), data))
        if moment < found.end and kind == CONTROL and one in CONTROLS:
            # What lies before the item's start holds from there on, as REAPER plays it.
            found.changes.append((max(moment, position), channel, one, two))
        elif moment < found.end and kind == PROGRAM_CHANGE:
            found.changes.append((max(moment, position), channel, PROGRAM, one))
    return found


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
        notes += [note for note in pairs.notes if take.start <= note.start < take.end]
    return notes


def _events(source: Block) -> Iterator[tuple[float, tuple[int, int, int]]]:
    """The tick, counted from the take's start, and the three bytes of each event that is heard."""
    tick = 0.0
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
        yield tick, (status & 0xFF, one & 0x7F, two & 0x7F)
