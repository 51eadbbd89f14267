"""A corpus of songs as stems: decoded once, kept as 16-bit samples that processes share.

A corpus is a folder with one sub-folder per song and one audio file per track (``song/vocals.wav``,
``song/Lead Gtr.wav``), or a folder with a ``manifest.csv`` (columns ``path``, ``song`` and ``stem``; optional
``split`` with train and valid, ``source``, ``weight``, ``trust``, ``from_seconds``, ``seconds`` and
``gain_db``). File and track names are mapped to stems by :data:`NAMES`, so a folder of the tracks of DAW
sessions is a corpus too.
"""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from separators.errors import SeparatorError
from separators.training.decoded import decoded
from separators.training.trainer import Report

STEMS = ("vocals", "drums", "bass", "other")
SAMPLE_RATE = 44_100
SUFFIXES = {".wav", ".flac", ".ogg", ".opus", ".aif", ".aiff", ".mp3"}
GROUPS = {stem: (stem,) for stem in STEMS} | {
    "rest": ("bass", "other"),
    "accompaniment": ("drums", "bass", "other"),
}
"""What a recording may be labelled as, and the stems that its sound belongs to."""
NAMES: tuple[tuple[str, str], ...] = (
    ("accompaniment", "accompaniment instrumental karaoke backing-track"),
    ("rest", "rest"),
    ("bass", "bass sub"),
    ("vocals", "vocal vocals vox voice voices choir singer singing lead-vocal adlib rap"),
    ("drums", "drum drums kick snare hat hats hihat tom toms cymbal cymbals overhead overheads oh "
     "percussion perc clap beat beats room kit conga shaker tambourine"),
    ("other", "other guitar guitars gtr gtrs piano keys organ synth synths pad strings violin cello "
     "brass horns sax flute fx lead arp pluck chord chords melody"),
)  # fmt: skip
"""A track belongs to the first stem one of whose words stands in its name."""
NUMBERS = {"weight": 1.0, "trust": 1.0, "from_seconds": 0.0, "seconds": 0.0, "gain_db": 0.0}
"""Columns of a manifest that may be left out, and what they are then."""
SHORTEST_SECONDS = 1.0
VALID_SHARE = 0.1


class MusicError(SeparatorError):
    """The training data cannot be used."""


@dataclass(frozen=True)
class Recording:
    """One stem file: what it is, and where it lies in the corpus' samples."""

    path: str
    song: str
    stem: str
    split: str = "train"
    source: str = ""
    weight: float = 1.0
    """How often its source is drawn, relative to the others that have the wanted stem."""
    trust: float = 1.0
    """How far it is to be believed, 0 to 1: the recordings of a source are drawn in proportion."""
    from_seconds: float = 0.0
    seconds: float = 0.0
    """The part of the file that is taken; 0: up to its end."""
    gain_db: float = 0.0
    start: int = 0
    frames: int = 0
    channels: int = 0


@dataclass(frozen=True)
class Songs:
    """All recordings at :data:`SAMPLE_RATE`, 16 bit, mono or stereo."""

    recordings: list[Recording]
    samples: NDArray[np.int16]

    def audio(self, recording: Recording, start: int, frames: int) -> NDArray[np.float32]:
        """``frames`` of ``recording`` from ``start`` as ``(2, frames)``; silence beyond its ends."""
        first, last = max(0, start), min(recording.frames, start + frames)
        audio = np.zeros((2, frames), np.float32)
        if first < last:
            begin = recording.start + first * recording.channels
            end = recording.start + last * recording.channels
            part = self.samples[begin:end].reshape(-1, recording.channels).T
            audio[:, first - start : last - start] = part * np.float32(1 / 32768)
        return audio

    def songs(self, split: str) -> dict[str, list[Recording]]:
        """The recordings of ``split`` by song, in a fixed order."""
        found: dict[str, list[Recording]] = {}
        for recording in self.recordings:
            if recording.split == split:
                found.setdefault(recording.song, []).append(recording)
        return found


def stem_of(name: str) -> str | None:
    """The label for a track or file called ``name``, or None.

    >>> stem_of("03 Lead Vox (comp).wav"), stem_of("Kick In"), stem_of("E-Bass DI"), stem_of("Take 7")
    ('vocals', 'drums', 'bass', None)
    """
    words = "".join(letter if letter.isalpha() else " " for letter in name.lower()).split()
    for stem, known in NAMES:
        if any(word in known.split() for word in words):
            return stem
    return None


def load(folder: Path, cache: Path, report: Report = print) -> Songs:
    """Read the songs in ``folder``, or their decoded copy in the folder ``cache``.

    Files that cannot be read, are too short or have names that tell no stem are reported and left out.
    Raises :class:`MusicError` where no two stems remain for training.
    """
    manifest = folder / "manifest.csv"
    listed = _from_manifest(manifest) if manifest.is_file() else _from_folders(folder, report)
    rows, samples = decoded(
        "songs", folder, listed, cache, lambda out: _decode(folder, listed, out, report), report
    )
    recordings = [Recording(**row) for row in rows]
    if len({stem for r in recordings if r.split == "train" for stem in GROUPS[r.stem]}) < 2:
        raise MusicError(
            f"{folder}: training needs recordings of at least two stems ({', '.join(STEMS)}), "
            f"found {len(recordings)} usable files; name files after their stems, one folder per song"
        )
    return Songs(recordings, samples)


def _from_manifest(path: Path) -> list[Recording]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    recordings = []
    for number, row in enumerate(rows, 2):
        if not all(row.get(key) for key in ("path", "song", "stem")):
            raise MusicError(f"{path}, line {number}: path, song and stem must be given")
        if row["stem"] not in GROUPS:
            raise MusicError(
                f"{path}, line {number}: stem must be one of {', '.join(GROUPS)}, not {row['stem']!r}"
            )
        recordings.append(
            Recording(
                row["path"],
                row["song"],
                row["stem"],
                row.get("split") or "train",
                row.get("source") or "",
                **{name: float(row.get(name) or default) for name, default in NUMBERS.items()},  # type: ignore[arg-type]
            )
        )
    return recordings


def _from_folders(folder: Path, report: Report) -> list[Recording]:
    recordings = []
    songs = sorted(path for path in folder.iterdir() if path.is_dir())
    for song in songs:
        for path in sorted(path for path in song.iterdir() if path.suffix.lower() in SUFFIXES):
            stem = stem_of(path.stem)
            if stem is None:
                report(f"{path}: the name tells no stem, left out")
            else:
                relative = str(path.relative_to(folder))
                recordings.append(Recording(relative, song.name, stem))
    split = splits([recording.song for recording in recordings])
    return [replace(recording, split=split[recording.song]) for recording in recordings]


def splits(songs: Iterable[str]) -> dict[str, str]:
    """Which of ``songs`` are trained on and which validated with: every tenth, and one of two or more."""
    names = sorted(set(songs))
    # By name, so that songs added later leave the others where they are.
    valid = {name for name in names if zlib.crc32(name.encode()) % 1000 < VALID_SHARE * 1000}
    if len(names) < 3 or not valid or len(valid) == len(names):
        valid = set(names[-1:]) if len(names) > 1 else set()
    return {name: "valid" if name in valid else "train" for name in names}


def _read(path: Path, recording: Recording) -> tuple[NDArray[np.float32], int]:
    with soundfile.SoundFile(path) as file:
        rate = file.samplerate
        file.seek(min(round(recording.from_seconds * rate), file.frames))
        frames = round(recording.seconds * rate) if recording.seconds else -1
        return file.read(frames, dtype="float32", always_2d=True), rate


def _decode(folder: Path, listed: list[Recording], out: BinaryIO, report: Report) -> list[Recording]:
    kept: list[Recording] = []
    position = 0
    for recording in listed:
        try:
            audio, rate = _read(folder / recording.path, recording)
        except (OSError, soundfile.SoundFileError) as error:
            report(f"{folder / recording.path}: {error}, left out")
            continue
        audio = audio[:, :2]
        if rate != SAMPLE_RATE:
            audio = soxr.resample(audio, rate, SAMPLE_RATE)
        peak = float(np.abs(audio).max(initial=0.0))
        if len(audio) < SHORTEST_SECONDS * SAMPLE_RATE or not 1e-4 < peak < np.inf:
            what = f"silent, damaged or shorter than {SHORTEST_SECONDS:g} s"
            report(f"{folder / recording.path}: {what}, left out")
            continue
        audio = audio * (10 ** (recording.gain_db / 20) / max(1.0, peak * 10 ** (recording.gain_db / 20)))
        out.write((audio * 32767).round().astype("<i2").tobytes())
        frames, channels = audio.shape
        kept.append(replace(recording, start=position, frames=frames, channels=channels))
        position += frames * channels
    return kept
