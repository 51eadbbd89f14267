"""Laid-out audio of a DAWproject as the model's clips: files, warps, fades, automation inside clips.

Warps nail moments of the file to beats. Where that stretches nothing (a file of the project's tempo), the
clip plays at its own rate; an even stretch is a play rate, anything else markers between which it is even.
"""

from __future__ import annotations

import math
import posixpath
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit
from xml.etree.ElementTree import Element

from plugin_bridge.errors import SessionError
from plugin_bridge.sessions import warps
from plugin_bridge.sessions.beats import Frame
from plugin_bridge.sessions.dawproject.archive import Member
from plugin_bridge.sessions.dawproject.content import Part, Ramp, frame_of, unit_of
from plugin_bridge.sessions.dawproject.values import envelope
from plugin_bridge.sessions.model import Clip, Envelope, Fade, MidiNote, Parameter, Point
from plugin_bridge.sessions.sources import MediaFolders
from plugin_bridge.sessions.xml import number, seconds, switch, whole

WITH_PITCH = ("raw", "repitch", "resample", "tape")
"""Stretch algorithms that move the pitch with the time."""
EXPRESSIONS = {"gain": Parameter.VOLUME, "pan": Parameter.PAN, "transpose": Parameter.PITCH}
NEUTRAL = {Parameter.VOLUME: 1.0, Parameter.PAN: 0.0, Parameter.PITCH: 0.0}

Remark = Callable[[str], None]


class ClipReader:
    """Turns laid-out parts into clips and notes."""

    def __init__(self, path: Path, members: dict[str, zipfile.ZipInfo], media: MediaFolders) -> None:
        self.path = path
        self.members = members
        self.media = media
        self._spelled = {_spelled(name): name for name in members}

    def clip(self, part: Part, remark: Remark) -> Clip | None:
        """The clip that plays a part's audio; None for what holds no audio."""
        audio = part.content
        anchors, broken = None, ""
        if audio.tag == "Warps":
            found = audio.find("Audio")
            if found is None:
                remark("warps around anything but audio are left out")
                return None
            if unit_of(audio, "contentTimeUnit", "seconds") != "seconds":
                remark("warps of audio that is counted in beats are played unwarped")
            elif len(pairs := _pairs(audio)) < 2:
                remark("warps of fewer than two points, which say no tempo, are played unwarped")
            else:
                try:
                    anchors = warps.anchors(pairs)
                except SessionError as error:
                    broken = str(error)
            part, audio = _of_audio(part, audio), found
        zero = part.frame.seconds(0.0)
        length = max(0.0, seconds(audio, "duration"))
        start, end = part.start, part.end
        if anchors is None:
            start, end = max(start, zero), min(end, zero + length if end == math.inf else end)
            markers = [(start, start - zero), (end, end - zero)]
        else:
            last = part.frame.seconds(max(time for time, _ in anchors))
            start, end = (
                max(start, part.frame.seconds(warps.time_at(anchors, 0.0))),
                min(end, max(last, start)),
            )
            markers = warps.markers(part.frame, anchors, start, end)
        if not end > start:
            return None
        rate, stretch, problem = warps.rate(markers)
        path, name, material, trouble = self._file(audio)
        fade_in, fade_out, envelopes = _fades(part.ramps, start, end)
        envelopes += _automation(part, start, remark)
        return Clip(
            source=path,
            material=material,
            position=start,
            length=end - start,
            offset=markers[0][1],
            rate=rate,
            keep_pitch=rate != 1 and audio.get("algorithm", "").lower() not in WITH_PITCH,
            stretch=stretch,
            fade_in=fade_in,
            fade_out=fade_out,
            envelopes=envelopes,
            muted=part.muted,
            name=part.name or name,
            problem=broken or problem or (f"{name} {trouble}" if trouble else ""),
        )

    def _file(self, audio: Element) -> tuple[Path, str, Member | None, str]:
        """The file's path, name, its place in the archive, and why it cannot be played."""
        file = audio.find("File")
        name = file.get("path", "") if file is not None else ""
        if file is None or not name:
            return self.path, audio.get("name", "audio"), None, "names no file"
        shown = PurePosixPath(name.replace("\\", "/")).name
        if not switch(file, "external"):
            found = name if name in self.members else self._member(name)
            if found is not None:
                member = Member(self.path.resolve(), found)
                return self.path.resolve(), shown, member, member.problem(self.members[found])
        path, trouble = self._beside(name)
        if trouble and not switch(file, "external"):
            return self.path, shown, None, "is missing in the project"
        return path, shown, None, trouble

    def _member(self, name: str) -> str | None:
        """What is called so in other letters: accents put together otherwise, URL escapes, backslashes."""
        spellings = (_spelled(one) for one in (name, unquote(name)))
        return next((self._spelled[one] for one in spellings if one in self._spelled), None)

    def _beside(self, name: str) -> tuple[Path, str]:
        """A file outside the archive, by its path or its URL."""
        found = self.media.find(name)
        try:
            path = urlsplit(name).path if name.startswith("file:") else name
        except ValueError:
            return found
        return self.media.find(unquote(path)) if found[1] and unquote(path) != name else found


def _spelled(name: str) -> str:
    """The same for all spellings of a name inside the archive."""
    plain = posixpath.normpath(name.replace("\\", "/")).lstrip("/")
    return unicodedata.normalize("NFC", plain).casefold()


def note(part: Part) -> MidiNote | None:
    """A note, if it begins while its clip sounds; it ends with it."""
    element, frame = part.content, part.frame
    time = number(element, "time")
    start, end = frame.seconds(time), frame.seconds(time + max(0.0, number(element, "duration")))
    if part.muted or not part.start <= start < part.end:
        return None
    pitch, velocity = whole(element, "key"), round(127 * number(element, "vel", 0.8))
    if not 0 <= pitch <= 127:
        return None
    channel = min(15, max(0, whole(element, "channel")))
    return MidiNote(start, min(end, part.end) - start, pitch, min(127, max(1, velocity)), channel)


def _of_audio(part: Part, element: Element) -> Part:
    return Part(
        element,
        frame_of(element, part.frame),
        part.start,
        part.end,
        part.ramps,
        part.points,
        part.muted,
        part.name,
    )


def _pairs(element: Element) -> list[tuple[float, float]]:
    return [(number(one, "time"), seconds(one, "contentTime")) for one in element.iterfind("Warp")]


def _fades(ramps: tuple[Ramp, ...], start: float, end: float) -> tuple[Fade, Fade, tuple[Envelope, ...]]:
    """Fades at the clip's own ends; those of clips around it that end elsewhere are envelopes."""
    fades = {False: Fade(), True: Fade()}
    envelopes = []
    for ramp in ramps:
        if ramp.end <= start or ramp.start >= end:
            continue
        length = ramp.end - ramp.start
        edge, own = (end, ramp.end) if ramp.is_out else (start, ramp.start)
        if abs(edge - own) < warps.UNSTRETCHED and fades[ramp.is_out].seconds == 0 and length <= end - start:
            fades[ramp.is_out] = Fade(length)
        else:
            values = (1.0, 0.0) if ramp.is_out else (0.0, 1.0)
            points = tuple(
                Point(at - start, value) for at, value in zip((ramp.start, ramp.end), values, strict=True)
            )
            envelopes.append(Envelope(Parameter.VOLUME, points))
    return fades[False], fades[True], tuple(envelopes)


def _automation(part: Part, start: float, remark: Remark) -> tuple[Envelope, ...]:
    found = []
    for points, frame in part.points:
        target = points.find("Target")
        expression = target.get("expression", "") if target is not None else ""
        parameter = EXPRESSIONS.get(expression)
        if parameter is None:
            remark(f"automation inside clips is left out: {expression or 'a parameter'}")
            continue
        unit = points.get("unit", "linear")
        read = envelope(points, parameter, unit, _from(start, frame), relative=True)
        if read and any(point.value != NEUTRAL[parameter] for point in read.points):
            found.append(read)
    return tuple(found)


def _from(start: float, frame: Frame) -> Callable[[float], float]:
    """Seconds since ``start`` of a time of ``frame``."""
    return lambda time: frame.seconds(time) - start
