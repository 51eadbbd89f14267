"""Reads Ardour sessions (``.ardour``) of versions 3 to 8: tracks, buses, regions, strips, sends, VCAs.

A bus stands in the model as a track whose children are what goes into it, so that whatever goes into one bus
only is mixed there. What goes to several is sent. Times are seconds on Ardour's own timeline.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import Element

from plugin_bridge.errors import SessionError
from plugin_bridge.sessions.ardour.fields import (
    NEWEST,
    OLDEST,
    ROLES,
    USUAL_PANNERS,
    USUAL_PANNERS_BEFORE_6,
)
from plugin_bridge.sessions.ardour.midi import MidiReader
from plugin_bridge.sessions.ardour.regions import MOST_CHANNELS, RegionReader, is_true
from plugin_bridge.sessions.ardour.routing import Connection, Routing, audio_ports
from plugin_bridge.sessions.ardour.sources import Sources
from plugin_bridge.sessions.ardour.strips import controllable, read_strip
from plugin_bridge.sessions.ardour.times import clock_of, number
from plugin_bridge.sessions.ardour.vcas import Vcas
from plugin_bridge.sessions.model import ChannelMap, Marker, PanMode, Send, Session, Track
from plugin_bridge.sessions.sources import MediaFolders
from plugin_bridge.sessions.xml import read_xml

SAMPLE_RATES = (1000, 768000)
MAX_DEPTH = 64
"""Of buses that go into buses."""
MOST_ROUTES = 10_000
SESSION_RANGE = "session"


def read_ardour(path: Path, media_roots: Sequence[Path] = ()) -> Session:
    """Read the session at ``path``. Raises :class:`SessionError` if it is damaged.

    Media are looked for in the session's folder and ``media_roots`` only; see :class:`MediaFolders`.
    """
    root = read_xml(path)
    try:
        return _SessionReader(path, root, MediaFolders(path.parent, media_roots)).session
    except SessionError as error:
        raise SessionError(f"{path}: {error}") from error


class _SessionReader:
    def __init__(self, path: Path, root: Element, media: MediaFolders) -> None:
        self.root = root
        self.remarks: Counter[str] = Counter()
        self._check_version()
        self.session = Session(path, "ardour", self._sample_rate())
        self.clock, self.session.tempo, ramped = clock_of(root, self.session.sample_rate)
        if ramped:
            self._remark("Session", "a tempo that moves between two changes is read as steps")
        options = {one.get("name"): one.get("value") for one in root.iterfind("Config/Option")}
        sources = Sources(root, media)
        fades = is_true(options.get("use-region-fades") or "1")
        self.regions = RegionReader(path, sources, self.clock, fades)
        self.midi = MidiReader(sources, self.regions)
        self._read_markers()
        self._remark_on_program()
        self.vcas = Vcas(self.root, self.clock)
        self._read_routes()
        self.session.not_honoured = [
            text if count == 1 else f"{text} ({count} times)" for text, count in self.remarks.items()
        ]

    def _check_version(self) -> None:
        if self.root.tag != "Session":
            raise SessionError(f"not an Ardour session (it holds a {self.root.tag!r:.40})")
        version = self.root.get("version", "")
        self.panners = USUAL_PANNERS_BEFORE_6 if version < "6" else USUAL_PANNERS
        major = int(version[0]) if version[:1].isdecimal() and version.isdecimal() else 0
        if major < OLDEST:
            raise SessionError(
                f"a session of version {version!r:.20}; {OLDEST} to {NEWEST} can be read: open it in a newer "
                "Ardour and save it"
            )
        if major > NEWEST:
            self._remark("Session", f"version {version} is read as if it were {NEWEST}")

    def _sample_rate(self) -> int:
        rate = number(self.root.get("sample-rate"), 48000, "sample-rate")
        if not SAMPLE_RATES[0] <= rate <= SAMPLE_RATES[1]:
            raise SessionError(
                f"a sample rate of {rate:g} Hz; it must lie in {SAMPLE_RATES[0]} to {SAMPLE_RATES[1]}"
            )
        return round(rate)

    def _read_markers(self) -> None:
        for location in self.root.iterfind("Locations/Location"):
            flags = location.get("flags", "")
            start = self.clock.position(location.get("start"), "a marker")
            end = self.clock.position(location.get("end"), "a marker")
            if "IsSessionRange" in flags:
                self.session.markers.append(Marker(start, SESSION_RANGE, max(0.0, end - start)))
            elif "IsMark" in flags or "IsRangeMarker" in flags:
                self.session.markers.append(Marker(start, location.get("name", ""), max(0.0, end - start)))
        self.session.markers.sort(key=lambda marker: marker.seconds)

    def _remark_on_program(self) -> None:
        """What only some programs of the family do, and what plays beside the timeline."""
        program = self.root.find("ProgramVersion")
        name = "" if program is None else program.get("modified-with", "")
        if name.startswith("Mixbus"):
            self._remark("Session", f"what {name.split()[0]}'s own strips and buses do is left out")
        launches = any(
            "IsCueMarker" in one.get("flags", "") for one in self.root.iterfind("Locations/Location")
        )
        if launches and any(one.get("region") for one in self.root.iter("Trigger")):
            self._remark("Session", "clips that cue markers launch are left out")

    def _read_routes(self) -> None:
        routes = sorted(self.root.iterfind("Routes/Route"), key=_order)
        if len(routes) > MOST_ROUTES:
            raise SessionError(f"{len(routes)} tracks and buses; at most {MOST_ROUTES} can be read")
        routing = Routing(routes)
        roles = {route.get("id", ""): _role(route) for route in routes}
        playlists = {one.get("id", ""): one for one in self.root.iterfind("Playlists/Playlist")}
        by_name = {one.get("name", ""): one for one in playlists.values()}
        self.inputs = {one.get("id", ""): _count(one, "Input") or 1 for one in routes}
        self.outputs = {one.get("id", ""): _count(one, "Output") for one in routes}
        tracks: dict[str, Track] = {}
        for route in routes:
            identifier = route.get("id", "")
            if roles[identifier] == "monitor" or identifier in tracks:
                continue
            track = self._track(route)
            if roles[identifier] == "master":
                self._read_master(track)
                continue
            playlist = _playlist(route, playlists, by_name)
            track.is_bus = playlist is None
            if playlist is not None:
                self._read_playlist(playlist, track)
            tracks[identifier] = track
        self.session.vcas = list(self.vcas.found.values())
        at = f"is played at {self.session.sample_rate} Hz"
        self.session.notes += [
            f"Session: {path.name} {at} though it has {rate} Hz, as by Ardour"
            for path, rate in self.regions.mismatches.items()
        ]
        self._connect(tracks, routing, roles)

    def _track(self, route: Element) -> Track:
        name = route.get("name", "") or "Unnamed"
        identifier = route.get("id", "")
        track = Track(name, identifier=identifier, color=_color(route), channels=self.inputs[identifier])
        outputs = self.outputs[identifier]

        def remark(text: str) -> None:
            self._remark(name, text)

        read_strip(route, track, outputs, self.inputs, self.clock, remark, self.panners)
        amp = next((one for one in route.iterfind("Processor") if one.get("type") == "amp"), None)
        track.vcas = self.vcas.over(route, None if amp is None else controllable(amp, "gaincontrol"))
        track.soloed = track.soloed or any(self.vcas.found[one].soloed for one in track.vcas)
        if not is_true(route.get("active", "1")):
            track.muted = True
        if route.get("disk-io-point", "DiskIOPreFader") != "DiskIOPreFader":
            self._remark(name, "its regions are played before the fader, not where it says")
        return track

    def _read_master(self, track: Track) -> None:
        session = self.session
        session.master_volume = track.volume * track.trim
        session.master_pan = track.pan
        if track.pan_mode is PanMode.ARDOUR_STEREO:
            session.master_pan_mode, session.master_width = track.pan_mode, track.width
        session.master_inverted = track.inverted
        session.master_muted = track.muted
        session.master_channels = track.channels
        session.master_envelopes = track.envelopes
        session.master_chain = track.chain
        # A master that is panned without a panner would be balanced all the same: its pan is 0 then.

    def _read_playlist(self, playlist: Element, track: Track) -> None:
        def remark(text: str) -> None:
            self._remark(track.name, text)

        if playlist.get("type", "audio") == "audio":
            track.clips = self.regions.clips(playlist, track.channels, remark)
        else:
            track.notes = self.midi.notes(playlist, remark)

    def _connect(self, tracks: dict[str, Track], routing: Routing, roles: dict[str, str]) -> None:
        """Put each track where its output goes: below its bus, or at the top below the master."""
        parents: dict[str, str] = {}
        for identifier, track in tracks.items():
            connections = [one for one in routing.of(identifier) if roles.get(one.target) != "monitor"]
            track.sends = [
                send for send in track.sends if send.target in tracks and send.target != identifier
            ]
            to_master = [one for one in connections if roles[one.target] == "master"]
            to_buses = [one for one in connections if one.target in tracks and one.target != identifier]
            track.hardware_outputs = routing.elsewhere(identifier)
            track.sends_to_parent = bool(to_master or to_buses)
            if to_master or to_buses:
                first = to_master[0] if to_master else to_buses.pop(0)
                track.parent_map = self._ways(track, first)
                if not to_master:
                    parents[identifier] = first.target
            track.sends += [Send(one.target, channel_map=self._ways(track, one)) for one in to_buses]
            self._note_outputs(track)
        _solo_feeders(tracks, parents)
        _solo_fed(tracks, parents)
        for identifier, track in tracks.items():
            if self._depth(identifier, parents) > MAX_DEPTH:
                self._remark(track.name, "it is fed by itself, which is left out")
                parents.pop(identifier, None)
                track.sends_to_parent = False
            parent = tracks.get(parents.get(identifier, ""))
            (self.session.tracks if parent is None else parent.children).append(track)

    def _ways(self, track: Track, connection: Connection) -> ChannelMap:
        """Which output goes where; nothing if all go straight."""
        outputs = self.outputs[track.identifier]
        is_whole = len(connection.channels) == outputs == self.inputs[connection.target]
        is_straight = connection.is_plain and is_whole and track.channels <= outputs
        ways = [one for one in connection.channels if max(one) < MOST_CHANNELS]
        return () if is_straight else tuple(ways)

    def _note_outputs(self, track: Track) -> None:
        """What is heard elsewhere than in the mix, as in an export of Ardour's own."""
        if not (track.clips or track.notes):
            return
        outside = ", ".join(track.hardware_outputs)
        is_in_mix = track.sends_to_parent or track.sends
        if outside and is_in_mix:
            self._note(track, f"its way to {outside:.200} is in no export")
        elif not is_in_mix:
            ways = f"go to {outside:.200} only" if outside else "are connected to nothing"
            self._note(track, f"its outputs {ways}, and it is silent in the mix as in Ardour's export")

    def _note(self, track: Track, text: str) -> None:
        self.session.notes.append(f"{track.name}: {text}")

    def _depth(self, identifier: str, parents: dict[str, str]) -> int:
        depth = 0
        while identifier in parents and depth <= MAX_DEPTH:
            identifier, depth = parents[identifier], depth + 1
        return depth

    def _remark(self, owner: str, text: str) -> None:
        self.remarks[f"{owner}: {text}"] += 1


def _solo_feeders(tracks: dict[str, Track], parents: dict[str, str]) -> None:
    """What feeds a soloed bus is heard on all its ways, not on that one alone: it is soloed, too."""
    heard = {identifier for identifier, track in tracks.items() if track.soloed}
    waiting = list(heard)
    feeders: dict[str, list[str]] = {}
    for identifier, track in tracks.items():
        for target in (parents.get(identifier, ""), *(send.target for send in track.sends)):
            feeders.setdefault(target, []).append(identifier)
    while waiting:
        for identifier in feeders.get(waiting.pop(), ()):
            if identifier not in heard:
                heard.add(identifier)
                waiting.append(identifier)
    for identifier in heard:
        tracks[identifier].soloed = True


def _solo_fed(tracks: dict[str, Track], parents: dict[str, str]) -> None:
    """What a soloed track feeds plays also what comes by sends that no mute of their track stops."""
    fed: set[str] = set()
    waiting = [identifier for identifier, track in tracks.items() if track.soloed]
    while waiting:
        identifier = waiting.pop()
        for target in (parents.get(identifier, ""), *(send.target for send in tracks[identifier].sends)):
            if target in tracks and target not in fed:
                fed.add(target)
                waiting.append(target)
    for track in tracks.values():
        track.sends = [
            replace(send, through_solo=True) if send.through_mute and send.target in fed else send
            for send in track.sends
        ]


def _count(route: Element, direction: str) -> int:
    return min(MOST_CHANNELS, sum(1 for _ in audio_ports(route, direction)))


def _order(route: Element) -> float:
    """Where it stands in the mixer; in old sessions after the order of the file."""
    info = route.find("PresentationInfo")
    return number(None if info is None else info.get("order"), 0.0, "a track's order")


def _role(route: Element) -> str:
    info = route.find("PresentationInfo")
    flags = (route.get("flags", "") if info is None else info.get("flags", "")).split(",")
    return next((ROLES[flag] for flag in flags if flag in ROLES), "")


def _color(route: Element) -> str:
    info = route.find("PresentationInfo")
    text = "" if info is None else info.get("color", "")
    value = int(text) if text.isdecimal() and len(text) < 12 else 0
    return f"#{value >> 8 & 0xFFFFFF:06x}" if value > 0xFF else ""


def _playlist(route: Element, by_id: dict[str, Element], by_name: dict[str, Element]) -> Element | None:
    """What a track plays: by id since version 6, before by the name that its disk stream says."""
    for kind in ("audio-playlist", "midi-playlist"):
        if route.get(kind) is not None:
            return by_id.get(route.get(kind, ""), Element("Playlist"))
    stream = route.find("Diskstream")
    if stream is None:
        return None
    return by_name.get(stream.get("playlist", ""), Element("Playlist"))
