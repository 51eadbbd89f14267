"""Takes songs that are only mixes apart with a larger separator, so that they can be trained on.

    python scripts/estimate_song_stems.py SONGS.csv --out FOLDER [--separator spleeter]

After Wang et al. (2021), noisy self-training: the larger separator is the teacher, its vocals and its
accompaniment become recordings. ``SONGS.csv`` has the columns ``path`` and ``song``, and whatever else is to
be handed on. A song is cut into passages; ``FOLDER`` gets a ``passages.csv`` with one line for each, how sure
the teacher was of it and how loud its vocals are, beside ``SONG/NUMBER/vocals.flac`` and
``accompaniment.flac``.
"""

from __future__ import annotations

import argparse
import csv
import math
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch

from separators import create
from separators.spectral import STFT

SAMPLE_RATE = 44_100
PASSAGE_SECONDS = 12.0
SILENT_DB = -60.0
"""A passage quieter than this is left out."""


def certainty(stems: np.ndarray) -> float:
    """How clearly ``stems (2, channels, frames)`` are apart: 0 where all is shared out equally, 1 where
    nothing is.

    The mean over time and frequency, weighted by energy, of how far the larger share is above a half.
    """
    stft = STFT(4096, 2048)
    power = np.stack([np.square(np.abs(stft.forward(stem))).sum(0) for stem in stems])
    larger = power.max(0) / (power.sum(0) + 1e-12)
    return float(((2 * larger - 1) * power.sum(0)).sum() / (power.sum() + 1e-12))


def level_db(audio: np.ndarray) -> float:
    """RMS in dB."""
    return 10 * math.log10(float(np.mean(np.square(audio))) + 1e-12)


def read(path: Path) -> np.ndarray:
    """Stereo audio ``(2, frames)`` at :data:`SAMPLE_RATE`."""
    audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
    audio = np.repeat(audio, 2, 1) if audio.shape[1] == 1 else audio[:, :2]
    return np.ascontiguousarray((soxr.resample(audio, rate, SAMPLE_RATE) if rate != SAMPLE_RATE else audio).T)


def main() -> None:
    """Parse the command line and take every song apart."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("songs", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--separator", default="spleeter")
    given = parser.parse_args()
    torch.set_num_threads(1)
    teacher = create(given.separator)
    with given.songs.open(newline="", encoding="utf-8") as file:
        songs = list(csv.DictReader(file))
    passages = []
    for song in songs:
        mixture = read(given.songs.parent / song["path"])
        found = teacher.separate(mixture, SAMPLE_RATE)
        stems = np.stack([found["vocals"], mixture - found["vocals"]])
        length = round(PASSAGE_SECONDS * SAMPLE_RATE)
        for number in range(max(1, mixture.shape[1] // length)):
            passage = stems[:, :, number * length : (number + 1) * length]
            loudness = level_db(passage.sum(0))
            if loudness < SILENT_DB:
                continue
            folder = given.out / song["song"] / f"{number:03}"
            folder.mkdir(parents=True, exist_ok=True)
            peak = max(1.0, float(np.abs(passage).max()))
            for name, stem in zip(("vocals", "accompaniment"), passage, strict=True):
                soundfile.write(folder / f"{name}.flac", stem.T / peak, SAMPLE_RATE, subtype="PCM_16")
            passages.append(
                {
                    **song,
                    "path": str(folder.relative_to(given.out)),
                    "seconds": f"{passage.shape[-1] / SAMPLE_RATE:.2f}",
                    "certainty": f"{certainty(passage):.3f}",
                    "vocals_db": f"{level_db(passage[0]) - loudness:.1f}",
                }
            )
        print(song["song"], flush=True)
    with (given.out / "passages.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(passages[0]))
        writer.writeheader()
        writer.writerows(passages)


if __name__ == "__main__":
    main()
