"""Playlists into clips: regions with their sources, gain, envelope, fades and layers."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from xml.etree.ElementTree import Element

from plugin_bridge.sessions.ardour.fields import TRUE_WORDS
from plugin_bridge.sessions.ardour.sources import Source, Sources
from plugin_bridge.sessions.ardour.times import Clock, number
from plugin_bridge.sessions.model import (
    ChannelMode,
    Clip,
    Envelope,
    Fade,
    FadeShape,
    Overlap,
    Parameter,
    Point,
    PointShape,
    Scale,
    Session,
    SourceChannel,
    Track,
)

MOST_CHANNELS = 64
STEREO = 2
MOST_POINTS = 100_000
MOST_NESTED = 8
"""Compounds inside compounds."""
USUAL_FADE = 64
"""Frames."""
POWER_STEPS = 33
INTERPOLATIONS = {"Discrete": PointShape.HOLD}
"""All others move evenly in their scale."""

Remark = Callable[[str], None]
Points = tuple[tuple[float, float], ...]


def is_true(text: str | None) -> bool:
    """Whether a word of the file says yes."""
    return (text or "").strip().lower() in TRUE_WORDS


def events(element: Element | None, clock: Clock, what: str, start: float = 0.0) -> list[tuple[float, float]]:
    """The points of an ``AutomationList`` in or below ``element``: seconds from ``start``, and the value."""
    found = None if element is None else element.find(".//events")
    if found is None or not found.text:
        return []
    words = found.text.split()[: 2 * MOST_POINTS]
    points = [
        (clock.position(when, what), number(value, 0.0, what))
        for when, value in zip(words[::2], words[1::2], strict=False)
    ]
    return sorted(points, key=lambda point: point[0])


class RegionReader:
    """Reads the regions of playlists; ``fades`` is whether the session plays their fades at all."""

    def __init__(self, path: Path, sources: Sources, clock: Clock, fades: bool) -> None:
        self.path = path
        self.sources = sources
        self.clock = clock
        self.fades = fades
        self._compounds: dict[tuple[str, int], Session | None] = {}
        """By the id of their first source and their channels; None while they are read."""
        self.mismatches: dict[Path, int] = {}
        """Files that have another rate than the session, and theirs."""

    def clips(self, playlist: Element, channels: int, remark: Remark) -> list[Clip]:
        """The clips of a track that plays ``channels`` channels."""
        regions = list(playlist.iterfind("Region"))
        # Of two on the same layer the later one in the file lies on top.
        order = sorted(range(len(regions)), key=lambda index: (_layer(regions[index]), index))
        layers = {index: layer for layer, index in enumerate(order)}
        return [
            self._clip(region, layers[index], channels, remark)
            for index, region in enumerate(regions)
            if region.get("type", "audio") == "audio"
        ]

    def _clip(self, region: Element, layer: int, channels: int, remark: Remark) -> Clip:
        name = region.get("name", "")
        position, length, offset = self.place(region)
        parts = [self.sources.audio(identifier) for identifier in _source_ids(region)]
        problem = next((part.problem for part in parts if part.problem), "")
        if not parts:
            parts, problem = [self.sources.audio("")], f"region {name!r:.80} has no source"
        compound, shift, why = self._compound(region, max(1, channels), remark)
        if compound is not None or why:
            parts, problem = [Source(self.path, 0, len(parts))] * len(parts), why
        if region.find("RegionFXPlugin") is not None:
            remark(f"region effects on {name} are left out")
        parts = _repeated(parts, min(max(1, channels), MOST_CHANNELS))
        rate = 1.0
        if compound is None and not problem:
            # Ardour plays the frames of a file one by one, whatever rate it says.
            own_rate = self.sources.own_rate(parts[0].path)
            if own_rate is not None and own_rate != self.clock.sample_rate:
                rate = self.clock.sample_rate / own_rate
                self.mismatches[parts[0].path] = own_rate
        mode, picked = _channels(parts)
        if compound is not None:  # its mix is stereo, with the same on both sides where it is mono
            mode, picked = (ChannelMode.SINGLE if len(parts) == 1 else ChannelMode.ALL), ()
        return Clip(
            parts[0].path,
            position,
            length,
            offset * rate,
            rate=rate,
            gain=number(region.get("scale-amplitude") or region.get("scale-gain"), 1.0, "scale-amplitude"),
            fade_in=self._fade(region, "FadeIn", "fade-in-active", length, is_out=False),
            fade_out=self._fade(region, "FadeOut", "fade-out-active", length, is_out=True),
            channel_mode=mode,
            channels=picked,
            muted=is_true(region.get("muted")),
            name=name,
            problem=problem,
            session=compound,
            section_start=shift,
            layer=layer,
            overlap=Overlap.CROSSFADE if is_true(region.get("opaque", "1")) else Overlap.MIX,
            envelopes=self._envelope(region, length),
        )

    def _compound(self, region: Element, channels: int, remark: Remark) -> tuple[Session | None, float, str]:
        """The regions that ``region`` is made of, as a session; where it begins there; why it cannot be."""
        identifiers = _source_ids(region)[:channels]
        element = self.sources.compound(identifiers[0]) if identifiers else None
        playlist = None if element is None else element.find("Playlist")
        if element is None or playlist is None:
            return None, 0.0, ""
        key = identifiers[0], len(identifiers)
        name = f"compound {element.get('name', '')!r:.80}"
        if key not in self._compounds:
            if list(self._compounds.values()).count(None) >= MOST_NESTED:
                return None, 0.0, f"{name}: compounds nested deeper than {MOST_NESTED}"
            self._compounds[key] = None
            track = Track(element.get("name", ""), channels=len(identifiers))
            track.clips = self.clips(playlist, len(identifiers), remark)
            self._compounds[key] = Session(self.path, "ardour", self.clock.sample_rate, [track])
        session = self._compounds[key]
        shift = self.clock.position(element.get("offset"), "where a compound begins")
        return session, max(0.0, shift), "" if session else f"{name} holds itself"

    def place(self, region: Element) -> tuple[float, float, float]:
        """Position, length and offset, seconds, each on a frame; the length is never negative."""
        length_text, at, position_text = region.get("length", "0").partition("@")
        position = self.clock.position(position_text if at else region.get("position"), "a region's position")
        length = self.clock.length(length_text, position, "a region's length")
        offset = self.clock.position(region.get("start"), "a region's start")
        on_frame = self.clock.on_frame
        return on_frame(position), max(0.0, on_frame(length)), on_frame(offset)

    def _fade(self, region: Element, tag: str, active: str, length: float, is_out: bool) -> Fade:
        element = region.find(tag)
        said = (None if element is None else element.get("active")) or region.get(active)
        if not self.fades or not is_true(said if said is not None else str(int(element is not None))):
            return Fade()
        if element is None or is_true(element.get("default")):
            return self._usual_fade(length, is_out)
        points = events(element, self.clock, f"a region's {tag}")
        seconds = self.clock.on_frame(points[-1][0]) if points else 0.0
        if seconds <= 0:
            return Fade()
        beneath = events(region.find(f"Inverse{tag}"), self.clock, f"a region's Inverse{tag}")
        if len(beneath) < 2:
            beneath = [(at, 1 - value) for at, value in points]
        return Fade(
            seconds,
            FadeShape.POINTS,
            points=_relative(points, seconds, is_out),
            beneath=_relative(beneath, seconds, is_out),
            to_last_frame=True,
        )

    def _usual_fade(self, length: float, is_out: bool) -> Fade:
        """What Ardour gives a region that has none of its own: 64 frames of constant power."""
        seconds = USUAL_FADE / self.clock.sample_rate
        if seconds > length:
            return Fade()
        steps = [step / POWER_STEPS for step in range(POWER_STEPS + 1)]
        places = [math.floor(step * USUAL_FADE) / USUAL_FADE * seconds for step in steps]
        rising = [math.sin(step * math.pi / 2) for step in steps]
        falling = [math.cos(step * math.pi / 2) for step in steps]
        own, other = (falling, rising) if is_out else (rising, falling)
        return Fade(
            seconds,
            FadeShape.POINTS,
            points=_relative(list(zip(places, own, strict=True)), seconds, is_out),
            beneath=_relative(list(zip(places, other, strict=True)), seconds, is_out),
            to_last_frame=True,
        )

    def _envelope(self, region: Element, length: float) -> tuple[Envelope, ...]:
        element = region.find("Envelope")
        if element is None or not is_true(region.get("envelope-active")) or is_true(element.get("default")):
            return ()
        points = events(element, self.clock, "a region's envelope")
        return (
            (gain_envelope(Parameter.VOLUME, Scale.ARDOUR_FADER, points, element, relative=True),)
            if points
            else ()
        )


def gain_envelope(
    parameter: Parameter,
    scale: Scale,
    points: list[tuple[float, float]],
    element: Element,
    *,
    relative: bool = False,
    smoothing: str = "",
) -> Envelope:
    """An envelope of what an ``AutomationList`` in or at ``element`` holds."""
    found = element if element.tag == "AutomationList" else element.find(".//AutomationList")
    style = "" if found is None else found.get("interpolation-style", "")
    shape = INTERPOLATIONS.get(style, PointShape.LINEAR)
    if style == "Linear":
        scale = Scale.VALUE
    return Envelope(
        parameter,
        tuple(Point(seconds, value, shape) for seconds, value in points),
        scale,
        relative=relative,
        smoothing=smoothing,
    )


def _relative(points: list[tuple[float, float]], seconds: float, is_out: bool) -> Points:
    """The points with 0..1 for the part of the fade that is over; of a fade-out the part that is left.

    What lies at the same place as the point before is dropped: a curve has one value there.
    """
    places: dict[float, float] = {}
    for at, value in points:
        x = min(1.0, max(0.0, at / seconds))
        places.setdefault(1 - x if is_out else x, value)
    return tuple(sorted(places.items()))


def _repeated(parts: list[Source], channels: int) -> list[Source]:
    """As many as the track has; those of a narrower region again and again, one channel alone on all."""
    if len(parts) == 1 and channels <= STEREO:
        return parts
    return [parts[channel % len(parts)] for channel in range(channels)]


def _channels(parts: list[Source]) -> tuple[ChannelMode, tuple[SourceChannel, ...]]:
    """Which channels of its files a region plays."""
    numbers = [part.channel for part in parts]
    if len({part.path for part in parts}) == 1 and numbers == list(range(len(parts))):
        if len(parts) == parts[0].width:
            return ChannelMode.ALL, ()
        if len(parts) == 1:
            return ChannelMode.SINGLE, ()
    return ChannelMode.ALL, tuple(SourceChannel(part.path, part.channel) for part in parts)


def _layer(region: Element) -> float:
    return number(region.get("layering-index") or region.get("layer"), 0.0, "a region's layer")


def _source_ids(region: Element) -> list[str]:
    found = []
    for channel in range(MOST_CHANNELS):
        identifier = region.get(f"source-{channel}")
        if identifier is None:
            break
        found.append(identifier)
    return found
