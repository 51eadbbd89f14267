"""Makes singing of speech, so that networks for songs hear more voices than there are recordings of singing.

    python scripts/speech_to_singing.py SPEECH_FOLDER --out FOLDER [--speakers 300] [--source libri ...]

The vocoder WORLD (Morise et al. 2016; package pyworld, a tool for this script only) takes speech apart
into pitch, spectral envelope and aperiodicity. Words are drawn out, pitch is flattened to notes of a scale
with glides and vibrato. What the recordings lack above half of their rate is filled with a quieter copy
of the band below. ``SPEECH_FOLDER`` holds a manifest.csv with the columns path, speaker, source and split.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
import pyworld
import soundfile
import soxr

from separators.training.song_effects import widened

SAMPLE_RATE = 44_100
FRAME_MS = 5.0
LONGEST_SECONDS = 7.0
"""Of each speaker's recording."""
SCALE = (0, 2, 4, 5, 7, 9, 11)
GLIDE_SECONDS = 0.06


def melody(voiced: np.ndarray, median_hertz: float, rng: np.random.Generator) -> np.ndarray:
    """A pitch in hertz for every frame: notes of a scale near the speaker's own pitch."""
    frames = len(voiced)
    centre = 69 + 12 * np.log2(median_hertz / 440) + rng.uniform(-2, 7)
    key = rng.integers(12)
    steps = np.array([o * 12 + s + key for o in range(10) for s in SCALE])
    place = int(np.abs(steps - centre).argmin())
    home, note = place, 0
    notes = np.zeros(frames)
    since = np.zeros(frames)
    while note < frames:
        length = int(rng.choice((0.15, 0.3, 0.3, 0.6, 1.0)) * rng.uniform(0.8, 1.2) * 1000 / FRAME_MS)
        notes[note : note + length] = steps[place]
        since[note : note + length] = np.arange(len(notes[note : note + length])) * FRAME_MS / 1000
        place += int(rng.integers(-3, 4)) + int(np.sign(home - place)) * int(rng.integers(0, 2))
        place = min(len(steps) - 1, max(0, place))
        note += length
    width = int(GLIDE_SECONDS * 1000 / FRAME_MS)
    glided = np.convolve(
        np.pad(notes, width, mode="edge"), np.hanning(width) / np.hanning(width).sum(), "same"
    )
    time = np.arange(frames) * FRAME_MS / 1000
    depth = rng.uniform(0.1, 0.6) * np.clip((since - 0.2) / 0.3, 0, 1)
    drift = 0.1 * np.convolve(rng.standard_normal(frames), np.hanning(60) / 8, "same")
    tone = glided[width:-width] + depth * np.sin(2 * np.pi * rng.uniform(4.8, 6.8) * time) + drift
    return np.where(voiced, 440 * 2 ** ((tone - 69) / 12), 0.0)


def sing(speech: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    """``speech`` as singing, mono, at ``rate``."""
    pitch, times = pyworld.dio(speech, rate, frame_period=FRAME_MS)
    pitch = pyworld.stonemask(speech, pitch, times, rate)
    if (pitch > 0).mean() < 0.2:
        return np.zeros(0)
    envelope = pyworld.cheaptrick(speech, pitch, times, rate)
    aperiodicity = pyworld.d4c(speech, pitch, times, rate)
    # Voiced sounds are drawn out, the others hardly.
    pace = np.where(pitch > 0, rng.uniform(1.3, 2.6), 1.1)
    places = np.interp(np.arange(int(pace.sum())), np.cumsum(pace), np.arange(len(pace)))
    nearest = np.clip(np.round(places).astype(int), 0, len(pace) - 1)
    median = float(np.median(pitch[pitch > 0]))
    sung = melody(pitch[nearest] > 0, median, rng)
    return pyworld.synthesize(
        sung,
        np.ascontiguousarray(envelope[nearest]),
        np.ascontiguousarray(aperiodicity[nearest]),
        rate,
        FRAME_MS,
    )


def main() -> None:
    """Parse the command line and let every speaker sing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--speakers", type=int, default=300)
    parser.add_argument("--source", nargs="*", default=["libri", "cv13en"])
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with (given.folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if r["split"] == "train" and r["source"] in given.source]
    by_speaker = {row["speaker"]: row for row in rows}
    order = np.random.default_rng(given.seed).permutation(sorted(by_speaker))[: given.speakers]
    given.out.mkdir(parents=True, exist_ok=True)
    for number, speaker in enumerate(order):
        rng = np.random.default_rng((given.seed, number))
        speech, rate = soundfile.read(given.folder / by_speaker[speaker]["path"])
        sung = sing(speech[: round(LONGEST_SECONDS * rate)], rate, rng)
        if len(sung) < rate:
            continue
        sung = soxr.resample(sung, rate, SAMPLE_RATE).astype(np.float32)
        audio = widened(sung[None], rate / 2)[0]
        audio *= 0.5 / np.abs(audio).max()
        path = given.out / f"{number:04}.flac"
        soundfile.write(path, audio, SAMPLE_RATE, subtype="PCM_16")


if __name__ == "__main__":
    main()
