"""Reads DAWproject files (``.dawproject``) of Bitwig, Studio One, Cubase and others into a session.

What the format leaves open is played as it is elsewhere here: pans are 0 dB balance, overlapping clips are
mixed, fades are linear.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import Element

from plugin_bridge.errors import SessionError
from plugin_bridge.sessions.beats import Frame
from plugin_bridge.sessions.dawproject import archive, values
from plugin_bridge.sessions.dawproject.clips import ClipReader, note
from plugin_bridge.sessions.dawproject.content import Layout, frame_of
from plugin_bridge.sessions.dawproject.devices import DeviceReader
from plugin_bridge.sessions.dawproject.folders import strip_of
from plugin_bridge.sessions.dawproject.schema import problems
from plugin_bridge.sessions.dawproject.tempo import read_tempo, root_unit
from plugin_bridge.sessions.model import (
    Envelope,
    Marker,
    Parameter,
    Send,
    Session,
    Tap,
    Track,
)
from plugin_bridge.sessions.sources import MediaFolders
from plugin_bridge.sessions.xml import number, parse_xml, switch, whole

DEFAULT_SAMPLE_RATE = 44100
SAMPLE_RATES = (1000, 768000)
MAX_FOLDERS = 64
MOST_CHANNELS = 128
MOST_PROBLEMS = 5
"""So many places where the file is not as DAWproject says are listed; the rest is counted."""
AUTOMATED = {
    "Volume": Parameter.VOLUME,
    "Pan": Parameter.PAN,
    "Mute": Parameter.MUTE,
    "Enable": Parameter.MUTE,
}
"""Of channels and sends."""


def read_dawproject(path: Path, media_roots: Sequence[Path] = ()) -> Session:
    """Read the DAWproject at ``path``. Raises :class:`SessionError` if it is damaged.

    Audio inside it is read from there; other audio is looked for in its folder and ``media_roots`` only.
    """
    with archive.opened(path) as packed:
        with closing(archive.blocks(packed, archive.PROJECT)) as blocks:
            root = parse_xml(blocks, path)
        if root.tag != "Project":
            raise SessionError(f"{path}: not a DAWproject (its {archive.PROJECT} holds <{root.tag:.80}>)")
        try:
            members = {info.filename: info for info in packed.infolist()}
            clips = ClipReader(path, members, MediaFolders(path.parent, media_roots))
            return _ProjectReader(path, root, clips, DeviceReader(packed)).session
        except SessionError as error:
            raise SessionError(f"{path}: {error}") from error


class _ProjectReader:
    def __init__(self, path: Path, root: Element, clips: ClipReader, devices: DeviceReader) -> None:
        self.root = root
        self.clips = clips
        self.devices = devices
        self.remarks: Counter[str] = Counter()
        self.by_id = {element.attrib["id"]: element for element in root.iter() if "id" in element.attrib}
        self.tracks: dict[str, Track] = {}
        """By the ids of their elements."""
        self.channels: dict[str, Track | None] = {}
        """Whose strip a channel's id means; None for the master."""
        self.parameters: dict[str, tuple[list[Envelope], Parameter, str]] = {}
        """Where a parameter's automation goes, what it moves, and its unit."""
        self.moved_sends: list[tuple[Track, int, list[Envelope]]] = []
        """Sends by their number on their track, and what automation moves of them."""
        self.session = Session(path, "dawproject", self._sample_rate())
        self._say_problems()
        self.clock, meters = read_tempo(root)
        self.session.tempo = self.clock.changes(meters)
        self.layout = Layout(self.by_id, lambda text: self._remark("Project", text))
        self._read_structure()
        self._read_arrangement()
        for track, index, envelopes in self.moved_sends:
            is_switched = any(one.parameter is Parameter.MUTE for one in envelopes)
            send = track.sends[index]
            muted = send.muted and not is_switched
            track.sends[index] = replace(send, envelopes=tuple(envelopes), muted=muted)
        self.session.not_honoured = [
            text if count == 1 else f"{text} ({count} times)" for text, count in self.remarks.items()
        ]

    def _remark(self, where: str, text: str) -> None:
        self.remarks[f"{where}: {text}"] += 1

    def _say_problems(self) -> None:
        for index, line in enumerate(problems(self.root)):
            if index == MOST_PROBLEMS:
                self._remark("Project", "it differs from DAWproject 1.0 in more places")
                break
            self._remark("Project", f"not as DAWproject 1.0 says: {line}")

    def _sample_rate(self) -> int:
        """The rate that most audio has; the format tells none of the project."""
        rates = Counter(whole(audio, "sampleRate") for audio in self.root.iter("Audio"))
        known = {rate: count for rate, count in rates.items() if SAMPLE_RATES[0] <= rate <= SAMPLE_RATES[1]}
        return max(known, key=lambda rate: (known[rate], rate), default=DEFAULT_SAMPLE_RATE)

    def _read_structure(self) -> None:
        structure = self.root.find("Structure")
        if structure is None:
            return
        destinations: list[tuple[Track, Element, Track | None]] = []
        seen = Counter[str]()
        for element in structure:
            if element.tag == "Track":
                if (track := self._track(element, None, destinations, seen, 0)) is not None:
                    self.session.tracks.append(track)
            elif element.tag == "Channel":
                self._lone_channel(element, destinations)
        for track, channel, parent in destinations:
            self._route(track, channel, parent)

    def _track(
        self,
        element: Element,
        parent: Track | None,
        destinations: list[tuple[Track, Element, Track | None]],
        seen: Counter[str],
        depth: int,
    ) -> Track | None:
        """The track; None for the master, which is no track of a session."""
        if depth > MAX_FOLDERS:
            raise SessionError(f"folders nested deeper than {MAX_FOLDERS}")
        channel, leader = strip_of(element)
        inner = [one for one in element.iterfind("Track") if one is not leader]
        is_master = channel is not None and channel.get("role") == "master"
        if is_master and parent is None and not inner and channel is not None:
            self._read_master(channel, element.get("name") or "Master")
            return None
        seen["tracks"] += 1
        identifier = element.get("id") or f"track {seen['tracks']}"
        track = Track(element.get("name") or f"Track {seen['tracks']}", identifier=identifier)
        track.color = _color(element.get("color", ""))
        self.tracks[identifier] = track
        if leader is not None:
            self.tracks[leader.get("id", identifier)] = track
        if channel is not None:
            self._strip(track, channel)
            track.muted = track.muted or not switch(element, "loaded", True)
            destinations.append((track, channel, parent))
        for child in inner:
            if (made := self._track(child, track, destinations, seen, depth + 1)) is not None:
                track.children.append(made)
        return track

    def _lone_channel(
        self, channel: Element, destinations: list[tuple[Track, Element, Track | None]]
    ) -> None:
        if channel.get("role") == "master":
            self._read_master(channel, channel.get("name") or "Master")
            return
        track = Track(channel.get("name") or "Channel", identifier=channel.get("id", "channel"), is_bus=True)
        self._strip(track, channel)
        destinations.append((track, channel, None))
        self.session.tracks.append(track)

    def _read_master(self, channel: Element, name: str) -> None:
        session = self.session
        session.master_volume = values.real(channel.find("Volume"), 1.0, values.gain)
        session.master_pan = values.real(channel.find("Pan"), 0.0, values.pan)
        session.master_muted = values.boolean(channel.find("Mute"), False)
        self.channels[channel.get("id", "")] = None
        self._automatable(channel, session.master_envelopes)
        session.master_chain = self.devices.read(channel, lambda text: self._remark("Master", text))
        for plugin in session.master_chain:
            if not plugin.bypassed:
                self._remark("Master", f"plug-in {plugin.name} is left out")

    def _strip(self, track: Track, channel: Element) -> None:
        track.volume = values.real(channel.find("Volume"), 1.0, values.gain)
        track.pan = values.real(channel.find("Pan"), 0.0, values.pan)
        track.muted = values.boolean(channel.find("Mute"), False)
        track.soloed = switch(channel, "solo")
        track.channels = min(MOST_CHANNELS, max(1, whole(channel, "audioChannels", 2)))
        track.is_bus = channel.get("role") in ("effect", "submix")
        if channel.get("role") == "vca":
            self._remark(track.name, "a VCA fader moves nothing")
        track.chain = self.devices.read(channel, lambda text: self._remark(track.name, text))
        track.plugins = [plugin.name for plugin in track.chain if not plugin.bypassed]
        for name in track.plugins:
            self._remark(track.name, f"plug-in {name} is left out")
        self.channels[channel.get("id", "")] = track
        self._automatable(channel, track.envelopes)

    def _automatable(self, holder: Element, envelopes: list[Envelope]) -> None:
        """What moves the parameters of a channel or a send goes to ``envelopes``."""
        for tag, parameter in AUTOMATED.items():
            element = holder.find(tag)
            if element is not None and (identifier := element.get("id")):
                unit = element.get("unit", "normalized" if tag == "Pan" else "linear")
                self.parameters[identifier] = (envelopes, parameter, unit)

    def _route(self, track: Track, channel: Element, parent: Track | None) -> None:
        """Where a strip's output goes beside, or instead of, to the folder around it."""
        destination = channel.get("destination")
        target = self.channels.get(destination or "", parent)
        if (
            destination in self.channels
            and target is None
            and parent is not None
            and _has_strip(self.root, parent)
        ):
            parent.children[:] = [one for one in parent.children if one is not track]
            self.session.tracks.append(track)
            self.session.notes.append(
                f"{track.name}: it passes by its folder {parent.name}, and stands outside"
            )
        if target is not None and target is not parent:
            if target is track:
                self._remark(track.name, "its output into itself is left out")
            else:
                track.sends_to_parent = False
                track.sends.append(Send(target.identifier))
        for element in channel.iterfind("Sends/Send"):
            receiver = self.channels.get(element.get("destination", ""))
            volume, muted = element.find("Volume"), not values.boolean(element.find("Enable"), True)
            gain = values.real(volume, 1.0, values.gain)
            if receiver is None or receiver is track:
                if not muted and gain:
                    self._remark(track.name, "a send to nothing is left out")
                continue
            envelopes: list[Envelope] = []
            self._automatable(element, envelopes)
            self.moved_sends.append((track, len(track.sends), envelopes))
            track.sends.append(
                Send(
                    receiver.identifier,
                    gain,
                    values.real(element.find("Pan"), 0.0, values.pan),
                    tap=Tap.PRE_FADER if element.get("type") == "pre" else Tap.POST_FADER,
                    muted=muted,
                )
            )

    def _read_arrangement(self) -> None:
        arrangement = self.root.find("Arrangement")
        if arrangement is not None:
            frame = Frame(self.clock, "beats")
            for lanes in arrangement.iterfind("Lanes"):
                self._lanes(lanes, frame, None, 0)
            for markers in arrangement.iterfind("Markers"):
                self._markers(markers, Frame(self.clock, root_unit(self.root)))
        if any(True for _ in self.root.iterfind("Scenes/Scene//Clip")):
            self._remark("Project", "clips of the launcher (scenes) are left out; the arrangement is read")
        self.session.markers.sort(key=lambda marker: marker.seconds)

    def _lanes(self, element: Element, frame: Frame, track: Track | None, depth: int) -> None:
        if depth > MAX_FOLDERS:
            raise SessionError(f"lanes nested deeper than {MAX_FOLDERS}")
        if (identifier := element.get("track")) is not None:
            track = self.tracks.get(identifier)
            if track is None and identifier in self.by_id:
                channel = self.by_id[identifier].find("Channel")
                if channel is None or channel.get("role") != "master":
                    self._remark("Project", f"lanes of {identifier!r:.80}, which is no track, are left out")
        frame = frame_of(element, frame)
        match element.tag:
            case "Lanes":
                for child in element:
                    self._lanes(child, frame, track, depth + 1)
            case "Points":
                self._points(element, frame)
            case "markers":
                self._markers(element, frame)
            case "Clips" | "Notes" | "Audio" | "Warps" if track is not None:
                self._content(element, frame, track)

    def _content(self, element: Element, frame: Frame, track: Track) -> None:
        def remark(text: str) -> None:
            self._remark(track.name, text)

        self.layout.remark = remark
        for part in self.layout.parts(element, frame):
            if part.content.tag == "Note":
                if (made := note(part)) is not None:
                    track.notes.append(made)
                    if len(track.notes) == 1:
                        remark("notes are not played")
            elif (clip := self.clips.clip(part, remark)) is not None:
                track.clips.append(clip)
                if clip.problem and not clip.muted:
                    remark(clip.problem)

    def _points(self, element: Element, frame: Frame) -> None:
        target = element.find("Target")
        wanted = target.get("parameter", "") if target is not None else ""
        if wanted not in self.parameters:
            if wanted and len(element) > 1:
                self._remark("Project", "automation of plug-ins is left out")
            return
        envelopes, parameter, unit = self.parameters[wanted]
        unit = element.get("unit", unit)
        found = values.envelope(element, parameter, unit, frame.seconds, relative=False)
        if found is not None:
            if self.by_id[wanted].tag == "Enable":  # a switch that is on where a mute is off
                points = tuple(replace(point, value=1 - point.value) for point in found.points)
                found = replace(found, points=points)
            envelopes.append(found)

    def _markers(self, element: Element, frame: Frame) -> None:
        frame = frame_of(element, frame)
        for marker in element.iterfind("Marker"):
            self.session.markers.append(Marker(frame.seconds(number(marker, "time")), marker.get("name", "")))


def _has_strip(root: Element, track: Track) -> bool:
    return any(
        element.get("id") == track.identifier and strip_of(element)[0] is not None
        for element in root.iter("Track")
    )


def _color(text: str) -> str:
    """``#rrggbb``; what comes with an opacity loses that."""
    return text[:7].lower() if re.fullmatch(r"#[0-9A-Fa-f]{6}([0-9A-Fa-f]{2})?", text) else ""
