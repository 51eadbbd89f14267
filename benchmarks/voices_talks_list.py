"""Draws the fixed list of conversations for voices_talks.py from folders of recordings with manifests.

    python benchmarks/voices_talks_list.py --data SPEECH_FOLDER --music MUSIC_FOLDER

Test speakers only. A recording is cut into turns where its reader pauses; each turn is heard
once, so that nothing in a conversation repeats. Run once; the list stands in the repository.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
import soundfile
from voices import RATE
from voices_talks import COLUMNS, TALKS

from separators.training.pitch import median_pitch

SEED = 5
FRAME = RATE // 50
PAUSE_FRAMES = 8
"""Silence of 160 ms ends a turn that is long enough."""
SHORTEST = 1.2
"""A turn has at least so many seconds."""
PAIRS = 10
CLOSE = 3
FAR = 8
"""Semitones."""


def turns_of(audio: np.ndarray) -> list[tuple[int, int]]:
    """Start and length of the turns of a recording, in frames."""
    energy = np.square(audio[: len(audio) // FRAME * FRAME].reshape(-1, FRAME)).mean(1)
    quiet = energy < energy.max() * 10**-3.5
    turns, start, silence = [], 0, 0
    for index, is_quiet in enumerate(quiet):
        silence = silence + 1 if is_quiet else 0
        if silence == PAUSE_FRAMES and (index - start) * FRAME > SHORTEST * RATE:
            turns.append((start * FRAME, (index - start - PAUSE_FRAMES // 2) * FRAME))
            start = index - PAUSE_FRAMES // 2
    if (len(quiet) - start) * FRAME > SHORTEST * RATE:
        turns.append((start * FRAME, (len(quiet) - start) * FRAME))
    return turns


def conversation(people: list[dict], overlapping: float, rng: np.random.Generator) -> list[list]:
    """Rows ``voice, path, start, frames, at`` of turns that alternate until somebody has said all."""
    rows: list[list] = []
    at = 0
    for turn in range(min(len(person["turns"]) for person in people)):
        for number, person in enumerate(people):
            start, frames = person["turns"][turn]
            if rows:
                overlap = rng.random() < overlapping
                at += round((rng.uniform(-1.0, -0.3) if overlap else rng.uniform(0.0, 0.6)) * RATE)
            rows.append([number, person["path"], start, frames, max(0, at)])
            at = max(0, at) + frames
    return rows


def read_people(data: Path) -> list[dict]:
    """The longest recording of each test speaker: path, sex, pitch, turns."""
    with (data / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test" and row["sex"] in "FM"]
    longest = {row["speaker"]: row for row in sorted(rows, key=lambda row: float(row["seconds"]))}
    people = []
    for row in longest.values():
        audio, _ = soundfile.read(data / row["path"], dtype="float32")
        turns = turns_of(audio)
        people.append(row | {"pitch": median_pitch(audio), "turns": turns, "frames": len(audio)})
    return [person for person in people if len(person["turns"]) >= 3]


def chosen_pairs(people: list[dict], fits, rng: np.random.Generator) -> list[list[dict]]:
    """:data:`PAIRS` pairs, each speaker in as few as possible."""
    pairs = [[a, b] for i, a in enumerate(people) for b in people[i + 1 :] if fits(a, b)]
    used: dict[str, int] = {}
    out = []
    for _ in range(min(PAIRS, len(pairs))):
        order = rng.permutation(len(pairs))
        best = min(order, key=lambda n: sum(used.get(p["speaker"], 0) for p in pairs[n]))
        out.append(pairs.pop(best))
        for person in out[-1]:
            used[person["speaker"]] = used.get(person["speaker"], 0) + 1
    return out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--music", type=Path, required=True)
    given = parser.parse_args()
    rng = np.random.default_rng(SEED)
    people = read_people(given.data)
    with (given.music / "manifest.csv").open(newline="", encoding="utf-8") as file:
        music = [
            row["path"]
            for row in csv.DictReader(file)
            if row["split"] == "test" and row["stem"] in ("drums", "other") and "stems22" in row["path"]
        ]

    def semitones(a: dict, b: dict) -> float:
        return abs(12 * np.log2(a["pitch"] / b["pitch"]))

    groups = {
        "far": chosen_pairs(people, lambda a, b: semitones(a, b) >= FAR, rng),
        "same sex": chosen_pairs(people, lambda a, b: a["sex"] == b["sex"], rng),
        "close": chosen_pairs(people, lambda a, b: semitones(a, b) < CLOSE, rng),
    }
    out = []

    def add(kind: str, number: int, rows: list[list]) -> None:
        gains = rng.uniform(-2.5, 2.5, 2)
        for voice, path, start, frames, at in rows:
            out.append([kind, number, voice, path, start, frames, at, f"{gains[voice]:.2f}"])

    for group, pairs in groups.items():
        for number, pair in enumerate(pairs):
            add(f"polite, {group}", number, conversation(pair, 0.0, rng))
            add(f"natural, {group}", number, conversation(pair, 0.25, rng))
    for number, person in enumerate(rng.permutation(people)[:PAIRS]):
        add("alone", number, [[0, person["path"], 0, person["frames"], 0]])
    for number, pair in enumerate(groups["far"]):
        length = min(person["frames"] for person in pair)
        rows = [[voice, person["path"], 0, length, 0] for voice, person in enumerate(pair)]
        add("music behind", number, rows)
        for path in music:
            start = int(rng.uniform(20, 150) * RATE)
            out.append(["music behind", number, "background", path, start, length, 0, "0.00"])
    for number in range(4):
        for path in music:
            start = int(rng.uniform(20, 150) * RATE)
            out.append(["music alone", number, "background", path, start, 20 * RATE, 0, "0.00"])
    with TALKS.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(out)


if __name__ == "__main__":
    main()
