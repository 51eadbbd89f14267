"""Ardour's times: superclocks (``a``), ticks (``b``), and samples as they were before version 7."""

from __future__ import annotations

import math
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from plugin_bridge.errors import SessionError
from plugin_bridge.sessions.ardour.fields import SUPERCLOCKS, TICKS
from plugin_bridge.sessions.model import TempoChange
from plugin_bridge.sessions.sources import MAX_SECONDS
from plugin_bridge.sessions.tempo import TempoMap
from plugin_bridge.sessions.xml import finite

SLOWEST, FASTEST = 1, 10000


def number(text: str | None, default: float, what: str) -> float:
    """A finite number; ``default`` where the file says nothing. Raises :class:`SessionError`."""
    if text is None or not text.strip():
        return default
    return finite(text, f"{what} holds ")


@dataclass(frozen=True)
class Clock:
    """Turns the file's words for times into seconds."""

    sample_rate: int
    superclocks: float
    """Per second."""
    tempo: TempoMap

    def position(self, text: str | None, what: str) -> float:
        """A place on the timeline, or of a source, in seconds.

        >>> clock = Clock(48000, SUPERCLOCKS, TempoMap([TempoChange(0.0, 120.0)]))
        >>> clock.position("a141120000", "x"), clock.position("b3840", "x"), clock.position("24000", "x")
        (0.5, 1.0, 0.5)
        """
        text = (text or "0").strip()
        value = number(text.lstrip("ab") or "0", 0.0, what)
        if text.startswith("b"):
            seconds = self.tempo.seconds(value / TICKS)
        else:
            seconds = value / (self.superclocks if text.startswith("a") else self.sample_rate)
        if not abs(seconds) <= MAX_SECONDS:
            raise SessionError(f"{what} holds {text!r:.40}; it must lie within {MAX_SECONDS:.0f} s")
        return seconds

    def length(self, text: str | None, start: float, what: str) -> float:
        """How long something that begins at ``start`` lasts, in seconds: ticks depend on the place."""
        if (text or "").startswith("b"):
            quarters = number((text or "")[1:], 0.0, what) / TICKS
            return self.tempo.seconds(self.tempo.quarters(start) + quarters) - start
        return self.position(text, what)

    def on_frame(self, seconds: float) -> float:
        """The last frame that is not behind ``seconds``, where Ardour puts what lies between two of them.

        >>> clock = Clock(48000, SUPERCLOCKS, TempoMap([TempoChange(0.0, 120.0)]))
        >>> clock.on_frame(1.9 / 48000) * 48000, clock.on_frame(3 / 48000) * 48000
        (1.0, 3.0)
        """
        whole = round(seconds * self.superclocks)  # Ardour's own times are whole superclocks
        return math.floor(whole * self.sample_rate / self.superclocks) / self.sample_rate


def clock_of(root: Element, sample_rate: int) -> tuple[Clock, list[TempoChange], bool]:
    """The session's clock, its tempo, and whether the tempo moves between two changes somewhere."""
    found = root.find("TempoMap")
    tempo_map = Element("TempoMap") if found is None else found
    superclocks = number(tempo_map.get("superclocks-per-second"), SUPERCLOCKS, "superclocks-per-second")
    if superclocks <= 0:
        raise SessionError(f"superclocks-per-second holds {superclocks:g}; it must be more than 0")
    changes: dict[float, dict[str, float]] = {}
    ramped = False
    sections = [element for element in tempo_map.iter() if element.tag in ("Tempo", "Meter")]
    by_bars = _by_bars(sections)
    for element in sections:
        at = by_bars[element] if element in by_bars else _place(element, superclocks, sample_rate)
        values = changes.setdefault(at, {})
        if element.tag == "Meter":
            values["numerator"] = number(element.get("divisions-per-bar"), 4, "divisions-per-bar")
            values["denominator"] = number(element.get("note-value") or element.get("note-type"), 4, "note")
        else:
            npm = number(element.get("npm") or element.get("beats-per-minute"), 120, "a tempo")
            end = number(element.get("enpm") or element.get("end-beats-per-minute"), npm, "a tempo")
            note = number(element.get("note-type"), 4, "note-type")
            values["bpm"] = npm * 4 / note if note > 0 else npm
            ramped |= end != npm and "Ramp" in element.get("type", "Ramp")
    tempo = _changes(changes)
    return Clock(sample_rate, superclocks, TempoMap(tempo)), tempo, ramped


def _place(element: Element, superclocks: float, sample_rate: int) -> float:
    if element.get("sclock") is not None:
        return number(element.get("sclock"), 0.0, "sclock") / superclocks
    frames = number(element.get("frame"), 0.0, "frame") / sample_rate
    if not abs(frames) <= MAX_SECONDS:
        raise SessionError(f"a tempo at {frames:g} s; it must lie within {MAX_SECONDS:.0f} s")
    return frames


def _by_bars(sections: list[Element]) -> dict[Element, float]:
    """The seconds of tempos and meters that are told by bars, beats and ticks alone: before version 5.

    A beat is one of the meter's, and so long as the tempo's note is longer or shorter than the meter's.
    """
    known = [(place, one) for one in sections if (place := _bars(one)) is not None]
    found: dict[Element, float] = {}
    last, seconds, beat, per_bar, note, meter_note = (0.0, 0.0), 0.0, 0.5, 4.0, 4.0, 4.0
    for place, element in sorted(known, key=lambda one: (one[0], one[1].tag == "Tempo")):
        beats = (place[0] - last[0]) * per_bar + place[1] - last[1]
        seconds += beats * beat * note / meter_note
        if not abs(seconds) <= MAX_SECONDS:
            raise SessionError(f"a tempo at {seconds:g} s; it must lie within {MAX_SECONDS:.0f} s")
        found[element], last = seconds, place
        if element.tag == "Meter":
            per_bar = number(element.get("divisions-per-bar"), 4, "divisions-per-bar")
            meter_note = max(1.0, number(element.get("note-type"), 4, "note-type"))
        else:
            bpm = number(element.get("beats-per-minute"), 120, "a tempo")
            beat = 60 / min(max(bpm, SLOWEST), FASTEST)
            note = max(1.0, number(element.get("note-type"), 4, "note-type"))
    return found


def _bars(element: Element) -> tuple[float, float] | None:
    """The bar and the beat of a section, each from 0; None if it is told in other words, too."""
    words = element.get("start", "").split("|")
    if len(words) != 3 or element.get("sclock") is not None or element.get("frame") is not None:
        return None
    bar, beat, tick = (number(word, 0.0, "the start of a tempo") for word in words)
    return bar - 1, beat - 1 + tick / TICKS


def _changes(found: dict[float, dict[str, float]]) -> list[TempoChange]:
    bpm, numerator, denominator = 120.0, 4, 4
    changes = []
    for at, values in sorted(found.items()):
        bpm = values.get("bpm", bpm)
        numerator = round(values.get("numerator", numerator)) or 4
        denominator = round(values.get("denominator", denominator)) or 4
        if not SLOWEST <= bpm <= FASTEST:
            raise SessionError(
                f"a tempo of {bpm:g} quarter notes a minute; it must lie in {SLOWEST} to {FASTEST}"
            )
        changes.append(TempoChange(at, bpm, numerator, denominator))
    return changes or [TempoChange(0.0, bpm)]
