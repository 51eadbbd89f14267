"""REAPER's items: takes, sources, fades.

Fields as documented in ReaTeam's "State Chunk Definitions"; the meaning of the fade fields as seen in
chunks of REAPER 7.82 (shape, length, automatic length, shape again, automatic?, bend, ...).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from plugin_bridge.errors import SessionError
from plugin_bridge.sessions.click import Click
from plugin_bridge.sessions.model import (
    ChannelMode,
    Clip,
    Fade,
    FadeShape,
    Session,
    StretchMarker,
    TempoChange,
)
from plugin_bridge.sessions.rpp.envelopes import TAKES, read_envelopes
from plugin_bridge.sessions.rpp.midi import POOL, MidiTake, Written, read_take, written_in, written_in_file
from plugin_bridge.sessions.rpp.text import Block, Line, displayed
from plugin_bridge.sessions.sources import MediaFolders
from plugin_bridge.sessions.tempo import TempoMap

Remark = Callable[[str], None]
"""Called with what will not be rendered."""

FADE_SHAPES = {
    0.0: FadeShape.LINEAR,
    1.0: FadeShape.FAST_START,
    1.1: FadeShape.EQUAL_POWER,
    2.0: FadeShape.FAST_END,
    3.0: FadeShape.FAST_START_STEEP,
    4.0: FadeShape.FAST_END_STEEP,
    5.0: FadeShape.S_CURVE,
    5.1: FadeShape.S_CURVE_STEEP,
    6.0: FadeShape.S_CURVE_STEEP,
    7.0: FadeShape.EQUAL_POWER,
}
CHANNEL_MODES = dict(enumerate(tuple(ChannelMode)[:5]))
SINGLE_CHANNELS = ((5, 66, 2), (131, 194, 64))
"""Codes of this range play one channel: the first one this, counted from 0."""
PAIRS = ((67, 130, 0), (195, 257, 64))
"""The same for a channel and the next one."""
AUDIO_SOURCES = frozenset({"WAVE", "MP3", "FLAC", "VORBIS", "OPUS", "AIFF", "WAVPACK", "VIDEO"})
MIDI_SOURCES = frozenset({"MIDI", "MIDIPOOL"})
OFFLINE = "_OFFLINE_"
RATES = (1 / 64, 64.0)
MOST_SEMITONES = 60.0
PROXY = "-PROX"
"""What REAPER adds to a subproject's name for its rendered audio."""
OpenProject = Callable[[Path], "Session | str"]
"""Reads a subproject; or says why it cannot be played."""


class ItemReader:
    """Turns ``<ITEM`` blocks into clips and MIDI takes."""

    def __init__(
        self, media: MediaFolders, tempo: TempoMap, open_project: OpenProject, midi_pool: dict[str, Block]
    ) -> None:
        self.media = media
        self.tempo = tempo
        self.open_project = open_project
        self.midi_pool = midi_pool

    def read(self, item: Block, remark: Remark) -> tuple[list[Clip], list[MidiTake]]:
        """The clips and MIDI of the takes that are heard; most items have one of either."""
        takes = list(_takes(item))
        if item.line("ALLTAKES").number_at(0, 0) == 0:
            selected = [take for take in takes if "SEL" in take.values]
            takes = (selected or takes)[:1]
        clips, midi = [], []
        for take in takes:
            for source in take.blocks("SOURCE"):
                kind = source.values[0] if source.values else ""
                if kind in MIDI_SOURCES:
                    remark("MIDI items are not played")
                    source = self.midi_pool.get(source.line(POOL).text(0), source)
                    midi.append(read_take(item, take, source, self._written(source, remark), self.tempo))
                elif kind not in ("EMPTY", ""):
                    clips.append(self._clip(item, take, source, remark))
        return clips, midi

    def _written(self, source: Block, remark: Remark) -> Written:
        """The events of a MIDI source, which may be those of a file."""
        name = source.line("FILE").text(0)
        if source.line("HASDATA").values or not name:
            return written_in(source)
        path, trouble = self.media.find(name)
        if trouble:
            remark(f"a MIDI file is left out: {displayed(name)} {trouble}")
            return Written([])
        try:
            return written_in_file(path)
        except SessionError as error:
            remark(f"a MIDI file is left out: {error}")
            return Written([])

    def _clip(self, item: Block, take: Block, source: Block, remark: Remark) -> Clip:
        position = item.line("POSITION").seconds_at(0)
        length = item.line("LENGTH").seconds_at(0)
        if length < 0:
            raise SessionError(f"line {item.first_line + 1}: an item is {length:g} s long")
        _remark_on_effects(item, take, remark)
        is_first = take.name == item.name
        volpan = take.line("VOLPAN") if is_first else take.line("TAKEVOLPAN")
        pan, volume = (volpan.number_at(index + is_first, default) for index, default in ((0, 0.0), (1, 1.0)))
        trim = item.line("VOLPAN").number_at(0, 1)
        playing, problem = _play_rate(take.line("PLAYRATE"))
        rate = playing.get("rate", 1.0)
        new_fades = any(True for _ in item.lines("FADE_NEW_PARAMETERS"))

        section_start, section_length, is_reversed = 0.0, None, False
        if source.values[0] == "SECTION":
            how = source.line("MODE").whole_at(0, 0)
            is_reversed = bool(how & 2)
            if not how & 1:
                section_start = source.line("STARTPOS").seconds_at(0)
                section_length = source.line("LENGTH").seconds_at(0)
            source = next(source.blocks("SOURCE"), source)
        offset = take.line("SOFFS").seconds_at(0)
        clip = Clip(
            source=self.media.folder,
            position=position,
            length=length,
            offset=offset,
            gain=trim * volume,
            fade_in=_fade(item.line("FADEIN"), False, new_fades, remark),
            fade_out=_fade(item.line("FADEOUT"), True, new_fades, remark),
            loop=item.line("LOOP").number_at(0, 0) != 0,
            section_start=section_start,
            section_length=section_length,
            reversed=is_reversed,
            pan=min(1.0, max(-1.0, pan)),
            muted=item.line("MUTE").number_at(0, 0) != 0 or source.text(0).startswith(OFFLINE),
            name=displayed(take.line("NAME").text(0)),
            problem=problem,
            stretch=_stretch_markers(take, rate, offset),
            envelopes=tuple(read_envelopes(take, TAKES, 0, remark, rate=rate)),
            **playing,
            **_channels(take.line("CHANMODE"), remark),
        )
        clip = self._with_source(clip, source)
        if clip.session is not None and not clip.muted:
            for line in clip.session.not_honoured:
                remark(f"{clip.source.name}: {line}")
        return clip

    def _with_source(self, clip: Clip, source: Block) -> Clip:
        """``clip`` with what it plays."""
        kind = source.text(0).removeprefix(OFFLINE)
        if kind == "CLICK":
            click = _click(clip, source, self.tempo)
            return replace(clip, material=click, offset=0.0, rate=1.0, keep_pitch=False, stretch=())
        if kind == "VIDEO" and source.line("AUDIO").number_at(0, 1) == 0:
            return replace(clip, problem=clip.problem or "the sound of a video is switched off")
        name = source.line("FILE").text(0)
        if not name.strip() and kind in (*AUDIO_SOURCES, "RPP_PROJECT"):
            return replace(clip, problem=clip.problem or "an item names no file")
        if kind == "RPP_PROJECT":
            return self._subproject(clip, name)
        if kind not in AUDIO_SOURCES:
            problem = f"a source of the kind {kind or 'none'} is not played"
            return replace(clip, source=self.media.find(name)[0], problem=problem)
        path, trouble = self.media.find(name)
        trouble = f"{displayed(name)} {trouble}" if trouble else ""
        return replace(clip, source=path, problem=clip.problem or trouble)

    def _subproject(self, clip: Clip, name: str) -> Clip:
        """Its rendered audio if that lies beside it, else the project itself."""
        path, trouble = self.media.find(name + PROXY)
        if not trouble:
            return replace(clip, source=path)
        path, trouble = self.media.find(name)
        if trouble:
            return replace(clip, source=path, problem=clip.problem or f"{displayed(name)} {trouble}")
        session = self.open_project(path)
        if isinstance(session, str):
            return replace(clip, source=path, problem=clip.problem or session)
        start = min((one.seconds for one in session.markers if one.name == "=START"), default=0.0)
        end = max((one.seconds for one in session.markers if one.name == "=END"), default=session.end)
        return replace(
            clip, source=path, session=session, section_start=start, section_length=max(0.0, end - start)
        )


def _takes(item: Block) -> Iterator[Block]:
    """The first take has the item's own lines; a ``TAKE`` line begins each further one."""
    current = Block(item.name, [], item.first_line, item.last_line)
    for part in item.content:
        if isinstance(part, Line) and part.name == "TAKE":
            yield current
            current = Block("TAKE", part.values, part.first_line)
        else:
            current.content.append(part)
    yield current


def _play_rate(line: Line) -> tuple[dict[str, Any], str]:
    rate = line.number_at(0, 1)
    if not RATES[0] <= rate <= RATES[1]:
        return {}, f"a play rate of {rate:g} is not played; it must lie in {RATES[0]:g} to {RATES[1]:g}"
    pitch = max(-MOST_SEMITONES, min(MOST_SEMITONES, line.number_at(2, 0)))
    return {"rate": rate, "keep_pitch": line.number_at(1, 0) != 0, "pitch": pitch}, ""


def _stretch_markers(take: Block, rate: float, offset: float) -> tuple[StretchMarker, ...]:
    """``SM`` lines: seconds of the item at rate 1, of the source, and a slope, one marker after the other."""
    markers = []
    for line in take.lines("SM"):
        words: list[str] = []
        for word in [*line.values, "+"]:
            if word != "+":
                words.append(word)
            elif words:
                one = Line("SM", words, line.first_line)
                seconds = one.seconds_at(0)
                source = one.seconds_at(1, seconds + offset)
                slope = max(-1.0, min(1.0, one.number_at(2, 0)))
                markers.append(StretchMarker(seconds / rate, source, slope))
                words = []
    return tuple(markers)


def _channels(line: Line, remark: Remark) -> dict[str, Any]:
    code = line.whole_at(0, 0)
    if code in CHANNEL_MODES:
        return {"channel_mode": CHANNEL_MODES[code]}
    for mode, codes in ((ChannelMode.SINGLE, SINGLE_CHANNELS), (ChannelMode.PAIR, PAIRS)):
        for first, last, channel in codes:
            if first <= code <= last:
                return {"channel_mode": mode, "first_channel": channel + code - first}
    remark(f"channel mode {line.text(0)} plays all channels")
    return {}


def _click(clip: Clip, source: Block, tempo: TempoMap) -> Click:
    """The project's tempo, unless the source brings its own."""
    changes = tuple(tempo.changes)
    if source.line("AUTO").number_at(0, 1) == 0:
        bpm = min(10_000.0, max(1.0, source.line("BPM").number_at(0, 120)))
        bar, beat = (max(1, source.line("BPI").whole_at(index, 4)) for index in (0, 1))
        changes = (TempoChange(clip.position, bpm, bar, beat),)
    volume, frequency = source.line("VOL"), source.line("FREQ")
    return Click(
        clip.position,
        clip.length,
        changes,
        (volume.number_at(0, 0.5), volume.number_at(1, 0.25)),
        (frequency.number_at(0, 1760), frequency.number_at(1, 880)),
        source.line("PATTERNSTR").text(0),
    )


def _fade(line: Line, is_out: bool, new_fades: bool, remark: Remark) -> Fade:
    if not line.values:
        return Fade()
    automatic = line.number_at(2, 0)
    is_automatic = automatic > 0 and line.number_at(4, 1) != 0
    seconds = max(0.0, automatic if is_automatic else line.number_at(1, 0))
    if seconds == 0:
        return Fade()
    if new_fades and line.number_at(7, 1) == 0:
        s_bend = line.number_at(9, 0)
        if s_bend < 0:
            remark("fades bent into an inverse S are played without it")
        return Fade(
            seconds, FadeShape.BEND, -_within_one(line.number_at(8, 0)), max(0.0, _within_one(s_bend))
        )
    shape = FADE_SHAPES.get(round(line.number_at(0, 0), 1))
    if shape is None:
        remark(f"fades of the unknown shape {line.text(0)} are played as linear")
        return Fade(seconds)
    if len(line.values) <= 5:
        return Fade(seconds, shape)
    bend = _within_one(line.number_at(5, 0))
    return Fade(seconds, shape, -bend if is_out else bend)


def _within_one(value: float) -> float:
    return min(1.0, max(-1.0, value))


def _remark_on_effects(item: Block, take: Block, remark: Remark) -> None:
    if any(True for _ in take.blocks("TAKEFX")):
        remark("effects of takes are left out")
    if any(True for _ in take.lines("SPECTRAL_EDIT")):
        remark("spectral edits are left out")
    if item.line("FADELPF").number_at(0, 0) != 0:
        remark("low-pass fades are played as plain fades")
    if item.line("MUTE").number_at(1, 0) != 0:
        remark("solo of single items is left out")
