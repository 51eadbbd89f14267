"""What DAWs do when they export all tracks: split stereo, a bounce of the mix among the tracks, time stamps.

A pair of mono files called alike but for L and R is one stereo track. A file that is called like a mix is one
only if it also is the sum of the others, measured. Stamps count from midnight and may pass it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from plugin_bridge.audio.files import AudioFileSource, AudioInfo
from plugin_bridge.errors import AudioFileError
from separators.base import Audio

DAY = 24 * 3600.0
CLOCK_START = 60.0
"""Exports whose earliest stamp is later than this begin by the DAW's clock, not at the song's 0."""
HOUR = 3600.0
SIDE = re.compile(r"(?P<name>.+?)[ ._-](?P<side>L|R|left|right)", re.IGNORECASE)
MIX = re.compile(
    r"(?:.*[ _.-])?"
    r"(?:stereo[ _-]?out(?:put)?|master|mix ?down|full ?mix|mix|main(?:[ _-]?out)?|2[ _-]?bus|bounce)"
    r"(?:[ _.-]*\d+)?",
    re.IGNORECASE,
)
"""Names of bounces of the whole mix."""
EXCERPTS = 8
EXCERPT = 1.0
"""Seconds."""
NOT_THE_SUM = 0.1
"""A mix may be its tracks' sum at another level, and differ from it by less than this part (-20 dB)."""


def natural(path: Path) -> list[tuple[bool, int, str]]:
    """The order in which people number: ``9 Kick`` before ``10 Snare``.

    >>> sorted([Path("10 b"), Path("9 a"), Path("A")], key=natural)[0].name
    '9 a'
    """
    words = re.split(r"(\d+)", path.name.casefold())
    return [(not word.isdigit(), int(word) if word.isdigit() else 0, word) for word in words if word]


@dataclass(frozen=True)
class Part:
    """One track of the export: a file, or the two of a split stereo track."""

    name: str
    files: tuple[Path, ...]


def parts(files: Sequence[Path], infos: Mapping[Path, AudioInfo | str]) -> list[Part]:
    """The tracks that ``files`` are, in natural order."""
    sides: dict[tuple[str, str], Path] = {}
    for file in files:
        info = infos[file]
        if (found := SIDE.fullmatch(file.stem)) and isinstance(info, AudioInfo) and info.channels == 1:
            sides[found["name"], found["side"].lower()[0] + file.suffix.lower()] = file
    pairs: dict[Path, Part] = {}
    for (name, side), left in sides.items():
        right = sides.get((name, "r" + side[1:])) if side[0] == "l" else None
        if right is not None and _belong_together(infos[left], infos[right]):
            pairs[left] = pairs[right] = Part(name, (left, right))
    found_parts = (pairs.get(file, Part(file.stem, (file,))) for file in sorted(files, key=natural))
    return list(dict.fromkeys(found_parts))


def _belong_together(left: AudioInfo | str, right: AudioInfo | str) -> bool:
    if isinstance(left, str) or isinstance(right, str):
        return False
    return (left.sample_rate, left.frames, left.time_reference) == (
        right.sample_rate,
        right.frames,
        right.time_reference,
    )


def stamped_seconds(infos: Sequence[AudioInfo]) -> dict[Path, float]:
    """The time stamps as seconds on one clock: past midnight they go on, and a 0 that none shares is none."""
    stamps = {
        info.path: info.time_reference / info.sample_rate for info in infos if info.time_reference is not None
    }
    others = [seconds for seconds in stamps.values() if seconds > 0]
    if others and min(others) >= HOUR and max(others) < DAY - HOUR:
        stamps = {path: seconds for path, seconds in stamps.items() if seconds > 0}
    if stamps and max(stamps.values()) < DAY and max(stamps.values()) - min(stamps.values()) > DAY / 2:
        stamps = {path: seconds + DAY * (seconds < DAY / 2) for path, seconds in stamps.items()}
    return stamps


def is_called_a_mix(name: str) -> bool:
    """Whether a file's name is that of a bounce of the whole.

    >>> [is_called_a_mix(name) for name in ("Stereo Out", "Song Master", "Mixdown 2", "Mixer hum")]
    [True, True, True, False]
    """
    return MIX.fullmatch(name) is not None


def is_sum(mix: Sequence[tuple[Path, float]], tracks: Sequence[tuple[Path, float]]) -> bool:
    """Whether the files ``mix`` are the sum of ``tracks`` (each with its start, seconds), at any level.

    A few seconds, spread over the mix, are compared; files of other sample rates cannot be.
    """
    try:
        opened = {path: AudioFileSource(path) for path, _ in [*mix, *tracks]}
    except AudioFileError:
        return False
    rates = {source.sample_rate for source in opened.values()}
    if len(rates) != 1 or not tracks:
        return False
    rate = rates.pop()
    first = mix[0]
    length = opened[first[0]].frames / rate
    wholes, sums = [], []
    try:
        for number in range(EXCERPTS):
            start = first[1] + max(0.0, length - EXCERPT) * (number + 0.5) / EXCERPTS
            wholes.append(_together(mix, opened, start, rate))
            sums.append(_together(tracks, opened, start, rate))
    except AudioFileError:
        return False
    finally:
        for source in opened.values():
            source.close()
    whole, total = np.concatenate(wholes, axis=1), np.concatenate(sums, axis=1)
    energy = float((total**2).sum())
    if energy == 0 or not whole.any():
        return False
    level = float((whole * total).sum()) / energy
    rest = float(((whole - level * total) ** 2).sum())
    return level > 0 and rest <= NOT_THE_SUM**2 * float((whole**2).sum())


def _together(
    parts: Sequence[tuple[Path, float]], opened: Mapping[Path, AudioFileSource], start: float, rate: int
) -> Audio:
    """The sum of ``parts`` from ``start`` on, in stereo; of two mono files of one track each is a side."""
    frames = round(EXCERPT * rate)
    total = np.zeros((2, frames))
    for path, position in parts:
        source = opened[path]
        at = round(start * rate) - round(position * rate)
        first, last = max(0, at), min(source.frames, at + frames)
        if first >= last:
            continue
        block = source.read(first, last - first)
        found = SIDE.fullmatch(path.stem)
        place = slice(first - at, last - at)
        if found and source.channels == 1 and len(parts) > 1:
            total["lr".index(found["side"].lower()[0]), place] += block[0]
        else:
            total[:, place] += block[:2] if len(block) > 1 else block
    return total.astype(np.float32)
