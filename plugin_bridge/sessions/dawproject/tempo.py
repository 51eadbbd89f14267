"""A DAWproject's tempo and time signatures."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from plugin_bridge.errors import SessionError
from plugin_bridge.sessions.beats import BeatClock, BeatTempo, from_seconds
from plugin_bridge.sessions.dawproject import values
from plugin_bridge.sessions.dawproject.content import unit_of
from plugin_bridge.sessions.xml import number, whole

TEMPOS = (1.0, 10000.0)
LATEST_BEAT = 1e9

Meter = tuple[float, int, int]
"""A beat, and the time signature from there on."""


def read_tempo(root: Element) -> tuple[BeatClock, list[Meter]]:
    """The tempo and the time signatures, in order of beats."""
    bpm = values.real(root.find("Transport/Tempo"), 120.0, lambda value, unit: value)
    tempo = [BeatTempo(0.0, bpm)]
    automation = root.find("Arrangement/TempoAutomation")
    if automation is not None and (points := list(automation.iterfind("RealPoint"))):
        moved = sorted(
            (number(point, "time"), number(point, "value"), point.get("interpolation") == "linear")
            for point in points
        )
        if unit_of(automation, "timeUnit", root_unit(root)) == "seconds":
            tempo = from_seconds(moved)
        else:
            tempo = [BeatTempo(*one) for one in moved]
    for one in tempo:
        if not TEMPOS[0] <= one.bpm <= TEMPOS[1]:
            raise SessionError(
                f"a tempo of {one.bpm:g} beats a minute; it must lie in {TEMPOS[0]:g} to {TEMPOS[1]:g}"
            )
        if abs(one.beat) > LATEST_BEAT:
            raise SessionError(f"a tempo at beat {one.beat:g}, which no music reaches")
    if tempo[0].beat > 0:
        tempo.insert(0, BeatTempo(0.0, tempo[0].bpm))
    clock = BeatClock(tempo)
    return clock, _meters(root, clock)


def _meters(root: Element, clock: BeatClock) -> list[Meter]:
    signature = root.find("Transport/TimeSignature")
    meters: list[Meter] = [(0.0, *meter(signature))] if signature is not None else []
    automation = root.find("Arrangement/TimeSignatureAutomation")
    if automation is not None:
        in_seconds = unit_of(automation, "timeUnit", root_unit(root)) == "seconds"
        for point in automation.iterfind("TimeSignaturePoint"):
            time = number(point, "time")
            meters.append((clock.beats(time) if in_seconds else time, *meter(point)))
    return sorted(meters)


def root_unit(root: Element) -> str:
    """The time unit of the arrangement."""
    lanes = root.find("Arrangement/Lanes")
    return unit_of(lanes, "timeUnit", "beats") if lanes is not None else "beats"


def meter(element: Element) -> tuple[int, int]:
    """The numerator and the denominator."""
    numerator, denominator = whole(element, "numerator", 4), whole(element, "denominator", 4)
    if not (1 <= numerator <= 999 and 1 <= denominator <= 999):
        raise SessionError(f"a time signature of {numerator}/{denominator}")
    return numerator, denominator
