"""A session of any format as the text of a fresh REAPER project."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from plugin_bridge.naming import relative_name
from plugin_bridge.sessions.fades import NAMED_BEND, nearest_shape
from plugin_bridge.sessions.model import (
    ChannelMode,
    Clip,
    Fade,
    FadeShape,
    Overlap,
    Session,
    TempoChange,
    Track,
)
from plugin_bridge.sessions.plain import fades_meet, meet, one_frame_later
from plugin_bridge.sessions.rpp.fresh_strips import Remark, Strips, guid, number
from plugin_bridge.sessions.rpp.items import CHANNEL_MODES, FADE_SHAPES, PAIRS, SINGLE_CHANNELS
from plugin_bridge.sessions.rpp.text import quoted

HEADER = '<REAPER_PROJECT 0.1 "7.0/stembridge" 0'
SOURCE_KINDS = {".mp3": "MP3", ".flac": "FLAC", ".ogg": "VORBIS", ".oga": "VORBIS"}
FADE_CODES = {shape: code for code, shape in reversed(FADE_SHAPES.items())}
CHANNEL_CODES = {mode: code for code, mode in CHANNEL_MODES.items()}


def project_text(session: Session, folder: Path, remark: Remark = lambda text: None) -> str:
    """The project, to be saved in ``folder``: tracks with clips or children, strips, tempo, markers.

    What such a project cannot hold is said to ``remark``, one line each.
    """
    strips = Strips(session, list(_walk(written_tracks(session))), remark)
    lines = [
        HEADER,
        f"  PROJOFFS {number(session.start)} 0 0",
        "  PANLAW 1",
        "  PANMODE 3",
        f"  SAMPLERATE {session.sample_rate} 1 0",
        *_tempo(session.tempo),
        *_play_rate(session),
        *strips.master(),
    ]
    for index, marker in enumerate(session.markers, start=1):
        is_region = int(marker.length > 0)
        lines.append(f"  MARKER {index} {number(marker.seconds)} {quoted(marker.name)} {is_region}")
        if is_region:
            lines.append(f'  MARKER {index} {number(marker.seconds + marker.length)} "" 1')
    writer = _Tracks(session, strips, folder, remark)
    lines += writer.lines(written_tracks(session), 0)
    for name, strip in strips.vcas():
        identifier = guid("vca", name)
        lines += [
            f"  <TRACK {identifier}",
            f"    NAME {quoted(name)}",
            *strip,
            f"    TRACKID {identifier}",
            "  >",
        ]
    return "\n".join([*lines, ">", ""])


def _walk(tracks: Iterable[Track]) -> Iterator[Track]:
    for track in tracks:
        yield track
        yield from _walk(track.children)


def written_tracks(session: Session) -> list[Track]:
    """The top-level tracks that a fresh project shows: not those that hold notes only."""
    targets = {send.target for track in session.walk() for send in track.sends}
    return [
        track
        for track in session.tracks
        if track.clips or track.children or track.is_bus or track.identifier in targets
    ]


def _play_rate(session: Session) -> Iterator[str]:
    if session.play_rate != 1:
        slowest, fastest = min(0.25, session.play_rate), max(4.0, session.play_rate)
        rate = f"{number(session.play_rate)} {int(session.play_rate_keeps_pitch)}"
        yield f"  PLAYRATE {rate} {number(slowest)} {number(fastest)}"


def _tempo(changes: list[TempoChange]) -> Iterator[str]:
    first = changes[0]
    yield f"  TEMPO {number(first.bpm)} {first.numerator} {first.denominator}"
    if len(changes) > 1:
        yield "  <TEMPOENVEX"
        yield "    ACT 1 -1"
        for change in changes:
            meter = (change.denominator << 16) + change.numerator
            yield f"    PT {number(change.seconds)} {number(change.bpm)} {int(not change.ramp)} {meter} 0 1"
        yield "  >"


class _Tracks:
    """The tracks of a project with their items."""

    def __init__(self, session: Session, strips: Strips, folder: Path, remark: Remark) -> None:
        self.rate = session.sample_rate
        self.strips = strips
        self.folder = folder
        self.remark = remark

    def lines(self, tracks: list[Track], closes_before: int) -> Iterator[str]:
        """``closes_before`` folders end with the last of these tracks, beside their own."""
        for index, track in enumerate(tracks):
            closes = closes_before if index + 1 == len(tracks) else 0
            depth = 1 if track.children else -closes
            identifier = guid("track", track.identifier)
            yield f"  <TRACK {identifier}"
            yield f"    NAME {quoted(track.name)}"
            if track.color:
                red, green, blue = (int(track.color[at : at + 2], 16) for at in (1, 3, 5))
                yield f"    PEAKCOL {0x1000000 | blue << 16 | green << 8 | red}"
            yield from self.strips.of(track)
            yield f"    ISBUS {is_bus(depth)}"
            yield f"    NCHAN {max(2, track.channels + track.channels % 2)}"
            yield f"    TRACKID {identifier}"
            yield from self._items(track)
            yield "  >"
            yield from self.lines(track.children, closes + 1)

    def _items(self, track: Track) -> Iterator[str]:
        if track.notes:
            self.remark(f"{track.name}: its notes are not written")
        if any(clip.overlap is not Overlap.MIX for clip in track.clips) and meet(track.clips):
            self.remark(f"{track.name}: its clips that overlap are written as mixed")
        clips = [side for clip in track.clips for side in _sides(clip)]
        for position, clip in enumerate(clips):
            if clip.material is not None or clip.session is not None:
                self.remark(f"{track.name}: {clip.name or clip.source.name} is no file, and not written")
            elif clip.length > 0:
                if fades_meet(clip):
                    self.remark(f"{track.name}: fades that overlap are written one behind the other")
                inner = self.strips.take(track, clip.envelopes, clip.rate)
                plain = one_frame_later(clip, self.rate)
                yield from item_lines(plain, self.folder, guid("item", track.identifier, position), inner)


def _sides(clip: Clip) -> list[Clip]:
    """A clip whose channels lie in two files as an item for each, panned to its side."""
    if len(clip.channels) != 2:
        return [clip]
    return [
        replace(
            clip,
            source=side.path,
            channels=(),
            channel_mode=ChannelMode.SINGLE,
            first_channel=side.channel,
            pan=pan,
        )
        for side, pan in zip(clip.channels, (-1.0, 1.0), strict=True)
    ]


def is_bus(depth: int) -> str:
    """The words of an ``ISBUS`` line: 1 opens a folder, -n ends n of them.

    >>> is_bus(0), is_bus(1), is_bus(-2)
    ('0 0', '1 1', '2 -2')
    """
    return f"{0 if depth == 0 else 1 if depth > 0 else 2} {depth}"


def item_lines(clip: Clip, folder: Path, identifier: str, inner: Iterable[str] = ()) -> Iterator[str]:
    """An ``<ITEM`` of one take with ``inner`` lines of its own, indented as inside a track."""
    yield "    <ITEM"
    yield f"      POSITION {number(clip.position)}"
    yield "      SNAPOFFS 0"
    yield f"      LENGTH {number(clip.length)}"
    yield f"      LOOP {int(clip.loop)}"
    yield "      ALLTAKES 0"
    yield f"      FADEIN {_fade(clip.fade_in, is_out=False)}"
    yield f"      FADEOUT {_fade(clip.fade_out, is_out=True)}"
    if FadeShape.BEND in (clip.fade_in.shape, clip.fade_out.shape):
        yield "      FADE_NEW_PARAMETERS"
    yield f"      MUTE {int(clip.muted)} 0"
    yield "      SEL 0"
    yield f"      IGUID {identifier}"
    yield f"      NAME {quoted(clip.name)}"
    yield f"      VOLPAN 1 {number(clip.pan)} {number(clip.gain)} -1"
    yield f"      SOFFS {number(clip.offset)}"
    yield f"      PLAYRATE {number(clip.rate)} {int(clip.keep_pitch)} {number(clip.pitch)} -1 0 0.0025"
    yield f"      CHANMODE {_channel_code(clip)}"
    if clip.stretch:
        markers = (
            f"{number(one.seconds * clip.rate)} {number(one.source)} {number(one.slope)}"
            for one in clip.stretch
        )
        yield f"      SM {' + '.join(markers)}"
    yield from inner
    is_section = clip.reversed or clip.section_start > 0 or clip.section_length is not None
    if is_section:
        whole = clip.section_start == 0 and clip.section_length is None
        yield "      <SOURCE SECTION"
        yield f"        LENGTH {number(clip.section_length if clip.section_length is not None else 1e9)}"
        yield f"        MODE {2 * clip.reversed + whole}"
        yield f"        STARTPOS {number(clip.section_start)}"
        yield "        OVERLAP 0.01"
    yield f"      <SOURCE {SOURCE_KINDS.get(clip.source.suffix.lower(), 'WAVE')}"
    yield f"        FILE {quoted(relative_name(clip.source, folder))}"
    yield "      >"
    if is_section:
        yield "      >"
    yield "    >"


def _channel_code(clip: Clip) -> int:
    codes = {ChannelMode.SINGLE: SINGLE_CHANNELS, ChannelMode.PAIR: PAIRS}.get(clip.channel_mode, ())
    for first, last, channel in codes:
        if channel <= clip.first_channel <= channel + last - first:
            return first + clip.first_channel - channel
    if clip.channel_mode is ChannelMode.SINGLE:
        return CHANNEL_CODES[ChannelMode.RIGHT if clip.first_channel else ChannelMode.LEFT]
    return CHANNEL_CODES.get(clip.channel_mode, 0)


def _fade(fade: Fade, is_out: bool) -> str:
    fade = nearest_shape(fade)
    if fade.shape is FadeShape.BEND:
        return (
            f"0 {number(fade.seconds)} 0 0 0 0 0 0 {number(-(fade.bend or 0.0))} {number(fade.s_bend)} 1 0 0"
        )
    code = number(FADE_CODES[fade.shape])
    bend = NAMED_BEND.get(fade.shape, 0.0) if fade.bend is None else fade.bend
    return f"{code} {number(fade.seconds)} 0 {code} 0 {number(-bend if is_out else bend)} 0"
