"""REAPER's items: takes, sources, fades.

Fields as documented in ReaTeam's "State Chunk Definitions"; the meaning of the fade fields as seen in
chunks of REAPER 7.82 (shape, length, automatic length, shape again, automatic?, bend, ...).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from plugin_bridge.errors import SessionError
from plugin_bridge.sessions.model import ChannelMode, Clip, Fade, FadeShape
from plugin_bridge.sessions.rpp.midi import MidiTake, read_take
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
CHANNEL_MODES = dict(enumerate(ChannelMode))
AUDIO_SOURCES = frozenset({"WAVE", "MP3", "FLAC", "VORBIS", "OPUS", "AIFF", "WAVPACK", "VIDEO"})
OFFLINE = "_OFFLINE_"
RATES = (1 / 64, 64.0)
NEUTRAL = dict.fromkeys(("PANENV", "PANENV2", "MASTERPANENV", "MASTERPANENV2", "PITCHENV"), 0.0)
"""The value at which an envelope does nothing; 1 for all others."""


class ItemReader:
    """Turns ``<ITEM`` blocks into clips and MIDI takes."""

    def __init__(self, media: MediaFolders, tempo: TempoMap) -> None:
        self.media = media
        self.tempo = tempo

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
                if kind == "MIDI":
                    remark("MIDI items are not played")
                    midi.append(read_take(item, take, source, self.tempo))
                elif kind not in ("EMPTY", ""):
                    clips.append(self._clip(item, take, source, remark))
        return clips, midi

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
        rate, problem = _play_rate(take.line("PLAYRATE"), remark)
        mode = CHANNEL_MODES.get(take.line("CHANMODE").whole_at(0, 0))
        if mode is None:
            remark(f"channel mode {take.line('CHANMODE').text(0)} plays all channels")
        new_fades = any(True for _ in item.lines("FADE_NEW_PARAMETERS"))

        section_start, section_length, is_reversed = 0.0, None, False
        if source.values[0] == "SECTION":
            how = source.line("MODE").whole_at(0, 0)
            is_reversed = bool(how & 2)
            if not how & 1:
                section_start = source.line("STARTPOS").seconds_at(0)
                section_length = source.line("LENGTH").seconds_at(0)
            source = next(source.blocks("SOURCE"), source)
        kind = source.values[0].removeprefix(OFFLINE) if source.values else ""
        if kind not in AUDIO_SOURCES:
            problem = f"a source of the kind {kind or 'none'} is not played"
        name = source.line("FILE").text(0)
        path, trouble = self.media.find(name)
        return Clip(
            source=path,
            position=position,
            length=length,
            offset=take.line("SOFFS").seconds_at(0),
            gain=trim * volume,
            fade_in=_fade(item.line("FADEIN"), False, new_fades, remark),
            fade_out=_fade(item.line("FADEOUT"), True, new_fades, remark),
            rate=rate,
            loop=item.line("LOOP").number_at(0, 0) != 0,
            section_start=section_start,
            section_length=section_length,
            reversed=is_reversed,
            channel_mode=mode or ChannelMode.ALL,
            pan=min(1.0, max(-1.0, pan)),
            muted=item.line("MUTE").number_at(0, 0) != 0 or source.values[:1] == [OFFLINE + kind],
            name=displayed(take.line("NAME").text(0)),
            problem=problem or (f"{displayed(name)} {trouble}" if trouble else ""),
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


def _play_rate(line: Line, remark: Remark) -> tuple[float, str]:
    rate = line.number_at(0, 1)
    if not RATES[0] <= rate <= RATES[1]:
        return 1.0, f"a play rate of {rate:g} is not played; it must lie in {RATES[0]:g} to {RATES[1]:g}"
    if rate != 1 and line.number_at(1, 0) != 0:
        remark("preserved pitch: items at another play rate change their pitch with it")
    if line.number_at(2, 0) != 0:
        remark("pitch shifts of items are left out")
    return rate, ""


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
    if any(True for _ in take.lines("SM")):
        remark("stretch markers are left out")
    if any(True for _ in take.blocks("TAKEFX")):
        remark("effects of takes are left out")
    if item.line("FADELPF").number_at(0, 0) != 0:
        remark("low-pass fades are played as plain fades")
    if item.line("MUTE").number_at(1, 0) != 0:
        remark("solo of single items is left out")
    for envelope in take.blocks("VOLENV", "PANENV", "MUTEENV", "PITCHENV"):
        if is_active(envelope):
            remark(f"envelopes of takes are left out: {envelope.name}")


def is_active(envelope: Block) -> bool:
    """Whether an envelope is switched on and moves anything."""
    neutral = NEUTRAL.get(envelope.name, 1.0)
    points = [point.number_at(1, neutral) for point in envelope.lines("PT")]
    moves = any(value != neutral for value in points) or any(True for _ in envelope.lines("POOLEDENVINST"))
    return envelope.line("ACT").number_at(0, 1) != 0 and moves
