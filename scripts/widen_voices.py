"""Gives recordings of voices that end at a few kilohertz a top, for training; see
separators.training.song_effects.

    python scripts/widen_voices.py --data FOLDER --out FOLDER

``--data`` holds speech/ and music_songs/, each with a manifest.csv. ``--out`` gets the trained speech and
chants under the same names, as FLAC.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr

from separators.training.song_effects import SAMPLE_RATE, widened

SPEECH_SOURCES = ("libri", "librivox80", "cv13en")
MINUTES = 60.0
"""Of speech, in all, drawn evenly from the list."""


def rows(folder: Path) -> Iterator[dict[str, str]]:
    """The lines of the manifest in ``folder``, with paths from the folder above."""
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield {**row, "path": f"{folder.name}/{row['path']}"}


def wanted(data: Path) -> list[tuple[str, float]]:
    """Paths, and the frequency at which the recording ends."""
    chants = []
    for row in rows(data / "music_songs"):
        limit = re.search(r"low-pass ([0-9.]+) kHz", row["note"])
        if limit:
            chants.append((row["path"], 1000 * float(limit[1])))
    speech = [r for r in rows(data / "speech") if r["split"] == "train" and r["source"] in SPEECH_SOURCES]
    total = sum(float(row["seconds"]) for row in speech) / 60
    every = max(1, round(total / MINUTES))
    return chants + [(row["path"], 8000.0) for row in speech[::every]]


def main() -> None:
    """Parse the command line and write every file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    for path, hertz in wanted(given.data):
        audio, rate = soundfile.read(given.data / path, dtype="float32", always_2d=True)
        audio = soxr.resample(audio[:, :1], rate, SAMPLE_RATE)
        wide = widened(np.ascontiguousarray(audio.T), hertz)
        file = (given.out / path).with_suffix(".flac")
        file.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(file, wide.T / max(1.0, float(np.abs(wide).max())), SAMPLE_RATE, subtype="PCM_16")


if __name__ == "__main__":
    main()
