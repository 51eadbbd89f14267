"""The notes of REAPER's MIDI items, for separators that follow a score; rendering does not play them."""

from __future__ import annotations

from plugin_bridge.sessions.midi import NotePairs
from plugin_bridge.sessions.model import MidiNote
from plugin_bridge.sessions.rpp.text import Block
from plugin_bridge.sessions.tempo import TempoMap

HEARD = frozenset({"E", "e"})
"""Events; in lower case they are selected."""
TIMED = HEARD | {"Em", "em", "X", "x", "Xm", "xm"}
"""Muted events and system-exclusive ones: they only move the time."""


def read_notes(item: Block, take: Block, source: Block, tempo: TempoMap) -> list[MidiNote]:
    """The notes of a MIDI take inside its item, in seconds on the timeline.

    Events are ticks since the one before; a quarter note has as many as ``HASDATA`` says. Repeats of a
    looped item are left out, and a take that ignores the project's tempo brings its own.
    """
    ticks_per_quarter = source.line("HASDATA").number_at(1, 960)
    if ticks_per_quarter <= 0:
        return []
    position = item.line("POSITION").seconds_at(0)
    length = item.line("LENGTH").seconds_at(0)
    rate = take.line("PLAYRATE").number_at(0, 1)
    offset = take.line("SOFFS").seconds_at(0)
    own_tempo = source.line("IGNTEMPO")
    ignores_project = own_tempo.number_at(0, 0) != 0
    own_quarter = 60 / max(own_tempo.number_at(1, 120), 1.0)
    start = tempo.quarters(position)

    def seconds(ticks: int) -> float:
        quarters = ticks / ticks_per_quarter / (rate if rate > 0 else 1.0)
        if ignores_project:
            return position + quarters * own_quarter - offset
        return tempo.seconds(start + quarters) - offset

    pairs = NotePairs()
    tick = 0
    for event in source.content:
        if event.name not in TIMED:
            continue
        tick += int(event.number_at(0, 0))
        if event.name not in HEARD:
            continue
        try:
            status, pitch, velocity = (int(event.text(index, "0"), 16) for index in (1, 2, 3))
        except ValueError:
            continue
        kind, channel = status & 0xF0, status & 0x0F
        if kind == 0x90 and velocity > 0:
            pairs.start(channel, pitch & 0x7F, velocity & 0x7F, seconds(tick))
        elif kind in (0x80, 0x90):
            pairs.stop(channel, pitch & 0x7F, seconds(tick))
    pairs.stop_all(position + length)
    return [note for note in pairs.notes if position <= note.start < position + length]
