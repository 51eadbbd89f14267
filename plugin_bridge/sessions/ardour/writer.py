"""Stems as a new snapshot beside the user's: originals muted, stems as tracks under them.

The snapshot is the user's session with what is new put in; the file that was read is never written to. The
stems lie among the session's own audio, as links where the disk allows it, so that the folder can be moved. A
stem's track is a copy of its source's: fader, pan, plug-ins, automation, sends, outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, tostring

from plugin_bridge.audio.files import AudioFileSource
from plugin_bridge.errors import AudioFileError, SessionError
from plugin_bridge.sessions.ardour.copies import Identifiers, copied_route, set_muted, take_plugin_states
from plugin_bridge.sessions.ardour.fields import SUPERCLOCKS
from plugin_bridge.sessions.ardour.media import SessionMedia
from plugin_bridge.sessions.ardour.times import number
from plugin_bridge.sessions.model import Session
from plugin_bridge.sessions.placed import PlacedStem
from plugin_bridge.sessions.xml import read_xml
from separators.atomic import write_atomically

OLDEST_WRITTEN = 6
"""Versions before keep a track's playlist in other ways."""
COLORS = (0xE05050FF, 0x50A0E0FF, 0x60C060FF, 0xE0B040FF, 0xA070D0FF, 0x40C0B0FF)
"""Of stems whose track has none: red, green, blue and how solid, a byte each."""
REGION = {
    "type": "audio", "muted": "0", "opaque": "1", "locked": "0", "automatic": "0", "import": "0",
    "external": "0", "hidden": "0", "first-edit": "nothing", "layering-index": "0", "envelope-active": "0",
    "default-fade-in": "0", "default-fade-out": "0", "fade-in-active": "0", "fade-out-active": "0",
}  # fmt: skip
GROUP = {
    "rgba": "0", "used-to-share-gain": "0", "hidden": "0", "active": "1", "relative": "1", "gain": "0",
    "mute": "0", "solo": "0", "recenable": "0", "select": "0", "route-active": "0", "color": "0",
    "monitoring": "0", "group-master-number": "-1",
}  # fmt: skip
"""A group that shows what belongs together and moves nothing."""


def write_stems_snapshot(
    session: Session, placed: Mapping[str, Sequence[PlacedStem]], out_path: Path
) -> Path:
    """Write ``session`` with its stems as the snapshot ``out_path`` in its own folder; returns that.

    ``placed`` maps track identifiers to the stems made of the track before its fader. Raises
    :class:`SessionError` if an identifier is unknown, the session is older than version 6, or nothing can be
    written.
    """
    out_path = out_path.absolute()
    if out_path.resolve() == session.path.resolve():
        raise SessionError(f"{out_path}: is the session itself, which is never written to")
    if out_path.parent.resolve() != session.path.resolve().parent:
        raise SessionError(
            f"{out_path}: a snapshot lies in its session's folder, {session.path.resolve().parent}"
        )
    root = read_xml(session.path)
    version = root.get("version", "")
    if not version[:1].isdecimal() or int(version[0]) < OLDEST_WRITTEN:
        raise SessionError(f"{session.path}: a session of version {version}; save it in a newer Ardour first")
    routes = {route.get("id", ""): route for route in root.iterfind("Routes/Route")}
    for identifier in placed:
        if identifier not in routes:
            raise SessionError(f"{session.path}: no track {identifier!r} to put stems under")
    media = SessionMedia(out_path.parent, root.get("name", "") or session.name)
    snapshot = _Snapshot(root, session.sample_rate, media, by_superclocks=int(version[0]) >= 7)
    try:
        for identifier, stems in placed.items():
            snapshot.add(routes[identifier], stems)
        snapshot.finish()
        for old, new in snapshot.identifiers.plugins:
            take_plugin_states(out_path.parent, old, new)
        write_atomically(out_path, b'<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root))
    except OSError as error:
        raise SessionError(
            f"{out_path}: cannot be written: {(error.strerror or str(error)).lower()}"
        ) from error
    return out_path


class _Snapshot:
    """The session's tree, into which stems are put."""

    def __init__(self, root: Element, sample_rate: int, media: SessionMedia, *, by_superclocks: bool) -> None:
        self.root = root
        self.sample_rate = sample_rate
        self.media = media
        self.by_superclocks = by_superclocks
        self.identifiers = Identifiers(root)
        self.names = {route.get("name", "") for route in root.iterfind("Routes/Route")}
        self._sources: dict[tuple[str, int], str] = {}
        self._followers: dict[str, list[Element]] = {}

    def add(self, route: Element, stems: Sequence[PlacedStem]) -> None:
        """Mute ``route`` and put a track for each of its stems behind it."""
        made = []
        for index, stem in enumerate(stems):
            name = self._name(f"{route.get('name', '')} {stem.name}".strip())
            copy = copied_route(self.root, route, name, self.identifiers)
            info = copy.find("PresentationInfo")
            if info is not None:
                info.set("flags", "AudioTrack,OrderSet")
                if info.get("color", "0") in ("", "0"):
                    info.set("color", str(COLORS[index % len(COLORS)]))
            copy.set("audio-playlist", self._playlist(name, copy.get("id", ""), stem))
            copy.set("mode", "Normal")
            if stem.muted:
                set_muted(copy, True)
            _without_trim(copy)
            made.append(copy)
        set_muted(route, True)
        for control in route.iterfind("Controllable"):
            if control.get("name") == "solo":
                control.set("value", "0")
                control.set("self-solo", "0")
        self._followers[route.get("id", "")] = made
        if made:
            self._group(route, [copy.get("id", "") for copy in made])

    def _group(self, route: Element, members: list[str]) -> None:
        """Stems stay in the group of their source, which shares mutes and solos; or have one of their own."""
        for group in self.root.iterfind("RouteGroups/RouteGroup"):
            routes = group.get("routes", "").split()
            if route.get("id") in routes:
                group.set("routes", " ".join([*routes, *members]))
                return
        said = {"name": f"{route.get('name', '')} stems", "routes": " ".join(members)}
        groups = _child(self.root, "RouteGroups")
        SubElement(groups, "RouteGroup", {**GROUP, "id": self.identifiers.new(), **said})

    def finish(self) -> None:
        """Put the new tracks behind their sources, and number all anew."""
        holder = _child(self.root, "Routes")
        for route in list(holder):
            for place, copy in enumerate(self._followers.get(route.get("id", ""), ()), 1):
                holder.insert(list(holder).index(route) + place, copy)
        shown = [
            info
            for strip in (*holder, *self.root.iterfind("VCAManager/VCA"))
            if (info := strip.find("PresentationInfo")) is not None
        ]
        # A copy has its source's number, so that it stays behind it.
        for order, info in enumerate(
            sorted(shown, key=lambda one: number(one.get("order"), 0.0, "a track's order"))
        ):
            info.set("order", str(order))
        self.root.set("id-counter", self.identifiers.new())

    def _name(self, wanted: str) -> str:
        """``wanted``, or with a number what no other track is called; ports cannot have a slash."""
        wanted = wanted.replace("/", "-").replace(":", "-")
        name, count = wanted, 2
        while name in self.names:
            name, count = f"{wanted} {count}", count + 1
        self.names.add(name)
        return name

    def _playlist(self, name: str, route: str, stem: PlacedStem) -> str:
        try:
            with AudioFileSource(stem.path) as source:
                channels, frames = source.channels, source.frames
        except AudioFileError as error:
            raise SessionError(f"the stem {stem.name}: {error}") from error
        file = self.media.take(stem.path, name)
        sources = {f"source-{number}": self._source(file, number) for number in range(channels)}
        sources |= {f"master-{key}": value for key, value in sources.items()}
        whole = {**REGION, **sources, "channels": str(channels), "name": name, "scale-amplitude": "1"}
        regions = _child(self.root, "Regions")
        SubElement(
            regions,
            "Region",
            {**whole, **self._place(0, frames), "id": self.identifiers.new(), "whole-file": "1"},
        )
        identifier = self.identifiers.new()
        playlist = SubElement(
            _child(self.root, "Playlists"),
            "Playlist",
            {
                "id": identifier, "name": name, "type": "audio", "orig-track-id": route, "frozen": "0",
                "combine-ops": "0",
            },
        )  # fmt: skip
        region = SubElement(
            playlist,
            "Region",
            {
                **whole,
                **self._place(round(stem.position_seconds * self.sample_rate), frames),
                "id": self.identifiers.new(),
                "whole-file": "0",
                "scale-amplitude": repr(float(stem.gain)),
            },
        )
        SubElement(region, "Envelope", {"default": "yes"})
        SubElement(region, "FadeIn", {"default": "yes", "active": "0"})
        SubElement(region, "FadeOut", {"default": "yes", "active": "0"})
        return identifier

    def _place(self, position: int, frames: int) -> dict[str, str]:
        """Where a region lies, in the session's way to say times."""
        if not self.by_superclocks:
            return {"start": "0", "position": str(position), "length": str(frames)}
        at, length = (self._clocks(value) for value in (position, frames))
        return {"start": "a0", "length": f"{length}@{at}"}

    def _clocks(self, frames: int) -> str:
        return f"a{round(frames * SUPERCLOCKS / self.sample_rate)}"

    def _source(self, name: str, channel: int) -> str:
        key = (name, channel)
        if key not in self._sources:
            self._sources[key] = self.identifiers.new()
            SubElement(
                _child(self.root, "Sources"),
                "Source",
                {
                    "name": name, "origin": name, "type": "audio", "take-id": "", "flags": "", "gain": "1",
                    "channel": str(channel), "id": self._sources[key],
                },
            )  # fmt: skip
        return self._sources[key]


def _without_trim(route: Element) -> None:
    """A trim that nobody moves comes before all else: it is in the stems already."""
    for processor in route.iterfind("Processor[@type='trim']"):
        for control in processor.iterfind("Controllable[@name='trimcontrol']"):
            control.set("value", "1")


def _child(parent: Element, tag: str) -> Element:
    found = parent.find(tag)
    return SubElement(parent, tag) if found is None else found
