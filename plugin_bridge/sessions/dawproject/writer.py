"""Writes stems back as a new DAWproject beside the user's: originals muted, stems behind them.

The user's file is copied member by member, and in its XML only what must differ is changed or added; a stem
takes over its track's channel: fader, pan, destination, sends, plug-ins with their states, automation.
"""

from __future__ import annotations

import copy
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element, tostring

from plugin_bridge.audio.files import read_info
from plugin_bridge.errors import SessionError
from plugin_bridge.naming import relative_name, safe_name
from plugin_bridge.sessions.beats import BeatClock
from plugin_bridge.sessions.dawproject import archive
from plugin_bridge.sessions.dawproject.folders import strip_of
from plugin_bridge.sessions.dawproject.tempo import read_tempo, root_unit
from plugin_bridge.sessions.model import Session
from plugin_bridge.sessions.placed import PlacedStem
from plugin_bridge.sessions.xml import parse_xml
from separators.atomic import put_in_place, temporary_beside

CHANNEL_PARTS = ("Devices", "Mute", "Pan", "Sends", "Volume")
"""In the order of the schema."""
DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>\n'
AUDIO = "audio"
"""The folder for audio inside the archive."""


def write_stems_project(session: Session, placed: Mapping[str, Sequence[PlacedStem]], out_path: Path) -> Path:
    """Write the DAWproject ``session`` with its stems to ``out_path`` and return that.

    ``placed`` maps track identifiers to the stems made of the track before its fader. The stems' files are
    packed inside. Raises :class:`SessionError` if an identifier is unknown or nothing can be written.
    """
    out_path = out_path.absolute()
    if out_path.resolve() == session.path.resolve():
        raise SessionError(f"{out_path}: is the session itself, which is never written to")
    with archive.opened(session.path) as packed:
        with closing(archive.blocks(packed, archive.PROJECT)) as blocks:
            root = parse_xml(blocks, session.path, keep_comments=True)
        edit = _Edit(root, set(packed.namelist()))
        _move_external(root, session.path.resolve().parent, out_path.parent.resolve())
        for identifier, stems in placed.items():
            if identifier not in edit.tracks:
                raise SessionError(f"{session.path}: no track {identifier!r} to put stems under")
            edit.replace(identifier, stems)
        with written(out_path) as new:
            _copy(packed, new, session.path)
            new.writestr(archive.PROJECT, DECLARATION + tostring(root, "utf-8"), zipfile.ZIP_DEFLATED)
            for name, path in edit.files.items():
                new.write(path, name, zipfile.ZIP_STORED)
    return out_path


@contextmanager
def written(out_path: Path) -> Iterator[zipfile.ZipFile]:
    """A new archive, which appears at ``out_path`` when it is whole."""
    temporary = temporary_beside(out_path)
    try:
        with zipfile.ZipFile(temporary, "x") as new:
            yield new
        put_in_place(temporary, out_path)
    except OSError as error:
        raise SessionError(
            f"{out_path}: cannot be written: {(error.strerror or str(error)).lower()}"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _copy(packed: zipfile.ZipFile, new: zipfile.ZipFile, path: Path) -> None:
    """All members but the project; those that are bombs are no audio and stay behind."""
    for info in packed.infolist():
        if info.filename == archive.PROJECT or info.is_dir() or archive.Member(path, "").problem(info):
            continue
        try:
            with packed.open(info) as source, new.open(_fresh(info), "w", force_zip64=True) as target:
                archive.copy(source, target, info.file_size)
        except archive.ERRORS as error:
            raise SessionError(f"{path}: {info.filename} cannot be unpacked: {error}") from error


def _move_external(root: Element, old: Path, new: Path) -> None:
    """Relative names of files outside the archive count from its folder, which is another one now."""
    if old == new:
        return
    for file in root.iter("File"):
        name = file.get("path", "")
        if file.get("external") in ("true", "1") and not Path(name).is_absolute():
            file.set("path", relative_name(old / name.replace("\\", "/"), new))


def _fresh(info: zipfile.ZipInfo) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(info.filename, info.date_time)
    made.compress_type = info.compress_type
    return made


class _Edit:
    """A project's XML while stems are put into it."""

    def __init__(self, root: Element, taken: set[str]) -> None:
        self.root = root
        self.unit = root_unit(root)
        self.clock: BeatClock = read_tempo(root)[0]
        self.files: dict[str, Path] = {}
        """Names inside the archive, and what is packed under them."""
        self.parents = {child: parent for parent in root.iter() for child in parent}
        self.tracks = dict(track_elements(root))
        self._taken = {name.casefold() for name in taken}
        self._ids = {element.attrib["id"] for element in root.iter() if "id" in element.attrib}

    def replace(self, identifier: str, stems: Sequence[PlacedStem]) -> None:
        """Mute a track and put its stems behind it."""
        track = self.tracks[identifier]
        channel, _ = strip_of(track)
        template = copy.deepcopy(channel) if channel is not None else Element("Channel", role="regular")
        self._silence(track, channel)
        parent = self.parents[track]
        place = list(parent).index(track) + 1
        lanes = self._lanes()
        own = next((one for one in lanes if one.get("track") == track.get("id")), None)
        after = list(lanes).index(own) + 1 if own is not None else len(lanes)
        for index, stem in enumerate(stems):
            made, renamed = self._track(track, template, stem)
            parent.insert(place + index, made)
            self.parents[made] = parent
            lanes.insert(after + index, self._content(made, stem, renamed))

    def _silence(self, track: Element, channel: Element | None) -> None:
        """Mute what the stems were made of, but never what others send into it."""
        family = {one for inner in track.iter("Track") for one in inner.iterfind("Channel")}
        if channel is None or not self._receives(channel, family):
            if channel is None:
                channel = Element("Channel", role="regular", id=self._new_id("channel"))
                track.insert(0, channel)
            self._mute(channel, True)
            channel.set("solo", "false")
            return
        for inner in family - {channel}:
            self._mute(inner, True)
        for lanes in self.root.iter():
            if lanes.get("track") == track.get("id"):
                for clip in lanes.iterfind(".//Clip"):
                    clip.set("enable", "false")

    def _receives(self, channel: Element, family: set[Element]) -> bool:
        """Whether a channel outside the track feeds ``channel``."""
        identifier = channel.get("id")
        return identifier is not None and any(
            identifier
            in (other.get("destination"), *(send.get("destination") for send in other.iter("Send")))
            for other in self.root.iter("Channel")
            if other not in family
        )

    def _mute(self, channel: Element, muted: bool) -> None:
        mute = channel.find("Mute")
        if mute is None:
            mute = Element("Mute", id=self._new_id("mute"))
            before = CHANNEL_PARTS[: CHANNEL_PARTS.index("Mute")]
            channel.insert(sum(child.tag in before for child in channel), mute)
        mute.set("value", "true" if muted else "false")

    def _track(self, source: Element, template: Element, stem: PlacedStem) -> tuple[Element, dict[str, str]]:
        """A stem's track, and which new id its channel's parts have for the old ones."""
        name = f"{source.get('name', '')} {stem.name}".strip()
        made = Element("Track", contentType="audio", loaded="true", id=self._new_id("stem"), name=name)
        if color := source.get("color"):
            made.set("color", color)
        channel = copy.deepcopy(template)
        renamed: dict[str, str] = {}
        for element in channel.iter():
            if (old := element.get("id")) is not None:
                renamed[old] = self._new_id(old)
                element.set("id", renamed[old])
        channel.attrib.setdefault("id", self._new_id("channel"))
        channel.set("role", "regular")
        if stem.muted:
            self._mute(channel, True)
            channel.set("solo", "false")
        made.append(channel)
        return made, renamed

    def _content(self, track: Element, stem: PlacedStem, renamed: Mapping[str, str]) -> Element:
        lanes = Element("Lanes", track=track.attrib["id"], id=self._new_id("lanes"), timeUnit=self.unit)
        clips = Element("Clips", id=self._new_id("clips"))
        clips.append(self._clip(track, stem))
        lanes.append(clips)
        for points in list(self.root.iter("Points")):
            target = points.find("Target")
            if target is not None and target.get("parameter") in renamed:
                moved = copy.deepcopy(points)
                moved.attrib.pop("track", None)
                moved.set("id", self._new_id("points"))
                moved.set("timeUnit", self._inherited_unit(points))
                for copied in moved.iterfind("Target"):
                    copied.set("parameter", renamed[copied.get("parameter", "")])
                lanes.append(moved)
        return lanes

    def _clip(self, track: Element, stem: PlacedStem) -> Element:
        info = read_info(stem.path)
        start, end = stem.position_seconds, stem.position_seconds + stem.length_seconds
        if self.unit == "beats":
            start, end = self.clock.beats(start), self.clock.beats(end)
        clip = Element(
            "Clip", time=repr(start), duration=repr(end - start), contentTimeUnit="seconds", playStart="0.0",
            name=track.get("name", ""),
        )  # fmt: skip
        audio = Element(
            "Audio", channels=str(info.channels), sampleRate=str(info.sample_rate),
            duration=repr(info.frames / info.sample_rate), algorithm="raw", id=self._new_id("audio"),
        )  # fmt: skip
        audio.append(Element("File", path=self._pack(track.get("name", ""), stem.path)))
        if stem.gain == 1:
            clip.append(audio)
            return clip
        inner = Element("Lanes", timeUnit="seconds", id=self._new_id("lanes"))
        points = Element("Points", unit="linear", id=self._new_id("points"))
        points.append(Element("Target", expression="gain"))
        points.append(Element("RealPoint", time="0.0", value=repr(stem.gain)))
        inner.extend([points, audio])
        clip.append(inner)
        return clip

    def _pack(self, name: str, path: Path) -> str:
        """The name inside the archive of the stem's file."""
        stem, number = safe_name(name) or "stem", 1
        while True:
            packed = str(PurePosixPath(AUDIO, f"{stem}{f' {number}' if number > 1 else ''}{path.suffix}"))
            if packed.casefold() not in self._taken:
                self._taken.add(packed.casefold())
                self.files[packed] = path
                return packed
            number += 1

    def _lanes(self) -> Element:
        """The arrangement's lanes, made if there are none."""
        arrangement = self.root.find("Arrangement")
        if arrangement is None:
            arrangement = Element("Arrangement", id=self._new_id("arrangement"))
            scenes = self.root.find("Scenes")
            place = list(self.root).index(scenes) if scenes is not None else len(self.root)
            self.root.insert(place, arrangement)
        lanes = arrangement.find("Lanes")
        if lanes is None:
            lanes = Element("Lanes", timeUnit=self.unit, id=self._new_id("lanes"))
            arrangement.insert(0, lanes)
        return lanes

    def _inherited_unit(self, element: Element) -> str:
        while True:
            if (unit := element.get("timeUnit")) is not None:
                return unit
            if element not in self.parents:
                return "beats"
            element = self.parents[element]

    def _new_id(self, near: str) -> str:
        number = 1
        while f"{near}-{number}" in self._ids:
            number += 1
        self._ids.add(f"{near}-{number}")
        return f"{near}-{number}"


def track_elements(root: Element) -> Iterator[tuple[str, Element]]:
    """Each track's identifier, as :func:`.reader.read_dawproject` gives it, and its element."""
    number = 0
    structure = root.find("Structure")
    leaders: set[Element] = set()
    for element in structure.iter("Track") if structure is not None else ():
        if (leader := strip_of(element)[1]) is not None:
            leaders.add(leader)
        if element in leaders:
            continue
        channel = element.find("Channel")
        is_top = element in list(structure) if structure is not None else False
        if (
            channel is not None
            and channel.get("role") == "master"
            and is_top
            and element.find("Track") is None
        ):
            continue
        number += 1
        yield element.get("id") or f"track {number}", element
