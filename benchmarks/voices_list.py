"""Draws the fixed list of mixtures for voices.py from a folder of recordings with a manifest.

    python benchmarks/voices_list.py --data SPEECH_FOLDER

Every speaker is drawn equally often; pairs are half of one sex, half of both. Stretches are chosen
so that people speak most of the time. Run once; the list stands in the repository.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
import soundfile
from voices import MIXTURES, RATE, SECONDS

SEED = 3
SLOTS = 8
"""Two-speaker mixtures that each speaker takes part in."""
ACTIVE_SHARE = 0.7
TRAIN_SPEAKERS = 26
COLUMNS = ["mixture", "path", "speaker", "sex", "start", "gain_db"]


def stretch(data: Path, files: list[dict], rng: np.random.Generator) -> tuple[str, int]:
    """A file and a start from which somebody speaks for most of the time."""
    best: tuple[float, str, int] = (-1.0, "", 0)
    for _ in range(10):
        row = files[rng.integers(len(files))]
        audio, _ = soundfile.read(data / row["path"], dtype="float32")
        start = int(rng.integers(max(1, len(audio) - SECONDS * RATE + 1)))
        part = audio[start : start + SECONDS * RATE]
        energy = np.square(part[: len(part) // 320 * 320].reshape(-1, 320)).mean(1)
        share = float((energy > energy.max() * 1e-3).sum()) / (SECONDS * RATE / 320)
        best = max(best, (share, row["path"], start))
        if share > ACTIVE_SHARE:
            break
    return best[1], best[2]


def ring(people: list[str], rng: np.random.Generator) -> list[tuple[str, str]]:
    """Pairs in which each of ``people`` appears twice."""
    order = list(rng.permutation(people))
    return list(zip(order, order[1:] + order[:1], strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    with (data / "manifest.csv").open(newline="", encoding="utf-8") as file:
        manifest = list(csv.DictReader(file))
    rng = np.random.default_rng(SEED)
    rows = []

    def add(name: str, people: list[str], voices: dict[str, list[dict]]) -> None:
        # One voice is up to 5 dB louder than the other; the middle stays.
        gains = rng.uniform(-2.5, 2.5, len(people))
        for person, gain in zip(people, gains, strict=True):
            path, start = stretch(data, voices[person], rng)
            rows.append([name, path, person, voices[person][0]["sex"], start, f"{gain:.2f}"])

    for split in ("test", "train"):
        voices: dict[str, list[dict]] = {}
        for row in manifest:
            wanted = row["source"] == "libri" or split == "test"
            if row["split"] == split and wanted and float(row["seconds"]) >= SECONDS:
                voices.setdefault(row["speaker"], []).append(row)
        groups = {sex: [s for s in voices if voices[s][0]["sex"] == sex] for sex in "FM"}
        if split == "train":
            groups = {sex: groups[sex][: TRAIN_SPEAKERS // 2] for sex in "FM"}
        unknown = [s for s in voices if voices[s][0]["sex"] not in "FM"] if split == "test" else []
        half = SLOTS // 2
        pairs = [pair for sex in "FM" for _ in range(half // 2) for pair in ring(groups[sex], rng)]
        for _ in range(half):
            pairs += list(zip(rng.permutation(groups["F"]), rng.permutation(groups["M"]), strict=True))
        pairs += [
            (person, other)
            for person in unknown
            for sex in "FM"
            for other in rng.choice(groups[sex], half, replace=False)
        ]
        for number, pair in enumerate(pairs, 1):
            add(f"{split}-2-{number:03}", list(pair), voices)
        if split == "test":
            people = groups["F"] + groups["M"]
            number = 0
            for _ in range(6):
                order = list(rng.permutation(people))
                for index in range(0, len(order) - 2, 3):
                    number += 1
                    add(f"test-3-{number:03}", order[index : index + 3], voices)
    with MIXTURES.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)


if __name__ == "__main__":
    main()
