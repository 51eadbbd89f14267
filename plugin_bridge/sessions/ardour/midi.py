"""MIDI regions of Ardour's playlists as notes: the session's tempo plays the quarter notes of the files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import Element

from plugin_bridge.errors import SessionError
from plugin_bridge.sessions.ardour.fields import TICKS
from plugin_bridge.sessions.ardour.regions import RegionReader, Remark, is_true
from plugin_bridge.sessions.ardour.sources import Sources
from plugin_bridge.sessions.ardour.times import number
from plugin_bridge.sessions.midi import read_midi
from plugin_bridge.sessions.model import MidiNote
from plugin_bridge.sessions.tempo import TempoMap

Written = list[tuple[float, float, MidiNote]]
"""The start and the end of each note of a file, in quarter notes."""


class MidiReader:
    """Reads the notes of MIDI playlists; each file is read once."""

    def __init__(self, sources: Sources, regions: RegionReader) -> None:
        self.sources = sources
        self.regions = regions
        self._known: dict[Path, Written | str] = {}

    def notes(self, playlist: Element, remark: Remark) -> list[MidiNote]:
        """What unmuted regions hold, in order of time; none is played, which ``remark`` hears."""
        found: list[MidiNote] = []
        regions = [one for one in playlist.iterfind("Region") if not is_true(one.get("muted"))]
        for region in regions:
            path, problem = self.sources.midi(region.get("source-0", ""))
            written = problem or self._file(path)
            if isinstance(written, str):
                remark(f"a MIDI region is left out: {written}")
            else:
                found += self._played(region, written)
        if found:
            remark("MIDI regions are not played")
        return sorted(found, key=lambda note: note.start)

    def _file(self, path: Path) -> Written | str:
        if path not in self._known:
            try:
                file = read_midi(path)
            except SessionError as error:
                self._known[path] = f"{path.name}: {error}"
            else:
                own = TempoMap(file.tempo)
                self._known[path] = [
                    (own.quarters(note.start), own.quarters(note.start + note.length), note)
                    for _, notes in file.tracks
                    for note in notes
                ]
        return self._known[path]

    def _played(self, region: Element, written: Written) -> Iterator[MidiNote]:
        tempo = self.regions.clock.tempo
        position, length, offset = self.regions.place(region)
        first, last = tempo.quarters(position), tempo.quarters(position + length)
        start = self._start(region, first, offset)
        for down, up, note in written:
            if start <= down < start + last - first:
                begin, end = (tempo.seconds(first + at - start) for at in (down, up))
                yield replace(note, start=begin, length=max(0.0, min(end, position + length) - begin))

    def _start(self, region: Element, first: float, offset: float) -> float:
        """Where in its file a region begins, quarter notes: as such, or as time at the region's own place."""
        text = region.get("start", "")
        if text.startswith("b"):
            return number(text[1:], 0.0, "a region's start") / TICKS
        if region.get("start-beats"):
            return number(region.get("start-beats"), 0.0, "start-beats")
        tempo = self.regions.clock.tempo
        return first - tempo.quarters(tempo.seconds(first) - offset)
