"""Reads REAPER projects (``.rpp``): tracks, folders, items, strips, tempo, markers.

Everything else that is met and that would be heard goes by track into ``Session.not_honoured``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from plugin_bridge.errors import SessionError
from plugin_bridge.sessions.model import Marker, Session, TempoChange, Track
from plugin_bridge.sessions.rpp.items import ItemReader, is_active
from plugin_bridge.sessions.rpp.midi import MidiTake, notes_of
from plugin_bridge.sessions.rpp.text import MAX_DEPTH, Block, Line, displayed, parse, read_text, split_lines
from plugin_bridge.sessions.sources import MediaFolders
from plugin_bridge.sessions.tempo import TempoMap

SAMPLE_RATES = (1000, 768000)
DEFAULT_SAMPLE_RATE = 44100
DEFAULT_COLOR = 16576
BALANCE_PAN = 3
"""The pan mode that is honoured: stereo balance, mono pan."""
ENVELOPES = (
    "VOLENV", "VOLENV2", "VOLENV3", "PANENV", "PANENV2", "WIDTHENV", "WIDTHENV2", "MUTEENV",
    "DUALPANENV", "DUALPANENVL", "DUALPANENV2", "DUALPANENVL2",
)  # fmt: skip
MASTER_ENVELOPES = ("MASTERPLAYSPEEDENV", *(f"MASTER{name}" for name in ENVELOPES))
MOST_LANES = 1024
MOST_CHANNELS = 128
"""REAPER's limit."""
PLUGINS = ("VST", "AU", "DX", "JS", "LV2", "CLAP", "VIDEO_EFFECT")


def read_rpp(path: Path, media_roots: Sequence[Path] = ()) -> Session:
    """Read the project at ``path``. Raises :class:`SessionError` if it is damaged.

    Media are looked for in the project's folder and ``media_roots`` only; see :class:`MediaFolders`.
    """
    root = parse(split_lines(read_text(path)), path)
    try:
        return _ProjectReader(path, root, MediaFolders(path.parent, media_roots)).session
    except SessionError as error:
        raise SessionError(f"{path}: {error}") from error


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
    def __init__(self, path: Path, root: Block, media: MediaFolders) -> None:
        self.root = root
        self.remarks: Counter[str] = Counter()
        self.pan_mode = root.line("PANMODE").number_at(0, BALANCE_PAN)
        """What tracks have that say none of their own; looked for once, since it takes the whole project."""
        self.session = Session(path, "rpp", self._sample_rate())
        self.session.tempo = self._tempo()
        self.session.markers = _markers(root)
        self.session.start = max(0.0, root.line("PROJOFFS").seconds_at(0))
        self.items = ItemReader(media, TempoMap(self.session.tempo))
        self._read_master()
        self._read_tracks()
        self.session.not_honoured = [
            text if count == 1 else f"{text} ({count} times)" for text, count in self.remarks.items()
        ]

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
        self.session.master_volume = root.line("MASTER_VOLUME").number_at(0, 1)
        self.session.master_pan = min(1.0, max(-1.0, root.line("MASTER_VOLUME").number_at(1, 0)))
        if root.line("PANLAW").number_at(0, 1) not in (0, 1):
            self._remark("Project", f"pan law {root.line('PANLAW').text(0)} is played as 0 dB balance")
        if root.line("PLAYRATE").number_at(0, 1) != 1:
            self._remark(
                "Project", f"play rate {root.line('PLAYRATE').text(0)} of the whole project is left out"
            )
        for block in root.blocks("MASTERFXLIST"):
            for name in _active_plugins(block):
                self._remark("Master", f"plug-in {name} is left out")
        for envelope in root.blocks(*MASTER_ENVELOPES):
            if is_active(envelope):
                self._remark("Master", f"envelopes are left out: {envelope.name}")

    def _read_tracks(self) -> None:
        blocks = list(track_blocks(self.root))
        names = [
            displayed(block.line("NAME").text(0)) or f"Track {n}" for n, (_, block) in enumerate(blocks, 1)
        ]
        open_folders = [self.session.tracks]
        for (identifier, block), name in zip(blocks, names, strict=True):
            track = self._track(block, name, identifier, names)
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

    def _track(self, block: Block, name: str, identifier: str, names: list[str]) -> Track:
        strip = block.line("VOLPAN")
        track = Track(
            name=name,
            identifier=identifier,
            volume=strip.number_at(0, 1),
            pan=min(1.0, max(-1.0, strip.number_at(1, 0))),
            muted=block.line("MUTESOLO").number_at(0, 0) != 0,
            soloed=block.line("MUTESOLO").number_at(1, 0) > 0,
            inverted=block.line("IPHASE").number_at(0, 0) != 0,
            sends_to_parent=block.line("MAINSEND").number_at(0, 1) != 0,
            channels=_channels(block.line("NCHAN")),
            color=_color(block.line("PEAKCOL").whole_at(0, DEFAULT_COLOR)),
        )
        if block.line("FX").number_at(0, 1) != 0:
            for chain in block.blocks("FXCHAIN"):
                track.plugins += _active_plugins(chain)
        for plugin in track.plugins:
            self._remark(name, f"plug-in {plugin} is left out")
        self._remark_on_routing(block, track, names)
        lanes = _Lanes(block)
        takes: list[MidiTake] = []
        for item in block.blocks("ITEM"):
            if lanes.play(item):
                clips, midi = self.items.read(item, lambda text: self._remark(name, text))
                track.clips += clips
                takes += midi
        track.notes = notes_of(takes)
        for clip in track.clips:
            if clip.problem and not clip.muted:
                self._remark(name, clip.problem)
        return track

    def _remark_on_routing(self, block: Block, track: Track, names: list[str]) -> None:
        for receive in block.lines("AUXRECV"):
            source = receive.whole_at(0, -1)
            if receive.number_at(4, 0) == 0 and 0 <= source < len(names):
                self._remark(track.name, f"the send from {names[source]} is left out")
        for envelope in block.blocks(*ENVELOPES):
            if is_active(envelope):
                self._remark(track.name, f"envelopes are left out: {envelope.name}")
        law = block.line("VOLPAN").number_at(2, -1)
        if law not in (-1, 0, 1):
            self._remark(track.name, f"pan law {law:g} is played as 0 dB balance")
        mode = block.line("PANMODE").number_at(0, self.pan_mode)
        width = block.line("VOLPAN").number_at(4, 1)
        if mode not in (0, BALANCE_PAN) and (track.pan or width != 1):
            self._remark(track.name, f"pan mode {mode:g} is played as balance")
        if block.line("PLAYOFFS").number_at(0, 0) != 0:
            self._remark(track.name, "the track's media playback offset is left out")
        if block.line("FIXEDLANES").whole_at(3, 0):
            self._remark(track.name, "item lanes that hide lower ones are mixed")

    def _remark(self, where: str, text: str) -> None:
        self.remarks[f"{where}: {text}"] += 1


def _active_plugins(chain: Block) -> list[str]:
    """The names of the plug-ins that are neither bypassed nor offline; containers' content too."""
    names: list[str] = []
    bypassed = False
    for part in chain.content:
        if isinstance(part, Line) and part.name == "BYPASS":
            bypassed = part.number_at(0, 0) != 0 or part.number_at(1, 0) != 0
        elif isinstance(part, Block) and not bypassed:
            if part.name in PLUGINS:
                names.append(displayed(part.text(0)))
            elif part.name == "CONTAINER":
                names += _active_plugins(part)
    return names


class _Lanes:
    """A track's fixed item lanes (REAPER 7), of which some may not play."""

    def __init__(self, track: Block) -> None:
        lanes = track.line("LANESOLO") if track.line("FREEMODE").number_at(0, 0) == 2 else None
        words = [lanes.whole_at(index, 0) for index in range(len(lanes.values))] if lanes else []
        if len(words) > MOST_LANES // 32:
            raise SessionError(f"line {track.first_line + 1}: a track of more than {MOST_LANES} lanes")
        self.playing = sum(word << (32 * index) for index, word in enumerate(words)) if words else None

    def play(self, item: Block) -> bool:
        """Whether the lane of ``item`` is heard."""
        place = item.line("YPOS")
        top, height = place.number_at(0, 0), place.number_at(1, 0)
        if self.playing is None or height <= 0:
            return True
        if not 0 <= top < MOST_LANES * height:
            raise SessionError(
                f"line {place.first_line + 1}: YPOS holds {top:g} {height:g}; "
                f"that is none of {MOST_LANES} lanes"
            )
        return bool(self.playing >> round(top / height) & 1)


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
    return channels


def _color(value: int) -> str:
    """REAPER's custom colours have bit 24 set and red in the lowest byte (but on macOS)."""
    if not value & 0x1000000:
        return ""
    return f"#{value & 0xFF:02x}{value >> 8 & 0xFF:02x}{value >> 16 & 0xFF:02x}"
