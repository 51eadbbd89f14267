"""What a DAWproject's clips play: nested clips, loops, warps and references laid out on one timeline.

Every timeline inside a clip counts beats or seconds from a place on the session's timeline (a frame);
what it holds is heard inside the clips around it only (a window of absolute seconds).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from xml.etree.ElementTree import Element

from plugin_bridge.errors import SessionError
from plugin_bridge.sessions.beats import Frame
from plugin_bridge.sessions.dawproject.schema import CHOICES, WORDS
from plugin_bridge.sessions.sources import MAX_SECONDS
from plugin_bridge.sessions.xml import number, switch

MAX_DEPTH = 32
"""Of clips inside clips, references followed."""
MOST_NOTES = 250_000
"""Notes that one project is laid out to, repeats of loops and all."""
CLIP = 5
"""What a clip or a repeat of a loop counts for among them."""
SHORTEST_LOOP = 1e-3
"""Seconds or beats; shorter ones are not repeated."""

Remark = Callable[[str], None]


@dataclass(frozen=True)
class Ramp:
    """A fade of a clip, in seconds of the session."""

    start: float
    end: float
    is_out: bool


@dataclass(frozen=True)
class Part:
    """Audio or notes, with all that the clips around them do to them."""

    content: Element
    """An ``Audio``, ``Warps`` or ``Note``."""
    frame: Frame
    start: float
    """From here on it is heard, seconds of the session."""
    end: float
    """Infinite if no clip ends it."""
    ramps: tuple[Ramp, ...] = ()
    points: tuple[tuple[Element, Frame], ...] = ()
    """Automation beside it, inside a clip."""
    muted: bool = False
    name: str = ""


class Layout:
    """Lays clips out; one for all clips of a project, so that all of them together are bounded."""

    def __init__(self, references: Mapping[str, Element], remark: Remark) -> None:
        self.references = references
        self.remark = remark
        self._steps = 0

    def parts(self, timeline: Element, frame: Frame) -> Iterator[Part]:
        """All audio and notes of a track's timeline."""
        return self._visit(Part(timeline, frame, -MAX_SECONDS, math.inf), 0)

    def _visit(self, part: Part, depth: int) -> Iterator[Part]:
        element = part.content
        self._count(CLIP)
        if depth > MAX_DEPTH:
            raise SessionError(f"clips nested deeper than {MAX_DEPTH}, or one that holds itself")
        match element.tag:
            case "Clip":
                yield from self._clip(part, depth)
            case "Audio" | "Warps":
                yield part
            case "Notes":
                frame = frame_of(element, part.frame)
                for note in element.iterfind("Note"):
                    self._count(1)
                    yield replace(part, content=note, frame=frame)
            case "Clips" | "Lanes" | "ClipSlot":
                frame = frame_of(element, part.frame)
                points = tuple((lane, frame_of(lane, frame)) for lane in element.iterfind("Points"))
                inner = replace(part, frame=frame, points=part.points + (points if depth else ()))
                for child in element:
                    yield from self._visit(replace(inner, content=child), depth + 1)
            case "Video":
                self.remark("video is left out")

    def _clip(self, part: Part, depth: int) -> Iterator[Part]:
        clip, frame = part.content, part.frame
        content = self._content(clip)
        if content is None:
            return
        time = number(clip, "time")
        start = frame.seconds(time)
        play_start = number(clip, "playStart")
        inner = frame.inner(time, unit_of(clip, "contentTimeUnit", frame.unit), play_start)
        end = math.inf
        if clip.get("duration") is not None:
            end = frame.seconds(time + max(0.0, number(clip, "duration")))
        loop_start, loop_end = number(clip, "loopStart"), number(clip, "loopEnd", -math.inf)
        is_loop = loop_end - loop_start > SHORTEST_LOOP and play_start < loop_end
        if clip.get("playStop") is not None and not is_loop:
            end = min(end, inner.seconds(number(clip, "playStop")))
        start, end, ramps = _with_fades(clip, frame, start, end)
        whole = replace(
            part,
            content=content,
            start=max(part.start, start),
            end=min(part.end, end),
            ramps=part.ramps + ramps,
            muted=part.muted or not switch(clip, "enable", True),
            name=clip.get("name") or part.name,
        )
        if whole.end <= whole.start:
            return
        if not is_loop or whole.end == math.inf:
            yield from self._visit(replace(whole, frame=inner), depth + 1)
            return
        yield from self._repeats(whole, inner, play_start, loop_start, loop_end, depth)

    def _repeats(
        self, whole: Part, inner: Frame, play_start: float, loop_start: float, loop_end: float, depth: int
    ) -> Iterator[Part]:
        """The content as far as the loop's end, then the loop again and again."""
        first, content = play_start, play_start
        while True:
            # At the time ``first`` of the inner timeline the content ``content`` begins.
            last = first + loop_end - content
            start, end = inner.seconds(first), inner.seconds(last)
            if start >= whole.end:
                return
            if end > whole.start:
                # What lies before the first repeat is a negative fade's, and played from there.
                begin = whole.start if first == play_start else max(start, whole.start)
                once = replace(whole, start=begin, end=min(end, whole.end))
                frame = replace(inner, origin=inner.origin + first - content)
                yield from self._visit(replace(once, frame=frame), depth + 1)
            self._count(CLIP)
            first, content = last, loop_start

    def _content(self, clip: Element) -> Element | None:
        for child in clip:
            if child.tag in CHOICES["AnyTimeline"]:
                return child
        return self.references.get(clip.get("reference", ""))

    def _count(self, steps: int) -> None:
        self._steps += steps
        if self._steps > MOST_NOTES:
            raise SessionError(
                f"more than {MOST_NOTES} notes, or {MOST_NOTES // CLIP} clips and repeats of loops"
            )


def frame_of(element: Element, frame: Frame) -> Frame:
    """The same place as ``frame``, in the unit that ``element`` asks for."""
    return frame.inner(0.0, unit_of(element, "timeUnit", frame.unit), 0.0)


def unit_of(element: Element, name: str, default: str) -> str:
    """The time unit in the attribute ``name``."""
    unit = element.get(name, default)
    if unit not in WORDS["timeUnit"].split():
        raise SessionError(f"<{element.tag}> holds {name}={unit!r:.80}; it must be beats or seconds")
    return unit


def _with_fades(
    clip: Element, frame: Frame, start: float, end: float
) -> tuple[float, float, tuple[Ramp, ...]]:
    """The clip's place and its fades; a negative one is a crossfade, for which the clip reaches further."""
    ramps = []
    unit = unit_of(clip, "fadeTimeUnit", frame.unit)
    if fade := number(clip, "fadeInTime"):
        edge = frame.inner(frame.time(start), unit, 0.0).seconds(fade)
        ramps.append(Ramp(min(start, edge), max(start, edge), False))
        start = min(start, edge)
    if (fade := number(clip, "fadeOutTime")) and end < math.inf:
        edge = frame.inner(frame.time(end), unit, 0.0).seconds(-fade)
        ramps.append(Ramp(min(end, edge), max(end, edge), True))
        end = max(end, edge)
    return start, end, tuple(ramps)
