"""A session's notes, tempo map and markers as a Standard MIDI File (RP-001), written by mido.

The first track holds tempo, meter and markers, as DAWs export them; each of the session's tracks with notes
follows with its name. Tempo that moves evenly becomes steps, since the format has no ramps.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from io import BytesIO

import mido

from plugin_bridge.sessions.model import Session, TempoChange
from plugin_bridge.sessions.notes import messages_of
from plugin_bridge.sessions.tempo import TempoMap

TICKS = 960
"""In a quarter note."""
STEPS = 16
"""In a quarter note, of a tempo that moves."""
MOST_STEPS = 100_000
SLOWEST_TEMPO = 0xFFFFFF
"""Microseconds for a quarter note; the format's field has three bytes."""

Event = tuple[int, mido.Message | mido.MetaMessage]
"""The tick from the start, and what happens."""


def midi_bytes(session: Session) -> bytes:
    """The file's bytes; :func:`plugin_bridge.sessions.midi.read_midi` gives the same notes."""
    steps = list(_steps(session.tempo))
    file = mido.MidiFile(type=1, ticks_per_beat=TICKS, charset="utf-8")
    ticks = _Ticks(steps)
    file.tracks.append(
        _track(session.name, [*ticks.tempo(), *_meters(session, ticks), *_markers(session, ticks)])
    )
    for track in session.walk():
        if track.notes:
            events = [(ticks.at(message.time), message) for message in messages_of(track)]
            file.tracks.append(_track(track.name, events))
    buffer = BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def _steps(tempo: list[TempoChange]) -> Iterator[tuple[float, int]]:
    """Seconds, and the tempo from there on as the file holds it: whole microseconds for a quarter note."""
    quarters = TempoMap(tempo)
    left = MOST_STEPS
    for change, following in zip(tempo, [*tempo[1:], None], strict=True):
        yield max(0.0, change.seconds), _microseconds(change.bpm)
        if not change.ramp or following is None:
            continue
        first, last = quarters.quarters(change.seconds), quarters.quarters(following.seconds)
        for step in range(1, min(left, int((last - first) * STEPS))):
            start = quarters.seconds(first + step / STEPS)
            end = min(quarters.seconds(first + (step + 1) / STEPS), following.seconds)
            if end > start:
                yield start, _microseconds(60 / (end - start) / STEPS)
            left -= 1


def _microseconds(bpm: float) -> int:
    return min(max(1, int(mido.bpm2tempo(bpm))), SLOWEST_TEMPO)


class _Ticks:
    """Seconds -> ticks, by the tempo that the file holds: rounded once, from absolute times."""

    def __init__(self, steps: list[tuple[float, int]]) -> None:
        self._steps: list[tuple[float, int, int]] = []
        tick = 0
        for number, (seconds, tempo) in enumerate(steps):
            if number == 0:
                seconds = 0.0
            else:
                before, start, old = self._steps[-1][0], self._steps[-1][2], self._steps[-1][1]
                tick = start + int(mido.second2tick(seconds - before, TICKS, old))
                # Where the change falls in the file, not where it was meant.
                seconds = before + mido.tick2second(tick - start, TICKS, old)
            self._steps.append((seconds, tempo, tick))

    def at(self, seconds: float) -> int:
        """The tick nearest to a time."""
        place = max(0, bisect_right(self._steps, seconds, key=lambda step: step[0]) - 1)
        start, tempo, tick = self._steps[place]
        return tick + int(mido.second2tick(max(0.0, seconds - start), TICKS, tempo))

    def tempo(self) -> Iterator[Event]:
        """The tempo events."""
        for _, tempo, tick in self._steps:
            yield tick, mido.MetaMessage("set_tempo", tempo=tempo)


def _meters(session: Session, ticks: _Ticks) -> Iterator[Event]:
    before = None
    for change in session.tempo:
        meter = (min(change.numerator, 255), _power_of_two(change.denominator))
        if meter != before:
            yield (
                ticks.at(change.seconds),
                mido.MetaMessage("time_signature", numerator=meter[0], denominator=meter[1]),
            )
        before = meter


def _power_of_two(denominator: int) -> int:
    """The format has no others."""
    return 1 << min(max(denominator, 1).bit_length() - 1, 7)


def _markers(session: Session, ticks: _Ticks) -> Iterator[Event]:
    for marker in session.markers:
        yield ticks.at(marker.seconds), mido.MetaMessage("marker", text=marker.name)


def _track(name: str, events: Iterable[Event]) -> mido.MidiTrack:
    track = mido.MidiTrack([mido.MetaMessage("track_name", name=name)])
    last = 0
    for tick, message in sorted(events, key=lambda event: event[0]):  # those of one tick keep their order
        track.append(message.copy(time=tick - last))
        last = tick
    return track
