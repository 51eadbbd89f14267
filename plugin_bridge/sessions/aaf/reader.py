"""Reads AAF files: one track for each sound slot of the composition, embedded audio and audio beside it.

Needs pyaaf2 (extra ``aaf``), which runs in a child process with a limit of time and memory.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PureWindowsPath
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from plugin_bridge.errors import AudioFileError, SessionError
from plugin_bridge.sessions.model import (
    ChannelMode,
    Clip,
    Envelope,
    Fade,
    Marker,
    Parameter,
    Point,
    PointShape,
    Session,
    Track,
)
from plugin_bridge.sessions.packed import PackedSource
from plugin_bridge.sessions.sources import MAX_SECONDS, MediaFolders
from separators import regular_files

LONGEST_SECONDS = 9.0
"""For a small file; larger ones have :data:`SECONDS_PER_MEGABYTE` more."""
SECONDS_PER_MEGABYTE = 1.0
LONGEST_OF_ALL = 600.0
CHILD = Path(__file__).with_name("facts.py")
COMPOUND_FILE = b"\xd0\xcf\x11\xe0"
SAMPLE_RATES = (1000, 768000)
DEFAULT_SAMPLE_RATE = 48000
LOUDEST = 1000.0


def read_aaf(path: Path, media_roots: Sequence[Path] = ()) -> Session:
    """Read the AAF at ``path``. Raises :class:`SessionError` if it is damaged, or pyaaf2 is not installed.

    Audio outside the file is looked for by its name in the file's folder and ``media_roots`` only.
    """
    try:
        regular_files.check(path)
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise SessionError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from error
    if head != COMPOUND_FILE:
        raise SessionError(f"{path}: not an AAF file (an OMF has no reader; export AAF instead)")
    if find_spec("aaf2") is None:
        raise SessionError(f"{path}: AAF files need pyaaf2; pip install 'stembridge[aaf]'")
    try:
        facts = json.loads(_child(path, "read", str(path)))
        return _session(path, facts, MediaFolders(path.parent, media_roots))
    except SessionError as error:
        raise SessionError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise SessionError(f"{path}: damaged") from error


def _child(path: Path, *arguments: str) -> str:
    """What the child prints; raises :class:`SessionError` with what it says went wrong."""
    allowed = min(LONGEST_OF_ALL, LONGEST_SECONDS + SECONDS_PER_MEGABYTE * path.stat().st_size / 1e6)
    try:
        ended = subprocess.run(  # noqa: S603 - this program
            [sys.executable, "-I", str(CHILD), *arguments],
            capture_output=True,
            text=True,
            timeout=allowed,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SessionError(f"damaged, or too large: reading it took more than {allowed:.0f} s") from None
    if ended.returncode:
        said = ended.stdout.strip().splitlines()
        raise SessionError(said[-1] if said else "damaged; it ended the process that read it")
    return ended.stdout


@dataclass(frozen=True)
class Essence:
    """Audio inside an AAF, what a clip plays."""

    path: Path
    mob: str

    def open(self, sample_rate: int) -> PackedSource:
        """The audio at its own rate; raises :class:`AudioFileError`."""
        said = f"{self.path.name}: embedded audio"
        try:
            stamp = self.path.stat().st_mtime_ns
        except OSError as error:
            raise AudioFileError(f"{said}: {error.strerror}") from error
        return PackedSource((self, stamp), self._unpack, said, ".wav")

    def _unpack(self, file: BinaryIO) -> None:
        try:
            _child(self.path, "unpack", str(self.path), self.mob, file.name)
        except SessionError as error:
            raise AudioFileError(f"{self.path.name}: {error}") from error


def _session(path: Path, facts: dict[str, Any], media: MediaFolders) -> Session:
    rates = Counter(clip["rate"] for track in facts["tracks"] for clip in track["clips"])
    known = {rate: count for rate, count in rates.items() if SAMPLE_RATES[0] <= rate <= SAMPLE_RATES[1]}
    rate = max(known, key=lambda rate: (known[rate], rate), default=DEFAULT_SAMPLE_RATE)
    session = Session(path, "aaf", rate, start=_seconds(facts["start"]))
    remarks = Counter[str]()
    for number, values in enumerate(facts["tracks"], 1):
        track = Track(values["name"], identifier=f"track {number}", pan=_within(values["pan"]))
        if points := [Point(_seconds(time), _within(pan)) for time, pan in values["pans"]]:
            track.envelopes.append(Envelope(Parameter.PAN, tuple(points), relative=False))
        track.clips = [_clip(path, one, media) for one in values["clips"]]
        for clip in track.clips:
            if clip.problem:
                remarks[f"{track.name}: {clip.problem}"] += 1
        session.tracks.append(track)
    session.markers = sorted(
        (Marker(_seconds(time), name) for time, name in facts["markers"]), key=lambda marker: marker.seconds
    )
    session.not_honoured = facts["remarks"] + [
        text if count == 1 else f"{text} ({count} times)" for text, count in remarks.items()
    ]
    return session


def _clip(path: Path, values: dict[str, Any], media: MediaFolders) -> Clip:
    source, essence, problem = _media(path, values, media)
    position, gain = _seconds(values["position"]), float(values["gain"])
    if not abs(gain) <= LOUDEST:
        raise SessionError(f"a clip's gain of {gain:g}")
    shape = PointShape.HOLD if values["is_held"] else PointShape.LINEAR
    points = tuple(Point(_seconds(time) - position, float(value), shape) for time, value in values["points"])
    side, wide = int(values.get("side", 0)), int(values["wide"])
    return Clip(
        source,
        position,
        _seconds(values["length"]),
        _seconds(values["offset"]),
        gain=gain,
        fade_in=Fade(_seconds(values["fade_in"])),
        fade_out=Fade(_seconds(values["fade_out"])),
        pan=2.0 * side - 1 if values.get("sides") == 2 else _within(values["pan"]),
        channel_mode=ChannelMode.SINGLE if wide > 1 else ChannelMode.ALL,
        first_channel=int(values["channel"]),
        name=values["name"],
        problem=problem,
        material=essence,
        envelopes=(Envelope(Parameter.VOLUME, points),) if points else (),
    )


def _media(path: Path, values: dict[str, Any], media: MediaFolders) -> tuple[Path, Essence | None, str]:
    """The file that a clip plays, or what is embedded, and why it cannot be played."""
    if values["embedded"]:
        return path.resolve(), Essence(path.resolve(), values["embedded"]), ""
    names = [name for url in values["urls"] for name in _names(url)]
    found = [media.find(name) for name in names]
    if not found:
        return path, None, f"{values['name'] or 'a clip'} names no file"
    where, trouble = ([one for one in found if not one[1]] or found[-1:])[0]
    return where, None, f"{PureWindowsPath(names[-1]).name} {trouble}" if trouble else ""


def _names(url: str) -> list[str]:
    """The path in a URL, and the file's name alone: the media may have moved together with the AAF."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return []
    whole = unquote(parts.path if parts.scheme == "file" else url)
    name = PureWindowsPath(whole).name
    return [whole, name] if name else []


def _seconds(value: float) -> float:
    seconds = float(value)
    if not (math.isfinite(seconds) and abs(seconds) <= MAX_SECONDS):
        raise SessionError(f"a time of {seconds:g} s; it must lie within {MAX_SECONDS:.0f} s")
    return seconds


def _within(value: float) -> float:
    return min(1.0, max(-1.0, float(value)))
