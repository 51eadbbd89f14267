"""A session of any format as a fresh DAWproject, with its audio packed inside.

Positions are written in seconds, so that no tempo rounds them. What DAWproject has no words for is returned,
one line each.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element, SubElement, tostring

from plugin_bridge.audio.files import AudioInfo, read_info
from plugin_bridge.errors import AudioFileError, SessionError
from plugin_bridge.naming import safe_name
from plugin_bridge.sessions.dawproject import archive
from plugin_bridge.sessions.dawproject.automation import (
    ENABLE,
    NORMALIZED,
    in_place_of_faders,
    is_straight,
    points_of,
)
from plugin_bridge.sessions.dawproject.devices import BUILT_IN, FORMATS
from plugin_bridge.sessions.dawproject.reader import read_dawproject
from plugin_bridge.sessions.dawproject.writer import AUDIO, DECLARATION, write_stems_project, written
from plugin_bridge.sessions.fades import nearest_shape
from plugin_bridge.sessions.model import (
    ChannelMode,
    Clip,
    Envelope,
    FadeShape,
    Overlap,
    PanMode,
    Parameter,
    Send,
    Session,
    Tap,
    TempoChange,
    Track,
)
from plugin_bridge.sessions.placed import PlacedStem, Remark
from plugin_bridge.sessions.plain import (
    as_balance,
    behind_the_pan,
    fades_meet,
    is_balanced,
    meet,
    one_frame_later,
)
from plugin_bridge.version import number

VERSION = "1.0"
PARAMETERS = {
    Parameter.VOLUME: ("volume", "linear"),
    Parameter.PAN: ("pan", NORMALIZED),
    Parameter.MUTE: ("mute", ""),
}
"""Of a channel: the end of the element's id, and the unit of its automation."""
SEND_PARAMETERS = PARAMETERS | {Parameter.MUTE: ("enable", ENABLE)}
EXPRESSIONS = {Parameter.VOLUME: "gain", Parameter.PAN: "pan", Parameter.PITCH: "transpose"}
TAGS = {kind: tag for tag, kind in FORMATS.items()}


def write_dawproject(session: Session, out_path: Path) -> list[str]:
    """Write ``session`` as a DAWproject to ``out_path``; returns what could not be said in it, one line each.

    Raises :class:`~plugin_bridge.errors.SessionError` if it cannot be written.
    """
    document = _Document(session)
    with written(out_path.absolute()) as new:
        text = DECLARATION + tostring(document.root, "utf-8")
        new.writestr(archive.PROJECT, text, zipfile.ZIP_DEFLATED)
        new.writestr("metadata.xml", DECLARATION + b"<MetaData/>", zipfile.ZIP_DEFLATED)
        for path, name in document.files.items():
            new.write(path, name, zipfile.ZIP_STORED)
        for name, data in document.states.items():
            new.writestr(name, data, zipfile.ZIP_DEFLATED)
    return document.lost


def write_stems_in_dawproject(
    session: Session, placed: Mapping[str, Sequence[PlacedStem]], out_path: Path, remark: Remark
) -> Path:
    """Write another DAW's ``session`` with its stems as a new DAWproject to ``out_path`` and return that.

    ``placed`` maps track identifiers to the stems made of the track before its fader. What DAWproject has no
    words for is said to ``remark``. Raises :class:`~plugin_bridge.errors.SessionError`.
    """
    with tempfile.TemporaryDirectory(prefix="stembridge-") as folder:
        plain = Path(folder, out_path.name)
        for line in write_dawproject(session, plain):
            remark(line)
        names = {track.identifier: f"t{index}" for index, track in enumerate(session.walk())}
        for identifier in placed:
            if identifier not in names:
                raise SessionError(f"{session.path}: no track {identifier!r} to put stems under")
        inside = {names[identifier]: stems for identifier, stems in placed.items()}
        return write_stems_project(read_dawproject(plain), inside, out_path)


class _Document:
    def __init__(self, session: Session) -> None:
        self.session = session
        self.lost: list[str] = []
        self.files: dict[Path, str] = {}
        self.states: dict[str, bytes] = {}
        self._infos: dict[Path, AudioInfo] = {}
        self._ids = 0
        self._sends: dict[str, list[tuple[Send, str]]] = {}
        """By the tracks that they leave, with their ids."""
        self._plain = {track.identifier: as_balance(track) for track in session.walk()}
        self.ids = {track.identifier: f"t{index}" for index, track in enumerate(session.walk())}
        self.root = Element("Project", version=VERSION)
        SubElement(self.root, "Application", name="Stembridge", version=number())
        self._transport(session.tempo[0])
        structure = SubElement(self.root, "Structure")
        for track in session.tracks:
            structure.append(self._track(track, "master-channel"))
        structure.append(self._master())
        if session.play_rate != 1:
            self.lost.append(f"Project: its play rate of {session.play_rate:g} is not written")
        arrangement = SubElement(self.root, "Arrangement", id="arrangement")
        lanes = SubElement(arrangement, "Lanes", id="lanes", timeUnit="seconds")
        for track in session.walk():
            lanes.append(self._lanes(track))
        self._markers(arrangement)
        self._tempo(arrangement, session.tempo)

    def _id(self) -> str:
        self._ids += 1
        return f"i{self._ids}"

    def _transport(self, first: TempoChange) -> None:
        transport = SubElement(self.root, "Transport")
        SubElement(transport, "Tempo", id="tempo", unit="bpm", value=repr(first.bpm), name="Tempo")
        meter = {"numerator": str(first.numerator), "denominator": str(first.denominator)}
        SubElement(transport, "TimeSignature", meter, id="meter")

    def _track(self, track: Track, destination: str) -> Element:
        identifier = self.ids[track.identifier]
        kinds = ["audio"] * bool(track.clips or not track.children) + ["tracks"] * bool(track.children)
        made = Element("Track", contentType=" ".join(kinds), loaded="true", id=identifier, name=track.name)
        if track.color:
            made.set("color", track.color)
        made.append(self._channel(track, identifier, destination))
        for child in track.children:
            made.append(self._track(child, f"{identifier}-channel"))
        for unsaid, is_there in {
            "its polarity": track.inverted,
            "its trim": track.trim != 1 and not _takes_trim(track),
            "its VCA": bool(track.vcas),
            "which of its channels go where": bool(track.parent_map),
            "the polarity of a send": any(send.inverted for send in track.sends),
            "which channels of a send go where": any(send.channel_map for send in track.sends),
            "its pan law": self._plain[track.identifier] is None,
        }.items():
            if is_there:
                self.lost.append(f"{track.name}: {unsaid} is not written")
        return made

    def _channel(self, track: Track, identifier: str, destination: str) -> Element:
        channel = Element(
            "Channel",
            audioChannels=str(max(1, track.channels)),
            role="effect" if track.is_bus else "regular",
            solo=_bool(track.soloed),
            id=f"{identifier}-channel",
        )
        if track.sends_to_parent:
            channel.set("destination", destination)
        self._devices(channel, track)
        volume, pan = self._fader(track)
        SubElement(channel, "Mute", value=_bool(track.muted), id=f"{identifier}-mute", name="Mute")
        SubElement(channel, "Pan", _pan(pan), id=f"{identifier}-pan", name="Pan")
        sends = [send for send in track.sends if send.target in self.ids]
        if sends:
            parent = SubElement(channel, "Sends")
            for send in (behind_the_pan(track, one) for one in sends):
                if send.tap is Tap.PRE_PAN:
                    self.lost.append(f"{track.name}: a send from before its pan is written before its fader")
                kind = "post" if send.tap is Tap.POST_FADER else "pre"
                target, name = f"{self.ids[send.target]}-channel", self._id()
                element = SubElement(parent, "Send", destination=target, type=kind, id=name)
                SubElement(element, "Enable", value=_bool(not send.muted), id=f"{name}-enable")
                SubElement(element, "Pan", _pan(send.pan), id=f"{name}-pan")
                volume_of = {"unit": "linear", "value": repr(send.gain)}
                SubElement(element, "Volume", volume_of, id=f"{name}-volume")
                self._sends.setdefault(track.identifier, []).append((send, name))
        SubElement(
            channel,
            "Volume",
            unit="linear",
            value=repr(volume),
            id=f"{identifier}-volume",
            name="Volume",
        )
        return channel

    def _fader(self, track: Track) -> tuple[float, float]:
        """The volume and the pan that are written."""
        volume, pan = self._plain[track.identifier] or (track.volume, track.pan)
        return volume * (track.trim if _takes_trim(track) else 1.0), pan

    def _devices(self, channel: Element, track: Track) -> None:
        known = [plugin for plugin in track.chain if plugin.format in TAGS]
        self.lost += [
            f"{track.name}: plug-in {plugin.name} is not written"
            for plugin in track.chain
            if plugin.format not in TAGS and plugin.format != BUILT_IN
        ]
        if not known:
            return
        devices = SubElement(channel, "Devices")
        for plugin in known:
            element = SubElement(
                devices,
                TAGS[plugin.format],
                deviceID=plugin.identifier,
                deviceName=plugin.name,
                deviceRole="audioFX",
                id=self._id(),
            )
            SubElement(element, "Enabled", value=_bool(not plugin.bypassed), id=self._id())
            if plugin.preset:
                name = f"plugins/{self._id()}.vstpreset"
                self.states[name] = plugin.preset
                SubElement(element, "State", path=name)

    def _master(self) -> Element:
        session = self.session
        if not is_balanced(session):
            self.lost.append(f"Master: its {session.master_pan_mode.value} is written as a balance")
        self.lost += [f"Master: plug-in {plugin.name} is not written" for plugin in session.master_chain]
        made = Element("Track", contentType="audio", loaded="true", id="master", name="Master")
        channel = SubElement(made, "Channel", audioChannels="2", role="master", id="master-channel")
        SubElement(channel, "Mute", value=_bool(session.master_muted), id="master-mute")
        SubElement(channel, "Pan", _pan(session.master_pan), id="master-pan")
        SubElement(channel, "Volume", unit="linear", value=repr(session.master_volume), id="master-volume")
        return made

    def _lanes(self, track: Track) -> Element:
        identifier = self.ids[track.identifier]
        lanes = Element("Lanes", track=identifier, id=self._id())
        clips = SubElement(lanes, "Clips", id=self._id())
        if any(clip.overlap is not Overlap.MIX for clip in track.clips) and meet(track.clips):
            self.lost.append(f"{track.name}: its clips that overlap are written as mixed")
        for clip in track.clips:
            if (made := self._clip(track, clip)) is not None:
                clips.append(made)
        volume, pan = self._fader(track)
        law, _ = as_balance(replace(track, volume=1.0)) or (1.0, 0.0)
        kept, lost = in_place_of_faders(track.envelopes, volume, pan, track.muted, law)
        self.lost += [f"{track.name}: its automation of {one.value} is not written" for one in lost]
        for envelope in kept:
            name, unit = PARAMETERS[envelope.parameter]
            if envelope.parameter is Parameter.PAN and not _is_plain(track):
                self.lost.append(f"{track.name}: its automation moves without its pan law")
            lanes.append(self._points(track, envelope, {"parameter": f"{identifier}-{name}"}, unit=unit))
        for send, name in self._sends.get(track.identifier, ()):
            kept, lost = in_place_of_faders(send.envelopes, send.gain, send.pan, send.muted)
            self.lost += [f"{track.name}: a send's automation of {one.value} is not written" for one in lost]
            for envelope in kept:
                part, unit = SEND_PARAMETERS[envelope.parameter]
                lanes.append(self._points(track, envelope, {"parameter": f"{name}-{part}"}, unit=unit))
        if track.notes:
            self.lost.append(f"{track.name}: its notes are not written")
        return lanes

    def _clip(self, track: Track, clip: Clip) -> Element | None:
        info = self._info(track, clip)
        if info is None:
            return None
        for unsaid in _unsaid(clip):
            self.lost.append(f"{track.name}: {clip.name or clip.source.name}: {unsaid} is not written")
        seconds = info.frames / info.sample_rate
        clip = one_frame_later(clip, self.session.sample_rate)
        made = Element(
            "Clip",
            time=repr(clip.position),
            duration=repr(clip.length),
            contentTimeUnit="seconds",
            fadeTimeUnit="seconds",
            enable=_bool(not clip.muted),
            name=clip.name,
        )
        for name, fade in (("fadeInTime", clip.fade_in), ("fadeOutTime", clip.fade_out)):
            if fade.seconds:
                made.set(name, repr(fade.seconds))
        offset = (clip.section_start + clip.offset) / clip.rate
        made.set("playStart", repr(offset))
        section = min(clip.section_length or seconds, seconds - clip.section_start)
        if clip.loop:
            start, length = clip.section_start / clip.rate, section / clip.rate
            made.set("playStart", repr(start + (offset - start) % length if length > 0 else start))
            made.set("loopStart", repr(start))
            made.set("loopEnd", repr(start + length))
        elif clip.section_length is not None:
            made.set("playStop", repr((clip.section_start + section) / clip.rate))
        content = self._audio(clip, info, seconds)
        lanes = self._clip_points(track, clip)
        if lanes is None:
            made.append(content)
        else:
            lanes.append(content)
            made.append(lanes)
        return made

    def _audio(self, clip: Clip, info: AudioInfo, seconds: float) -> Element:
        audio = Element(
            "Audio",
            channels=str(info.channels),
            sampleRate=str(info.sample_rate),
            duration=repr(seconds),
            algorithm="stretch" if clip.keep_pitch else "repitch" if clip.rate != 1 else "raw",
            id=self._id(),
        )
        SubElement(audio, "File", path=self.files[clip.source])
        if clip.rate == 1 and not clip.stretch:
            return audio
        warps = Element("Warps", contentTimeUnit="seconds", timeUnit="seconds", id=self._id())
        warps.append(audio)
        base = (clip.section_start + clip.offset) / clip.rate
        marks = [(base + mark.seconds, clip.section_start + mark.source) for mark in clip.stretch]
        for time, content in marks or [(0.0, 0.0), (seconds / clip.rate, seconds)]:
            SubElement(warps, "Warp", time=repr(time), contentTime=repr(content))
        return warps

    def _clip_points(self, track: Track, clip: Clip) -> Element | None:
        """Gain, pan and envelopes of a clip, which DAWproject has as automation inside it."""
        start = (clip.section_start + clip.offset) / clip.rate
        found: list[Element] = []
        for expression, value, neutral in (("gain", clip.gain, 1.0), ("pan", clip.pan, 0.0)):
            if value != neutral and value >= -1:
                points = Element("Points", unit="linear", id=self._id())
                SubElement(points, "Target", expression=expression)
                SubElement(points, "RealPoint", time=repr(start), value=repr(value))
                found.append(points)
        for envelope in clip.envelopes:
            if (expression := EXPRESSIONS.get(envelope.parameter, "")) and envelope.relative:
                found.append(self._points(track, envelope, {"expression": expression}, start))
            else:
                self.lost.append(
                    f"{track.name}: a clip's envelope of {envelope.parameter.value} is not written"
                )
        if not found:
            return None
        lanes = Element("Lanes", timeUnit="seconds", id=self._id())
        lanes.extend(found)
        return lanes

    def _points(
        self,
        track: Track,
        envelope: Envelope,
        target: dict[str, str],
        offset: float = 0.0,
        unit: str = "linear",
    ) -> Element:
        if not is_straight(envelope):
            self.lost.append(
                f"{track.name}: an envelope of {envelope.parameter.value} is written in straight lines"
            )
        return points_of(envelope, target, self._id(), offset, unit)

    def _info(self, track: Track, clip: Clip) -> AudioInfo | None:
        """What the clip's file is, which is packed; None with a line if it cannot be."""
        problem = clip.problem
        if clip.material is not None or clip.session is not None or clip.channels:
            problem = problem or f"{clip.name or clip.source.name} is no file"
        if not problem and clip.source not in self._infos:
            try:
                self._infos[clip.source] = read_info(clip.source)
                self.files[clip.source] = _name(clip.source, self.files.values())
            except AudioFileError as error:
                problem = str(error)
        if problem:
            self.lost.append(f"{track.name}: a clip is not written: {problem}")
            return None
        return self._infos[clip.source]

    def _markers(self, arrangement: Element) -> None:
        if self.session.markers:
            markers = SubElement(arrangement, "Markers", timeUnit="seconds", id=self._id())
            for marker in self.session.markers:
                SubElement(markers, "Marker", time=repr(marker.seconds), name=marker.name)

    def _tempo(self, arrangement: Element, changes: list[TempoChange]) -> None:
        if len(changes) < 2:
            return
        tempo = SubElement(arrangement, "TempoAutomation", unit="bpm", timeUnit="seconds", id=self._id())
        SubElement(tempo, "Target", parameter="tempo")
        for change in changes:
            shape = "linear" if change.ramp else "hold"
            SubElement(
                tempo, "RealPoint", time=repr(change.seconds), value=repr(change.bpm), interpolation=shape
            )
        meters = SubElement(arrangement, "TimeSignatureAutomation", timeUnit="seconds", id=self._id())
        SubElement(meters, "Target", parameter="meter")
        for change in changes:
            meter = {"numerator": str(change.numerator), "denominator": str(change.denominator)}
            SubElement(meters, "TimeSignaturePoint", meter, time=repr(change.seconds))


def _is_plain(track: Track) -> bool:
    """Whether a balance without a pan law is what the track has."""
    return track.pan_mode is PanMode.BALANCE and track.pan_law == 1


def _takes_trim(track: Track) -> bool:
    """Whether the fader can do the trim's work: nothing leaves before it, and nothing moves it."""
    moves = any(one.parameter is Parameter.VOLUME for one in track.envelopes)
    leaves = (behind_the_pan(track, send).tap for send in track.sends)
    return not moves and all(tap is Tap.POST_FADER for tap in leaves)


def _bool(value: bool) -> str:
    return "true" if value else "false"


def _pan(value: float) -> dict[str, str]:
    return {"unit": "normalized", "value": repr((value + 1) / 2), "min": "0.0", "max": "1.0"}


def _name(path: Path, taken: Iterable[str]) -> str:
    """The name inside the archive of a file, which no other has in any case."""
    known = {name.casefold() for name in taken}
    stem, number = safe_name(path.stem) or "audio", 1
    while True:
        name = str(PurePosixPath(AUDIO, f"{stem}{f' {number}' if number > 1 else ''}{path.suffix}"))
        if name.casefold() not in known:
            return name
        number += 1


def _unsaid(clip: Clip) -> Iterator[str]:
    """What of a clip DAWproject has no words for."""
    if clip.reversed:
        yield "that it runs backwards"
    if clip.channel_mode is not ChannelMode.ALL:
        yield f"its channel mode ({clip.channel_mode.value})"
    if clip.pitch:
        yield "its pitch shift"
    if clip.gain < 0:
        yield "its polarity"
    if fades_meet(clip):
        yield "how its fades overlap"
    shapes = {nearest_shape(fade).shape for fade in (clip.fade_in, clip.fade_out) if fade.seconds}
    if shapes - {FadeShape.LINEAR}:
        yield "the shape of its fades"
    if any(mark.slope for mark in clip.stretch):
        yield "that its stretch rises"
