"""Reads Audacity projects (``.aup3``): tracks, clips with trims, stretches, envelopes; labels."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from plugin_bridge.errors import SessionError
from plugin_bridge.sessions.audacity.database import Block, Blocks, Database
from plugin_bridge.sessions.audacity.document import parse
from plugin_bridge.sessions.model import (
    Clip,
    Envelope,
    Marker,
    Parameter,
    Point,
    Scale,
    Session,
    TempoChange,
    Track,
)
from plugin_bridge.sessions.sources import MAX_SECONDS
from plugin_bridge.sessions.xml import number, seconds, whole

SAMPLE_RATES = (1000, 768000)
STRETCHES = (1 / 64, 64.0)
TEMPOS = (1.0, 10000.0)
FAINTEST = 1e-7
"""The lowest value of Audacity's envelopes, which move evenly in decibels."""
LOUDEST = 1000.0


def read_audacity(path: Path, media_roots: Sequence[Path] = ()) -> Session:
    """Read the project at ``path``; its audio lies inside. Raises :class:`SessionError` if it is damaged."""
    with Database(path) as database:
        dictionary, document, is_autosave = database.document()
    try:
        root = parse(dictionary, document)
        if root.tag != "project":
            raise SessionError(f"not an Audacity project (its document holds <{root.tag:.80}>)")
        reader = _ProjectReader(path, root)
    except SessionError as error:
        raise SessionError(f"{path}: {error}") from error
    if is_autosave:
        reader.remark("Project", "was never saved; what Audacity saved by itself is read")
    if _is_filled(path.with_name(path.name + "-wal")):
        reader.remark("Project", "was not closed; what Audacity has not put into the file yet is left out")
    return reader.finished()


def _is_filled(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


class _ProjectReader:
    def __init__(self, path: Path, root: Element) -> None:
        self.path = path.resolve()
        self.remarks: Counter[str] = Counter()
        self.session = Session(path, "audacity", _rate(root, 44100))
        self.tempo = number(root, "time_signature_tempo", 120.0)
        if not TEMPOS[0] <= self.tempo <= TEMPOS[1]:
            raise SessionError(f"a tempo of {self.tempo:g} beats a minute")
        upper, lower = whole(root, "time_signature_upper", 4), whole(root, "time_signature_lower", 4)
        self.session.tempo = [TempoChange(0.0, self.tempo, min(max(upper, 1), 999), min(max(lower, 1), 999))]
        self._read_tracks(root)
        for label in root.iterfind("labeltrack/label"):
            start, end = seconds(label, "t"), seconds(label, "t1")
            self.session.markers.append(Marker(start, label.get("title", ""), max(0.0, end - start)))
        self.session.markers.sort(key=lambda marker: marker.seconds)
        if root.find("timetrack") is not None:
            self.remark("Project", "a time track, which bends all speeds, is left out")
        for track in root.iterfind("notetrack"):
            self.remark(track.get("name", "") or "A MIDI track", "MIDI tracks are not played")
        self._remark_on_effects("Master", root)

    def remark(self, where: str, text: str) -> None:
        self.remarks[f"{where}: {text}"] += 1

    def finished(self) -> Session:
        self.session.not_honoured = [
            text if count == 1 else f"{text} ({count} times)" for text, count in self.remarks.items()
        ]
        return self.session

    def _remark_on_effects(self, where: str, element: Element) -> None:
        effects = element.find("effects")
        if effects is not None and effects.get("active", "1") not in ("0", "false"):
            for effect in effects.iterfind("effect"):
                name = effect.get("id", "unnamed").split("_")[-1]
                self.remark(where, f"the real-time effect {name} is left out")

    def _read_tracks(self, root: Element) -> None:
        elements = list(root.iterfind("wavetrack"))
        index = 0
        while index < len(elements):
            first = elements[index]
            pair = elements[index : index + 2] if whole(first, "linked") else [first]
            index += len(pair)
            self._read_track(pair)

    def _read_track(self, pair: Sequence[Element]) -> None:
        """A mono track, or the two halves of a stereo one, whose clips go together."""
        first = pair[0]
        count = len(self.session.tracks) + 1
        gain = number(first, "gain", 1.0)
        if not 0 <= gain <= LOUDEST:
            raise SessionError(f"a track's gain of {gain:g}")
        track = Track(
            first.get("name", "") or f"Track {count}",
            identifier=f"track {count}",
            volume=gain,
            pan=min(1.0, max(-1.0, number(first, "pan"))),
            muted=whole(first, "mute") != 0,
            soloed=whole(first, "solo") != 0,
            channels=len(pair),
        )
        rate = _rate(first, self.session.sample_rate)
        halves = [list(one.iterfind("waveclip")) for one in pair]
        for place, clip in enumerate(halves[0]):
            others = [half[place] for half in halves[1:] if place < len(half)]
            self._read_clip(track, [clip, *others], rate)
        if any(len(half) != len(halves[0]) for half in halves):
            self.remark(track.name, "clips of one channel only are played on both")
        self._remark_on_effects(track.name, first)
        self.session.tracks.append(track)

    def _read_clip(self, track: Track, halves: Sequence[Element], rate: int) -> None:
        clip = halves[0]
        sequences = [sequence for half in halves for sequence in half.iterfind("sequence")]
        frames = max((_frames(sequence) for sequence in sequences), default=0)
        ratio = number(clip, "clipStretchRatio", 1.0)
        if (raw := number(clip, "rawAudioTempo")) > 0:
            ratio *= raw / self.tempo
        if not STRETCHES[0] <= ratio <= STRETCHES[1]:
            raise SessionError(f"a clip is stretched to {ratio:g} times its length")
        trim_left, trim_right = seconds(clip, "trimLeft"), seconds(clip, "trimRight")
        length = frames / rate * ratio - trim_left - trim_right
        position = seconds(clip, "offset") + trim_left
        if length <= 0 or not sequences:
            return
        if position + length > MAX_SECONDS:
            raise SessionError(f"a clip of {length:g} s at {position:g} s, which no music is")
        cents = whole(clip, "centShift")
        track.clips.append(
            Clip(
                self.path,
                position,
                length,
                trim_left / ratio,
                rate=1 / ratio,
                keep_pitch=ratio != 1,
                pitch=min(48.0, max(-48.0, cents / 100)),
                name=clip.get("name", ""),
                envelopes=_envelopes(clip, trim_left),
                material=Blocks(self.path, rate, frames, tuple(map(_blocks, sequences))),
            )
        )


def _rate(element: Element, default: int) -> int:
    rate = number(element, "rate", default)
    if not SAMPLE_RATES[0] <= rate <= SAMPLE_RATES[1]:
        raise SessionError(
            f"a sample rate of {rate:g} Hz; it must lie in {SAMPLE_RATES[0]} to {SAMPLE_RATES[1]}"
        )
    return round(rate)


def _frames(sequence: Element) -> int:
    frames = whole(sequence, "numsamples")
    if not 0 <= frames <= MAX_SECONDS * SAMPLE_RATES[1]:
        raise SessionError(f"a clip of {frames} samples")
    return frames


def _blocks(sequence: Element) -> tuple[Block, ...]:
    found = [(whole(block, "start"), whole(block, "blockid")) for block in sequence.iterfind("waveblock")]
    return tuple(sorted(found))


def _envelopes(clip: Element, trim_left: float) -> tuple[Envelope, ...]:
    """The clip's envelope, whose times count from the start of its untrimmed audio."""
    points = []
    for element in clip.iterfind("envelope/controlpoint"):
        value = number(element, "val", 1.0)
        if not 0 <= value <= LOUDEST or not math.isfinite(value):
            raise SessionError(f"an envelope's value of {value:g}")
        points.append(Point(seconds(element, "t") - trim_left, max(FAINTEST, value)))
    points.sort(key=lambda point: point.seconds)
    if all(point.value == 1 for point in points):
        return ()
    return (Envelope(Parameter.VOLUME, tuple(points), Scale.DECIBELS),)
