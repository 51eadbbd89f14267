"""Reads REAPER projects (``.rpp``): tracks, folders, items, strips, tempo, markers.

Everything else that is met and that would be heard goes by track into ``Session.not_honoured``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from plugin_bridge.errors import SessionError
from plugin_bridge.sessions.model import Envelope, Marker, Session, TempoChange, Track
from plugin_bridge.sessions.play_rate import play_rate_note
from plugin_bridge.sessions.rpp.automation_items import AutomationItems
from plugin_bridge.sessions.rpp.envelopes import (
    LEFT_OUT,
    MASTER,
    MASTER_LEFT_OUT,
    PARAMETERS,
    automation_mode,
    is_active,
    read_envelopes,
)
from plugin_bridge.sessions.rpp.items import ItemReader
from plugin_bridge.sessions.rpp.lanes import Lanes, Placed
from plugin_bridge.sessions.rpp.midi import MidiTake, midi_pool, notes_of
from plugin_bridge.sessions.rpp.pans import Pans
from plugin_bridge.sessions.rpp.plugins import automated, read_chain
from plugin_bridge.sessions.rpp.routing import hardware_outputs, read_sends, read_vcas
from plugin_bridge.sessions.rpp.text import MAX_DEPTH, Block, Line, displayed, parse, read_text, split_lines
from plugin_bridge.sessions.sources import MAX_SECONDS, MediaFolders
from plugin_bridge.sessions.tempo import TempoMap

SAMPLE_RATES = (1000, 768000)
DEFAULT_SAMPLE_RATE = 44100
DEFAULT_COLOR = 16576
MOST_CHANNELS = 128
"""REAPER's limit."""
AUTO_STRETCH = 3
"""The timebase whose items follow each change of tempo."""
MUTED, MONO = 1, 4
"""Bits of ``MASTERMUTESOLO``."""
PLAY_RATES = (1 / 16, 16.0)
"""Of a whole project; REAPER's knob goes from a quarter to 4 unless told otherwise."""
MOST_SUBPROJECTS = 8
"""Projects inside projects."""


def read_rpp(path: Path, media_roots: Sequence[Path] = ()) -> Session:
    """Read the project at ``path``. Raises :class:`SessionError` if it is damaged.

    Media are looked for in the project's folder and ``media_roots`` only; see :class:`MediaFolders`.
    """
    return _read(path, tuple(media_roots), _Nest())


def _read(path: Path, media_roots: tuple[Path, ...], nest: _Nest) -> Session:
    root = parse(split_lines(read_text(path)), path)
    try:
        return _ProjectReader(path, root, media_roots, nest).session
    except SessionError as error:
        raise SessionError(f"{path}: {error}") from error


@dataclass
class _Nest:
    """Projects inside projects: each file is read once, and none may hold itself."""

    known: dict[Path, Session | str] = field(default_factory=dict)
    open: list[Path] = field(default_factory=list)

    def read(self, media_roots: tuple[Path, ...], path: Path) -> Session | str:
        """The project at ``path``; or why it cannot be played."""
        if path in self.open:
            return f"{path.name} holds itself"
        if len(self.open) >= MOST_SUBPROJECTS:
            return f"{path.name}: subprojects nested deeper than {MOST_SUBPROJECTS}"
        if path not in self.known:
            self.open.append(path)
            try:
                self.known[path] = _read(path, media_roots, self)
            except SessionError as error:
                self.known[path] = str(error)
            finally:
                self.open.pop()
        return self.known[path]


def track_blocks(root: Block) -> Iterator[tuple[str, Block]]:
    """Each ``<TRACK`` in the file's order, with an identifier that no other track of the file has."""
    seen: set[str] = set()
    for number, block in enumerate(root.blocks("TRACK"), start=1):
        identifier = displayed(block.line("TRACKID").text(0) or block.text(0))
        if not identifier or identifier in seen:
            identifier = f"track {number}"
        seen.add(identifier)
        yield identifier, block


class _ProjectReader:
    def __init__(self, path: Path, root: Block, media_roots: tuple[Path, ...], nest: _Nest) -> None:
        self.root = root
        self.remarks: Counter[str] = Counter()
        self.pans = Pans(root)
        self.override = root.line("GLOBAL_AUTO").whole_at(0, -1)
        """The automation mode of all tracks, below 0 if they have their own."""
        self.mix = root.line("ITEMMIX").whole_at(0, 1)
        media = MediaFolders(path.parent, media_roots)
        self.session = Session(path, "rpp", self._sample_rate())
        self.session.tempo = self._tempo()
        self.session.markers = _markers(root)
        self.session.start = max(0.0, root.line("PROJOFFS").seconds_at(0))
        nest.open = nest.open or [path.resolve()]
        roots = (*media_roots, path.parent.resolve())
        tempo = TempoMap(self.session.tempo)
        self.automation_items = AutomationItems(root, tempo)
        self.items = ItemReader(media, tempo, partial(nest.read, roots), midi_pool(root.blocks("TRACK")))
        self._read_master()
        self._read_tracks()
        self.session.not_honoured = [
            text if count == 1 else f"{text} ({count} times)" for text, count in self.remarks.items()
        ]
        if self.automation_items.moved:
            moved = " and ".join(sorted(parameter.value for parameter in self.automation_items.moved))
            self.session.notes.append(f"automation items of {moved} are read as parts of their range")
        for named, found in media.elsewhere.items():
            self.session.notes.append(f"{displayed(named)} is found as {found}")

    def _sample_rate(self) -> int:
        rate = self.root.line("SAMPLERATE").number_at(0, DEFAULT_SAMPLE_RATE)
        if not SAMPLE_RATES[0] <= rate <= SAMPLE_RATES[1]:
            raise SessionError(
                f"a sample rate of {rate:g} Hz; it must lie in {SAMPLE_RATES[0]} to {SAMPLE_RATES[1]}"
            )
        return round(rate)

    def _tempo(self) -> list[TempoChange]:
        line = self.root.line("TEMPO")
        bpm, numerator, denominator = (
            line.number_at(0, 120),
            line.whole_at(1, 4),
            line.whole_at(2, 4),
        )
        changes: list[TempoChange] = []
        for envelope in self.root.blocks("TEMPOENVEX"):
            if envelope.line("ACT").number_at(0, 1) == 0:
                continue
            for point in sorted(envelope.lines("PT"), key=lambda point: point.number_at(0, 0)):
                meter, flags = point.whole_at(3, 0), point.whole_at(5, 0)
                if meter > 0:
                    denominator, numerator = max(meter >> 16, 1), max(meter & 0xFFFF, 1)
                sets_meter_only = flags & 2
                if not sets_meter_only:
                    bpm = point.number_at(1, bpm)
                ramp = point.number_at(2, 1) == 0
                changes.append(TempoChange(point.seconds_at(0), bpm, numerator, denominator, ramp))
        changes = changes or [TempoChange(0.0, bpm, numerator, denominator)]
        for change in changes:
            if not 1 <= change.bpm <= 10000:
                raise SessionError(f"a tempo of {change.bpm:g} beats a minute; it must lie in 1 to 10000")
        return changes

    def _read_master(self) -> None:
        root = self.root
        session = self.session
        session.master_volume = root.line("MASTER_VOLUME").number_at(0, 1)
        self.pans.read_master(session)
        state = root.line("MASTERMUTESOLO").whole_at(0, 0)
        session.master_muted, session.master_mono = bool(state & MUTED), bool(state & MONO)
        session.master_channels = _channels(root.line("MASTER_NCH"))
        mode = automation_mode(self.override, root.line("MASTERAUTOMODE").whole_at(0, 0))
        session.master_envelopes = list(
            read_envelopes(root, MASTER, mode, partial(self._remark, "Master"), items=self.automation_items)
        )
        self._read_play_rate()
        has_effects = root.line("MASTER_FX").number_at(0, 1) != 0
        for block in root.blocks("MASTERFXLIST") if has_effects else ():
            session.master_chain += read_chain(block)
            for moved in automated(block):
                self._remark("Master", f"envelopes of plug-in {moved} are left out")
        for plugin in session.master_chain:
            if not plugin.bypassed:
                self._remark("Master", f"plug-in {plugin.name} is left out")
        for envelope in root.blocks(*MASTER_LEFT_OUT):
            if is_active(envelope):
                self._remark("Master", f"envelopes are left out: {envelope.name}")

    def _read_play_rate(self) -> None:
        """Nothing is left out: what is put back must lie on the project's own time."""
        line = self.root.line("PLAYRATE")
        rate = line.number_at(0, 1)
        if not PLAY_RATES[0] <= rate <= PLAY_RATES[1]:
            self._remark("Project", f"its play rate of {line.text(0):.20} is left out")
        elif rate != 1:
            self.session.play_rate = rate
            self.session.play_rate_keeps_pitch = line.whole_at(1, 0) != 0
            self.session.notes.append(play_rate_note(rate))

    def _read_tracks(self) -> None:
        blocks = list(track_blocks(self.root))
        names = [
            displayed(block.line("NAME").text(0)) or f"Track {n}" for n, (_, block) in enumerate(blocks, 1)
        ]
        open_folders = [self.session.tracks]
        for (identifier, block), name in zip(blocks, names, strict=True):
            track = self._track(block, name, identifier)
            open_folders[-1].append(track)
            depth = block.line("ISBUS").whole_at(1, 0)
            if depth > 0:
                open_folders.append(track.children)
                if len(open_folders) > MAX_DEPTH:
                    raise SessionError(
                        f"line {block.first_line + 1}: folders nested deeper than {MAX_DEPTH}; "
                        "no mixer has as many buses in a row"
                    )
            else:
                del open_folders[max(1, len(open_folders) + depth) :]
        found, tracks = [block for _, block in blocks], list(self.session.walk())
        read_sends(found, tracks, self.override, self.automation_items, self._remark)
        self.session.vcas = read_vcas(found, tracks, self._envelopes)

    def _envelopes(self, block: Block, name: str = "") -> list[Envelope]:
        """Those of a track, and the VCA's that leads others; the latter is nobody's to remark on twice."""
        mode = automation_mode(self.override, block.line("AUTOMODE").whole_at(0, 0))
        remark = partial(self._remark, name) if name else lambda text: None
        return list(read_envelopes(block, PARAMETERS, mode, remark, items=self.automation_items))

    def _track(self, block: Block, name: str, identifier: str) -> Track:
        strip = block.line("VOLPAN")
        track = Track(
            name=name,
            identifier=identifier,
            volume=strip.number_at(0, 1),
            muted=block.line("MUTESOLO").number_at(0, 0) != 0,
            soloed=block.line("MUTESOLO").number_at(1, 0) > 0,
            solo_defeat=block.line("MUTESOLO").number_at(2, 0) != 0,
            inverted=block.line("IPHASE").number_at(0, 0) != 0,
            sends_to_parent=block.line("MAINSEND").number_at(0, 1) != 0,
            parent_channel=max(0, min(MOST_CHANNELS, block.line("MAINSEND").whole_at(1, 0))),
            envelopes=self._envelopes(block, name),
            hardware_outputs=hardware_outputs(block),
            play_offset=self._play_offset(block.line("PLAYOFFS")),
            channels=_channels(block.line("NCHAN")),
            color=_color(block.line("PEAKCOL").whole_at(0, DEFAULT_COLOR)),
        )
        if block.line("FX").number_at(0, 1) != 0:
            for chain in block.blocks("FXCHAIN"):
                track.chain += read_chain(chain)
                for moved in automated(chain):
                    self._remark(name, f"envelopes of plug-in {moved} are left out")
            track.plugins = [plugin.name for plugin in track.chain if not plugin.bypassed]
        for plugin in track.plugins:
            self._remark(name, f"plug-in {plugin} is left out")
        self.pans.read(block, track, partial(self._remark, name))
        for output in track.hardware_outputs:
            self.session.notes.append(f"{name}: its way to hardware {output} is in no render")
        for envelope in block.blocks(*LEFT_OUT):
            if is_active(envelope):
                self._remark(name, f"envelopes are left out: {envelope.name}")
        lanes = Lanes(block)
        takes: list[MidiTake] = []
        placed: list[Placed] = []
        for item in block.blocks("ITEM"):
            if lanes.play(item):
                clips, midi = self.items.read(item, partial(self._remark, name))
                self._remark_on_auto_stretch(block, item, name)
                own = item.line("ITEMMIX")
                placed.append(Placed(clips, *lanes.place(item), own.whole_at(0, 0) if own.values else None))
                takes += midi
        track.clips = lanes.layered(placed, self.mix)
        track.notes = notes_of(takes)
        track.messages = sorted(
            (message for take in takes for message in take.messages), key=lambda message: message.seconds
        )
        for clip in track.clips:
            if clip.problem and not clip.muted:
                self._remark(name, clip.problem)
        return track

    def _remark_on_auto_stretch(self, track: Block, item: Block, name: str) -> None:
        """The timebase is the item's, else the track's; it does something where the tempo changes."""
        own = item.line("BEAT").whole_at(0, -1)
        timebase = own if own >= 0 else track.line("BEAT").whole_at(0, -1)
        if timebase != AUTO_STRETCH or any(True for _ in item.lines("SM")):
            return
        start = item.line("POSITION").seconds_at(0)
        end = start + item.line("LENGTH").seconds_at(0)
        if any(start < change.seconds < end for change in self.session.tempo):
            self._remark(name, "items are not stretched with the tempo that changes in them")

    def _play_offset(self, line: Line) -> float:
        """Seconds, or samples where bit 2 says so; bit 1 switches it off."""
        flags = line.whole_at(1, 0)
        if flags & 1:
            return 0.0
        offset = line.number_at(0, 0) / (self.session.sample_rate if flags & 2 else 1)
        return max(-MAX_SECONDS, min(MAX_SECONDS, offset))

    def _remark(self, where: str, text: str) -> None:
        self.remarks[f"{where}: {text}"] += 1


def _markers(root: Block) -> list[Marker]:
    """Markers and regions; a region is two lines of the same number, the second one with its end."""
    markers: list[Marker] = []
    open_regions: dict[str, Line] = {}
    for line in root.lines("MARKER"):
        is_region = line.whole_at(3, 0) & 1
        if not is_region:
            markers.append(Marker(line.number_at(1, 0), displayed(line.text(2))))
        elif (first := open_regions.pop(line.text(0), None)) is None:
            open_regions[line.text(0)] = line
        else:
            start = first.number_at(1, 0)
            markers.append(Marker(start, displayed(first.text(2)), max(0.0, line.number_at(1, 0) - start)))
    return sorted(markers, key=lambda marker: marker.seconds)


def _channels(line: Line) -> int:
    channels = line.whole_at(0, 2)
    if channels > MOST_CHANNELS:
        raise SessionError(
            f"line {line.first_line + 1}: a track of {channels} channels; at most {MOST_CHANNELS} can be had"
        )
    return max(1, channels)


def _color(value: int) -> str:
    """REAPER's custom colours have bit 24 set and red in the lowest byte (but on macOS)."""
    if not value & 0x1000000:
        return ""
    return f"#{value & 0xFF:02x}{value >> 8 & 0xFF:02x}{value >> 16 & 0xFF:02x}"
