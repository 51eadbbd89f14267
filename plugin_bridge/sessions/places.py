"""Places on a session's timeline as people say them: seconds, bars, names of markers."""

from __future__ import annotations

import re

from plugin_bridge.errors import SessionError
from plugin_bridge.sessions.model import Session
from plugin_bridge.sessions.tempo import TempoMap

CLOCK = re.compile(r"(?:(\d+):)?(?:(\d+):)?(\d+(?:\.\d*)?|\.\d+)")
BAR = re.compile(r"bar\s*(\d+)(?:\.(\d+))?", re.IGNORECASE)


def stretch_of_time(session: Session, start: str | None, end: str | None) -> tuple[float, float] | None:
    """From ``start`` to ``end``, seconds on the timeline; None if neither is given.

    Without a start from the timeline's 0; without an end to the end of the region that the start names, else
    to the session's. Raises :class:`SessionError`.
    """
    if start is None and end is None:
        return None
    first, region_end = (0.0, None) if start is None else _place(session, start)
    last = _place(session, end)[0] if end is not None else region_end or session.end
    if last <= first:
        raise SessionError(f"from {first:g} s to {last:g} s is no stretch of time; the end must come later")
    return first, last


def _place(session: Session, text: str) -> tuple[float, float | None]:
    """The seconds of a place, and where it ends if it is a region."""
    said = text.strip()
    for marker in session.markers:
        if marker.name.casefold() == said.casefold():
            return marker.seconds, marker.seconds + marker.length if marker.length else None
    if found := BAR.fullmatch(said):
        return seconds_of_bar(session, int(found[1]), int(found[2] or 1)), None
    if found := CLOCK.fullmatch(said):
        hours, minutes = (found[1], found[2]) if found[2] else (None, found[1])
        return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(found[3]), None
    names = ", ".join(marker.name for marker in session.markers if marker.name) or "none"
    raise SessionError(
        f"{text!r} is no place; give seconds (90.5, 1:30), a bar (bar 17, bar 17.3) or a marker: {names:.500}"
    )


def seconds_of_bar(session: Session, bar: int, beat: int = 1) -> float:
    """Where ``bar`` begins, or a beat of it, both counted from 1; a new meter begins a new bar.

    Raises :class:`SessionError` for bar 0, and for a beat that the bar does not have.
    """
    if bar < 1 or beat < 1:
        raise SessionError(f"bar {bar}.{beat} is no place; bars and beats are counted from 1")
    tempo = TempoMap(session.tempo)
    change = session.tempo[0]
    at, first_bar = tempo.quarters(min(0.0, change.seconds)), 1
    for following in session.tempo[1:]:
        if (following.numerator, following.denominator) == (change.numerator, change.denominator):
            continue
        quarters = tempo.quarters(following.seconds)
        length = change.numerator * 4 / change.denominator
        bars = max(0, -int(-(quarters - at - 1e-6) // length))
        if bar < first_bar + bars:
            break
        at, first_bar, change = quarters, first_bar + bars, following
    if beat > change.numerator:
        raise SessionError(f"bar {bar} has {change.numerator} beats, not {beat}")
    step = 4 / change.denominator
    return tempo.seconds(at + (bar - first_bar) * change.numerator * step + (beat - 1) * step)
