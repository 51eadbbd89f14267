"""What an AAF says, as plain values: a script of its own, run in a child process, since pyaaf2 trusts files.

A damaged file may make it loop, recurse or fill the memory; here that ends the child. ``read FILE`` prints
the facts as JSON, ``unpack FILE MOB OUT`` writes embedded audio. Nothing else of this package is imported.

Positions are seconds: edit units (samples, frames) of the slot that holds them, divided by its edit rate. A
transition overlaps what stands before and behind it, which fade out and in.
"""

from __future__ import annotations

import json
import logging
import sys
import wave
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aaf2

MEMORY = 4 << 30
"""Bytes that the child may take."""
FAILED = 3
MAX_DEPTH = 64
MOST_COMPONENTS = 100_000
MOST_CHARACTERS = 64 << 20
"""Of the facts: a hundred thousand clips may share one name of megabytes."""
GAINS = ("Mono Audio Gain", "Stereo Audio Gain", "Audio Gain", "MonoAudioGain", "StereoAudioGain")
PANS = ("Mono Audio Pan", "Audio Pan", "MonoAudioPan", "Stereo Audio Pan")
DISSOLVES = ("Audio Dissolve", "Mono Audio Dissolve", "MonoAudioDissolve", "Stereo Audio Dissolve")
COMBINERS = ("Audio Channel Combiner", "AudioChannelCombiner")
GAIN_PARAMETERS = ("Amplitude multiplier", "Amplitude", "Level")
PAN_PARAMETERS = ("Pan value", "Pan")
CLIP_AUTOMATION = "AvidControlClipRatio"
"""Media Composer's, whose units are described nowhere."""
HELD = "ConstantInterp"
CLIPS_OF_BINS = ("Usage_SubClip", "Usage_AdjustedClip")
"""Compositions that stand for one clip; what they do to it is repeated around the clip in the sequence."""
SOUND = ("Sound", "LegacySound", "Audio Essence Track")
RIFF_HEADS = (b"RIFF", b"RF64", b"FORM")


class AafError(Exception):
    """An AAF that cannot be read; one line."""


@dataclass(frozen=True)
class Place:
    """Where a segment lies, and what the operations around it do."""

    start: float = 0.0
    gain: float = 1.0
    points: tuple[tuple[float, float], ...] = ()
    """Of a gain that moves: seconds of the session and gains."""
    is_held: bool = False
    """Whether it jumps from point to point."""
    pan: float = 0.0
    """-1..1."""
    fade_in: float = 0.0
    fade_out: float = 0.0
    channels: int = 1


@dataclass
class Facts:
    """What a session needs to know of an AAF; see :mod:`.reader`."""

    name: str = ""
    start: float = 0.0
    tracks: list[dict[str, Any]] = field(default_factory=list)
    markers: list[tuple[float, str]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def read(path: Path) -> dict[str, Any]:
    """The facts of the AAF at ``path`` as JSON can hold them."""
    with aaf2.open(str(path), "r") as file:
        return vars(_Reader(file).facts)


class _Reader:
    def __init__(self, file: Any) -> None:
        self.facts = Facts()
        self.remarks: Counter[str] = Counter()
        self.components = 0
        self.mobs = {mob.mob_id: mob for mob in file.content.mobs}
        self.embedded = {data.mob_id for data in file.content.essencedata}
        top = list(file.content.toplevel())
        compositions = top or list(file.content.compositionmobs())
        if not compositions:
            raise AafError("it holds no composition, only media")
        read = [(self._composition(mob), self.remarks) for mob in compositions]
        # Of several the first that plays anything; where none is said to stand for itself, the one that plays
        # most, since the others are parts of it.
        counts = [sum(len(track["clips"]) for track in facts.tracks) for facts, _ in read]
        best = counts.index(max(counts))
        if top:
            best = next((index for index, count in enumerate(counts) if count), 0)
        self.facts, self.remarks = read[best]
        if len(compositions) > 1:
            said = f"of {len(compositions)} compositions {self.facts.name!r:.80} is read"
            self.remarks[f"Session: {said}"] += 1
        self.facts.remarks = [
            text if count == 1 else f"{text} ({count} times)" for text, count in self.remarks.items()
        ]

    def _composition(self, mob: Any) -> Facts:
        self.facts, self.remarks = Facts(mob.name or ""), Counter()
        for slot in mob.slots:
            self._slot(slot)
        return self.facts

    def _slot(self, slot: Any) -> None:
        rate = float(getattr(slot, "edit_rate", 0) or 0)
        segment = slot.segment
        if rate <= 0 or segment is None:
            return
        kind = type(segment).__name__
        if kind == "Timecode" and self.facts.start == 0:
            self.facts.start = max(0.0, float(segment.get("Start").value) / rate)
        elif type(slot).__name__ == "EventMobSlot":
            self._events(segment, rate)
        elif slot.media_kind in SOUND:
            name = slot.name or f"Track {len(self.facts.tracks) + 1}"
            track: dict[str, Any] = {"name": name, "clips": [], "gain": 1.0, "pan": 0.0, "pans": []}
            self.facts.tracks.append(track)
            self._segment(track, segment, rate, Place(), 0)

    def _events(self, segment: Any, rate: float) -> None:
        for event in getattr(segment, "components", []):
            position, comment = event.get("Position"), event.get("Comment")
            if position is not None:
                self.facts.markers.append(
                    (float(position.value) / rate, str(comment.value) if comment else "")
                )

    def _remark(self, track: dict[str, Any], text: str) -> None:
        self.remarks[f"{track['name']}: {text}"] += 1

    def _segment(self, track: dict[str, Any], segment: Any, rate: float, place: Place, depth: int) -> None:
        self.components += 1
        if depth > MAX_DEPTH or self.components > MOST_COMPONENTS:
            raise AafError("its composition is nested too deep or holds too much")
        match type(segment).__name__:
            case "Sequence":
                self._sequence(track, segment, rate, place, depth)
            case "SourceClip":
                self._clip(track, segment, rate, place, depth)
            case "OperationGroup":
                self._operation(track, segment, rate, place, depth)
            case "Selector":
                chosen = segment.get("Selected")
                if chosen is not None:
                    self._segment(track, chosen.value, rate, place, depth + 1)
            case "NestedScope":
                inner = list(segment.slots)
                if inner:
                    self._segment(track, inner[-1], rate, place, depth + 1)
            case "EssenceGroup":
                choices = segment.get("Choices")
                if choices is not None and len(choices.value):
                    self._segment(track, list(choices.value)[0], rate, place, depth + 1)  # noqa: RUF015
            case "Filler" | "ScopeReference":
                pass
            case kind:
                self._remark(track, f"a {kind} is left out")

    def _sequence(self, track: dict[str, Any], sequence: Any, rate: float, place: Place, depth: int) -> None:
        components = list(sequence.components)
        at = 0
        for index, component in enumerate(components):
            length = int(component.length or 0)
            if type(component).__name__ == "Transition":
                at -= length
                effect = component.get("OperationGroup")
                name = _operation_name(effect.value) if effect is not None else ""
                if name and name not in DISSOLVES:
                    self._remark(track, f"a transition by {name} is played as a linear dissolve")
                continue
            inner = replace(
                place,
                start=place.start + at / rate,
                fade_in=_fade(components, index - 1, rate) or (place.fade_in if at == 0 else 0.0),
                fade_out=_fade(components, index + 1, rate)
                or (place.fade_out if index + 1 == len(components) else 0.0),
            )
            self._segment(track, component, rate, inner, depth + 1)
            at += length

    def _operation(self, track: dict[str, Any], group: Any, rate: float, place: Place, depth: int) -> None:
        name = _operation_name(group)
        inputs = list(group.segments)
        length = float(group.length or 0) / rate
        if name in GAINS:
            value, points, is_held = _parameter(group, GAIN_PARAMETERS)
            if points and place.points:
                self._remark(track, "of two gains that move one is left out")
            elif points:
                moved = tuple((place.start + part * length, gain) for part, gain in points)
                place = replace(place, points=moved, is_held=is_held)
            elif value is not None:
                place = replace(place, gain=place.gain * value)
            moves, points, _ = _parameter(group, (CLIP_AUTOMATION,))
            if points or moves not in (None, 1.0):
                self._remark(track, f"automation of clips ({CLIP_AUTOMATION}) is left out")
        elif name in PANS:
            value, points, _ = _parameter(group, PAN_PARAMETERS)
            values = {pan for _, pan in points} or ({value} if value is not None else set())
            if depth == 0 and len(values) == 1:
                track["pan"] = 2 * values.pop() - 1
            elif depth == 0 and points:
                track["pans"] = [(place.start + part * length, 2 * pan - 1) for part, pan in points]
            elif len(values) == 1:
                place = replace(place, pan=2 * values.pop() - 1)
            elif points:
                self._remark(track, "pans that move inside clips are left out")
        elif name in COMBINERS:
            for index, one in enumerate(inputs):
                combined = {"name": track["name"], "clips": [], "gain": 1.0, "pan": 0.0, "pans": []}
                self._segment(combined, one, rate, replace(place, channels=len(inputs)), depth + 1)
                for clip in combined["clips"]:
                    track["clips"].append({**clip, "side": index, "sides": len(inputs)})
            return
        elif name not in DISSOLVES:
            self._remark(track, f"the effect {name or 'without a name'} is left out")
        for one in inputs[:1]:
            self._segment(track, one, rate, place, depth + 1)

    def _clip(self, track: dict[str, Any], clip: Any, rate: float, place: Place, depth: int) -> None:
        length = float(clip.length or 0) / rate
        if length <= 0 or clip.mob is None:
            if clip.mob_id and clip.mob_id.int and length > 0:
                self._remark(track, "a clip of media that the file does not describe is left out")
            return
        offset = float(clip.start or 0) / rate
        if type(clip.mob).__name__ == "CompositionMob" and str(clip.mob.usage) not in CLIPS_OF_BINS:
            slot = next((one for one in clip.mob.slots if one.slot_id == clip.slot_id), None)
            if slot is not None and slot.segment is not None:
                self._nested(track, slot, replace(place, start=place.start - offset), length, offset, depth)
                return
        media = self._media(clip.mob, clip.slot_id, offset)
        track["clips"].append(
            {
                "position": place.start,
                "length": length,
                "gain": place.gain,
                "points": place.points,
                "is_held": place.is_held,
                "pan": place.pan,
                "fade_in": place.fade_in,
                "fade_out": place.fade_out,
                "name": clip.mob.name or "",
                **media,
            }
        )

    def _nested(
        self, track: dict[str, Any], slot: Any, place: Place, length: float, offset: float, depth: int
    ) -> None:
        """What a sequence inside the sequence plays, cut to the clip that plays it."""
        rate = float(getattr(slot, "edit_rate", 0) or 0)
        if rate <= 0:
            return
        inner = {**track, "clips": []}
        self._segment(inner, slot.segment, rate, replace(place, fade_in=0.0, fade_out=0.0), depth + 1)
        begin = place.start + offset
        end = begin + length
        for clip in inner["clips"]:
            late = max(0.0, begin - clip["position"])
            early = max(0.0, clip["position"] + clip["length"] - end)
            rest = clip["length"] - late - early
            if rest <= 0:
                continue
            cut = {"position": clip["position"] + late, "offset": clip["offset"] + late, "length": rest}
            begins, ends = cut["position"] - begin < 1 / rate, end - cut["position"] - rest < 1 / rate
            cut["fade_in"] = place.fade_in if begins else 0.0 if late else clip["fade_in"]
            cut["fade_out"] = place.fade_out if ends else 0.0 if early else clip["fade_out"]
            track["clips"].append({**clip, **cut})

    def _media(self, mob: Any, slot_id: int, offset: float) -> dict[str, Any]:
        """The file at the end of the chain of mobs, and where in it the clip begins."""
        for _ in range(MAX_DEPTH):
            slot = next((one for one in mob.slots if one.slot_id == slot_id), None)
            descriptor = getattr(mob, "descriptor", None)
            if descriptor is not None:
                found = self._file(mob, descriptor, slot)
                if found["urls"] or found["embedded"]:
                    origin = slot.get("Origin") if slot is not None else None
                    rate = float(getattr(slot, "edit_rate", 0) or 0)
                    shift = float(origin.value) / rate if origin is not None and rate > 0 else 0.0
                    return {**found, "offset": offset + shift}
            inner = _source_at(slot, offset) if slot is not None else None
            if inner is None:
                break
            clip, offset = inner
            if clip.mob is None:
                break
            mob, slot_id = clip.mob, clip.slot_id
        return {"urls": [], "embedded": "", "offset": offset, "rate": 0, "channel": 0, "wide": 1}

    def _file(self, mob: Any, descriptor: Any, slot: Any) -> dict[str, Any]:
        parts = [descriptor, *(_value(descriptor, "FileDescriptors") or [])]
        urls = []
        for part in parts:
            for locator in _value(part, "Locator") or []:
                if text := _value(locator, "URLString"):
                    urls.append(str(text))
        rate = next((r for part in parts if (r := _sound_rate(part))), 0)
        wide = next((int(n) for part in parts if (n := _value(part, "Channels"))), 1)
        number = _value(slot, "PhysicalTrackNumber") if slot is not None else None
        channel = int(number or 1) - 1 if wide > 1 else 0
        return {
            "urls": urls,
            "embedded": str(mob.mob_id) if mob.mob_id in self.embedded else "",
            "rate": rate,
            "channel": max(0, min(channel, wide - 1)),
            "wide": wide,
        }


def _value(item: Any, name: str) -> Any:
    found = item.get(name)
    return None if found is None else found.value


def _sound_rate(descriptor: Any) -> int:
    for name in ("AudioSamplingRate", "SampleRate"):
        rate = _value(descriptor, name)
        if rate and float(rate) >= 1000:
            return round(float(rate))
    return 0


def _operation_name(group: Any) -> str:
    operation = getattr(group, "operation", None)
    return "" if operation is None else str(operation.name)


def _parameter(group: Any, names: tuple[str, ...]) -> tuple[float | None, list[tuple[float, float]], bool]:
    """A constant, or points: parts of the length, and values; whether those are held up to the next."""
    for parameter in group.parameters or []:
        if parameter.name not in names:
            continue
        if hasattr(parameter, "pointlist"):
            points = sorted((float(point.time), float(point.value)) for point in parameter.pointlist)
            if len({value for _, value in points}) == 1:
                return points[0][1], [], False
            curve = getattr(parameter, "interpolation", None)
            return None, points, getattr(curve, "name", "") == HELD
        return float(parameter.value), [], False
    return None, [], False


def _fade(components: list[Any], index: int, rate: float) -> float:
    """The length of the transition at ``index``, if there is one."""
    if 0 <= index < len(components) and type(components[index]).__name__ == "Transition":
        return float(components[index].length or 0) / rate
    return 0.0


def _source_at(slot: Any, offset: float) -> tuple[Any, float] | None:
    """The source clip that a slot plays ``offset`` seconds from its start, and the offset in its source."""
    rate = float(getattr(slot, "edit_rate", 0) or 0)
    segment = slot.segment
    if rate <= 0 or segment is None:
        return None
    start = 0.0
    waiting = [segment]
    while waiting:
        one = waiting.pop(0)
        kind = type(one).__name__
        if kind == "SourceClip":
            length = float(one.length or 0) / rate
            if not waiting or offset < start + length:
                return one, float(one.start or 0) / rate + offset - start
            start += length
        elif kind == "Sequence":
            waiting = list(one.components)[:MOST_COMPONENTS] + waiting
        elif kind == "OperationGroup":
            waiting = list(one.segments)[:1] + waiting
        elif kind == "EssenceGroup":
            waiting = list(_value(one, "Choices") or [])[:1] + waiting
        elif kind != "Transition":
            start += float(getattr(one, "length", 0) or 0) / rate
    return None


def unpack(path: Path, mob_id: str, out: Path) -> None:
    """Write the essence of a mob inside the AAF as an audio file."""
    with aaf2.open(str(path), "r") as file:
        data = next((one for one in file.content.essencedata if str(one.mob_id) == mob_id), None)
        mob = next((one for one in file.content.mobs if str(one.mob_id) == mob_id), None)
        if data is None or mob is None:
            raise AafError("its embedded audio is missing")
        stream = data.open("r")
        head = stream.read(4)
        stream.seek(0)
        if head in RIFF_HEADS:
            with out.open("wb") as raw:
                while block := stream.read(1 << 20):
                    raw.write(block)
            return
        descriptor = mob.descriptor
        bits, channels = (
            int(_value(descriptor, "QuantizationBits") or 16),
            int(_value(descriptor, "Channels") or 1),
        )
        if not (8 <= bits <= 32 and 1 <= channels <= 128):
            raise AafError(f"its embedded audio has {bits} bits and {channels} channels")
        with wave.open(str(out), "wb") as sound:
            sound.setnchannels(channels)
            sound.setsampwidth((bits + 7) // 8)
            sound.setframerate(_sound_rate(descriptor) or 48000)
            while block := stream.read(1 << 20):
                sound.writeframesraw(block)


def _json(facts: dict[str, Any]) -> str:
    pieces, size = [], 0
    for piece in json.JSONEncoder().iterencode(facts):
        pieces.append(piece)
        size += len(piece)
        if size > MOST_CHARACTERS:
            raise AafError("what it says is longer than a session can be")
    return "".join(pieces)


def main(arguments: list[str]) -> int:
    """Do what ``arguments`` say; errors are one line on the standard output."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    logging.disable()
    command, path, *rest = arguments
    try:
        if command == "read":
            print(_json(read(Path(path))))
        else:
            unpack(Path(path), rest[0], Path(rest[1]))
    except AafError as error:
        print(error)
        return FAILED
    except Exception as error:
        print(f"damaged ({type(error).__name__})")
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
