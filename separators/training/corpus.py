"""A corpus of recordings by speaker: read once, kept as 16-bit samples that processes share.

Either a folder with a ``manifest.csv`` (columns ``path`` and ``speaker``; optional ``split`` with
train, valid and test, ``sex`` and ``source``), or a folder with one sub-folder per speaker. The
speaker ``background`` is none: it is music and noise without voices, to be heard behind them.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from separators.errors import SeparatorError
from separators.neural.network import SAMPLE_RATE
from separators.training.decoded import decoded

AUDIO_SUFFIXES = {".wav", ".flac", ".ogg", ".opus", ".aif", ".aiff", ".mp3"}
BACKGROUND = "background"
"""What stands in place of a speaker for recordings without one."""
SHORTEST_SECONDS = 1.0
VALID_SHARE = 0.1
"""Share of the speakers kept for validation where no manifest names splits."""


class CorpusError(SeparatorError):
    """The training data cannot be used."""


@dataclass(frozen=True)
class Utterance:
    """One recording: where it lies in the corpus' samples, who speaks."""

    path: str
    speaker: str
    split: str
    sex: str
    source: str
    start: int = 0
    frames: int = 0


@dataclass(frozen=True)
class Corpus:
    """All recordings of a folder at :data:`SAMPLE_RATE`, mono, 16 bit."""

    utterances: list[Utterance]
    samples: NDArray[np.int16]

    def speakers(self, split: str) -> dict[str, list[Utterance]]:
        """The recordings of ``split`` by speaker, in a fixed order."""
        found: dict[str, list[Utterance]] = {}
        for utterance in self.utterances:
            if utterance.split == split and utterance.speaker != BACKGROUND:
                found.setdefault(utterance.speaker, []).append(utterance)
        return found

    def backgrounds(self, split: str) -> list[Utterance]:
        """Recordings of ``split`` without voices."""
        return [u for u in self.utterances if u.split == split and u.speaker == BACKGROUND]

    def audio(self, utterance: Utterance) -> NDArray[np.int16]:
        """The samples of ``utterance``."""
        return self.samples[utterance.start : utterance.start + utterance.frames]


def load(folder: Path, cache: Path, report: Callable[[str], None] = print) -> Corpus:
    """Read the corpus in ``folder``, or its copy in the folder ``cache``.

    Unreadable and too short files are reported and left out. Raises :class:`CorpusError` where
    fewer than two speakers remain for training.
    """
    listed = _from_manifest(folder) if (folder / "manifest.csv").is_file() else _from_folders(folder)
    rows, samples = decoded(
        "corpus", folder, listed, cache, lambda out: _decode(folder, listed, out, report), report
    )
    utterances = [Utterance(**row) for row in rows]
    if len({u.speaker for u in utterances if u.split == "train"}) < 2:
        raise CorpusError(
            f"{folder} holds fewer than 2 speakers to train on; put each speaker's recordings "
            "into a folder of their own, or name them in manifest.csv"
        )
    return Corpus(utterances, samples)


def _from_manifest(folder: Path) -> list[Utterance]:
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"path", "speaker"} <= rows[0].keys():
        raise CorpusError(f"{folder / 'manifest.csv'} needs the columns path and speaker, and a row per file")
    splits = _splits({row["speaker"] for row in rows})
    return [
        Utterance(
            row["path"],
            row["speaker"],
            row.get("split") or splits[row["speaker"]],
            row.get("sex") or "?",
            row.get("source") or "",
        )
        for row in rows
    ]


def _from_folders(folder: Path) -> list[Utterance]:
    if not folder.is_dir():
        raise CorpusError(f"{folder} is not a folder; give one with a sub-folder of recordings per speaker")
    files = [
        path.relative_to(folder)
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in AUDIO_SUFFIXES and path.parent != folder
    ]
    backgrounds = {path for path in files if path.parts[0] == BACKGROUND}
    splits = _splits({path.parts[0] for path in files if path not in backgrounds})
    # Of backgrounds, single recordings are kept for validation.
    splits |= _splits({str(path) for path in backgrounds})
    return [
        Utterance(
            str(path), path.parts[0], splits[str(path) if path in backgrounds else path.parts[0]], "?", ""
        )
        for path in files
    ]


def _splits(speakers: set[str]) -> dict[str, str]:
    """Every tenth speaker, but at least two of five or more, is kept for validation."""
    ordered = sorted(speakers, key=lambda name: hashlib.sha256(name.encode()).digest())
    held_out = max(2, round(VALID_SHARE * len(ordered))) if len(ordered) >= 5 else 0
    return {name: "valid" if index < held_out else "train" for index, name in enumerate(ordered)}


def _decode(
    folder: Path, listed: list[Utterance], out: BinaryIO, report: Callable[[str], None]
) -> list[Utterance]:
    kept: list[Utterance] = []
    position = 0
    for utterance in listed:
        try:
            audio, rate = soundfile.read(folder / utterance.path, dtype="float32", always_2d=True)
        except (OSError, soundfile.LibsndfileError) as error:
            report(f"left out {utterance.path}: {error}")
            continue
        mono = soxr.resample(audio.mean(1), rate, SAMPLE_RATE)
        peak = float(np.abs(mono).max(initial=0.0))
        if len(mono) < SHORTEST_SECONDS * SAMPLE_RATE or not 0 < peak < np.inf:
            report(f"left out {utterance.path}: silent, damaged or shorter than {SHORTEST_SECONDS:g} s")
            continue
        # Mixing sets the level anew; a full-scale peak keeps 16 bits quiet enough.
        out.write(np.rint(mono * (32767 / peak)).astype(np.int16).tobytes())
        kept.append(replace(utterance, start=position, frames=len(mono)))
        position += len(mono)
    return kept
