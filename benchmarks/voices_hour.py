"""A long conversation of two people on one microphone: does each voice stay on its stem?

    python benchmarks/voices_hour.py --data SPEECH_FOLDER --minutes 60

Two test speakers of voices_mixtures.csv take turns, talk at the same time and fall silent. Printed are the
share of seconds on the wrong stem, how far the stem of a silent person stays below the one who
speaks, how well both are separated where they talk at the same time, the real-time factor
and the peak memory.
"""

from __future__ import annotations

import argparse
import csv
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
from voices import RATE, SEPARATORS, active_level, alone

PAIRS = (
    "libri_198,libri_229",
    "libri_5163,libri_458",
    "libri_4195,libri_2514",
    "libri_3982,libri_6848",
    "libri_32,libri_909",
    "libri_1246,libri_6563",
)
"""Each a woman and a man. Of most speakers there is one recording of 17 s, which comes again and again."""
SAME_SEX = ("libri_198,libri_200", "libri_229,libri_6848")
"""Two women, two men."""
SEED = 11
ACTIVE_DB = -35.0
"""A second counts as spoken in if it is at most this far below the voice's own level."""


class FileSource:
    """A sound file as :class:`separators.streaming.AudioSource`."""

    def __init__(self, path: Path) -> None:
        self.file = soundfile.SoundFile(path)
        self.sample_rate, self.channels, self.frames = (
            self.file.samplerate,
            self.file.channels,
            self.file.frames,
        )

    def read(self, start: int, frames: int) -> np.ndarray:
        self.file.seek(start)
        return self.file.read(frames, dtype="float32", always_2d=True).T


def recordings(data: Path, speaker: str) -> list[np.ndarray]:
    """All recordings of a speaker at an active level of 0.05."""
    with (data / "manifest.csv").open(newline="", encoding="utf-8") as file:
        paths = [row["path"] for row in csv.DictReader(file) if row["speaker"] == speaker]
    audio = [soundfile.read(data / path, dtype="float32")[0] for path in paths]
    return [0.05 * one / active_level(one) for one in audio]


def write_conversation(voices: list[list[np.ndarray]], minutes: float, folder: Path, seed: int) -> Path:
    """Write voice-0.wav, voice-1.wav and their sum mixture.wav, turn by turn, in flat memory."""
    rng = np.random.default_rng(seed)
    end = int(minutes * 60 * RATE)
    names = ["voice-0", "voice-1", "mixture"]
    files = [soundfile.SoundFile(folder / f"{name}.wav", "w", RATE, 1, "FLOAT") for name in names]
    position = 0
    while position < end:
        turn = [np.zeros(0, np.float32), np.zeros(0, np.float32)]
        kind = rng.choice(["one", "overlap", "both", "pause"], p=[0.35, 0.3, 0.25, 0.1])
        first = int(rng.integers(2))
        if kind == "pause":
            turn = [np.zeros(int(rng.uniform(2, 25) * RATE), np.float32)] * 2
        else:
            starts = {"one": (0, None), "overlap": (0, rng.uniform(0.3, 0.8)), "both": (0, 0.0)}[kind]
            for person, start in zip((first, 1 - first), starts, strict=True):
                if start is None:
                    continue
                said = voices[person][rng.integers(len(voices[person]))]
                turn[person] = np.concatenate([np.zeros(int(start * len(turn[first])), np.float32), said])
        length = min(max(len(part) for part in turn), end - position)
        padded = [np.pad(part[:length], (0, max(0, length - len(part)))) for part in turn]
        for file, part in zip(files, [*padded, padded[0] + padded[1]], strict=True):
            file.write(part)
        position += length
    for file in files:
        file.close()
    return folder / "mixture.wav"


def separate(name: str, weights: str, mixture: Path) -> tuple[float, float]:
    """Write stem-0.wav and stem-1.wav beside ``mixture``; returns processor seconds and peak memory in MB."""
    import torch

    torch.set_num_threads(1)
    from separators import create
    from separators.streaming import separate_blocks

    separator = create(name, weights=weights)
    started = time.process_time()
    outputs = [
        soundfile.SoundFile(mixture.with_name(f"stem-{n}.wav"), "w", RATE, 1, "FLOAT") for n in range(2)
    ]
    for stems in separate_blocks(separator, FileSource(mixture)):
        for output, stem in zip(outputs, stems, strict=True):
            output.write(stem.T)
    for output in outputs:
        output.close()
    return time.process_time() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def seconds_of(folder: Path, stems_folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per second: products of stems and voices ``(seconds, 2, 2)``, energies of each ``(seconds, 2)``."""
    files = [FileSource(folder / f"voice-{n}.wav") for n in range(2)]
    stems = [FileSource(stems_folder / f"stem-{n}.wav") for n in range(2)]
    products, voice_energy, stem_energy = [], [], []
    for start in range(0, files[0].frames - RATE, RATE):
        v = np.concatenate([f.read(start, RATE) for f in files]).astype(np.float64)
        s = np.concatenate([f.read(start, RATE) for f in stems]).astype(np.float64)
        products.append(s @ v.T)
        voice_energy.append(np.square(v).sum(1))
        stem_energy.append(np.square(s).sum(1))
    return np.array(products), np.array(voice_energy), np.array(stem_energy)


def judge(products: np.ndarray, voices: np.ndarray, stems: np.ndarray) -> dict[str, float]:
    """The figures of a conversation, under the order of stems that is best for the whole of it."""
    if np.trace(products.sum(0)) < np.trace(products.sum(0)[::-1]):
        products, stems = products[:, ::-1], stems[:, ::-1]
    spoken = voices > 0.05**2 * RATE * 10 ** (ACTIVE_DB / 10)
    right = products[:, 0, 0] + products[:, 1, 1]
    wrong = products[:, 0, 1] + products[:, 1, 0]
    alone, both = spoken.sum(1) == 1, spoken.all(1)
    speaker = voices[alone].argmax(1)
    own, other = stems[alone, speaker], stems[alone, 1 - speaker]
    some = spoken.any(1)
    return {
        "wrong_share": float((wrong > right)[some].mean()),
        "wrong_alone": float((wrong > right)[alone].mean()),
        "wrong_both": float((wrong > right)[both].mean()),
        "leak_db": float(np.median(10 * np.log10((other + 1e-12) / (own + 1e-12)))),
        "seconds": len(products),
        "spoken": int(some.sum()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--separators", default=",".join(SEPARATORS))
    parser.add_argument("--weights", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--speakers", action="append", help="two of the manifest, with a comma between")
    given = parser.parse_args()
    weights = dict(text.split("=", 1) for text in given.weights)
    columns = ["voices", "method", "seconds on the wrong stem", "alone / both", "silent person's stem"]
    print("| " + " | ".join([*columns, "speed", "peak MB"]) + " |")
    print("|---|---|---|---|---|---|---|")
    shares: dict[str, list[float]] = {}
    for pair in given.speakers or (*PAIRS, *SAME_SEX):
        with tempfile.TemporaryDirectory() as text:
            folder = Path(text)
            voices = [recordings(given.data, speaker) for speaker in pair.split(",")]
            if not all(voices):
                raise SystemExit(f"no recordings of {pair}")
            mixture = write_conversation(voices, given.minutes, folder, SEED)
            for name in given.separators.split(","):
                seconds, peak = alone(separate, name, weights.get(name, ""), mixture)
                factor = seconds / (given.minutes * 60)
                row = judge(*seconds_of(folder, folder))
                if pair in PAIRS:
                    shares.setdefault(name, []).append(row["wrong_share"])
                print(
                    f"| {pair} | {name} | {row['wrong_share']:.1%} of {row['spoken']} | "
                    f"{row['wrong_alone']:.1%} / {row['wrong_both']:.1%} | {row['leak_db']:.1f} dB | "
                    f"{1 / factor:.0f}x | {peak:.0f} |",
                    flush=True,
                )
    for name, wrong in shares.items():
        print(f"| mean of {len(wrong)} women and men | {name} | {np.mean(wrong):.1%} | | | | |")


if __name__ == "__main__":
    main()
