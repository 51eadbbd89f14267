"""NMF mode drums on loops played with one-shots that its templates were not learned from.

    python -m benchmarks.drums --data DRUMS [--sample-rate 44100] [--option KEY=VALUE ...]

DRUMS is the folder of one-shots that scripts/learn_drum_templates.py learned from. Every kit plays every
pattern, four bars each, with hits of differing strength. Figures are SI-SDR in dB: the floor is the
loop itself taken as each drum, the ceiling the ideal ratio mask on powers. Ends with status 1 if the
mean is below 10 dB.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import soundfile
import soxr
from safetensors import safe_open
from threadpoolctl import threadpool_limits

from benchmarks.machine import describe
from separators import NMF
from separators.drum_templates import DRUMS, PATH
from separators.evaluation import si_sdr
from separators.reference import ideal_ratio_mask

RATE = 44100
WANTED_DB = 10.0
CLASSES = ("kick", "snare", "hihat_closed")
KITS = {
    "808 machine": ("msgm_tr808_36", "msgm_tr808_38", "msgm_tr808_42"),
    "acoustic": ("sonicpi_drum_bass_hard", "sonicpi_drum_snare_hard", "sonicpi_drum_cymbal_closed"),
    "soft acoustic": ("sonicpi_drum_bass_soft", "sonicpi_drum_snare_soft", "sonicpi_drum_cymbal_pedal"),
    "electronic": ("sonicpi_elec_hollow_kick", "sonicpi_elec_snare", "sonicpi_drum_cymbal_closed"),
    "club": ("sonicpi_bd_haus", "sonicpi_sn_dub", "msgm_tr808_42"),
}
PATTERNS = {  # beats per minute, then sixteenths: x a hit, g a ghost note
    "rock": (92, "x.......x.x.....", "....x.......x...", "x.x.x.x.x.x.x.x."),
    "house": (122, "x...x...x...x...", "....x.......x...", "..x...x...x...x."),
    "hip hop": (88, "x..x......x.....", "....x..g....x..g", "x.x.x.xxx.x.x.xx"),
    "funk": (104, "x.x....x..x.....", "....x..g.g..x..g", "xxxxxxxxxxxxxxxx"),
    "drum and bass": (160, "x.........x.....", "....x.......x...", "x.x.x.x.x.x.x.x."),
}
BARS = 4
LEVELS = (1.0, 0.8, 0.35)
"""Of kick, snare and hi-hat, whose one-shots all peak at 0.9."""
GHOST, OFF_BEAT, SPREAD = 0.35, 0.8, 0.15


def read_kit(data: Path, names: tuple[str, ...], held_out: set[str]) -> list[np.ndarray]:
    """The one-shots of a kit, all of which must be held out."""
    if learned := set(names) - held_out:
        raise SystemExit(f"the templates were learned from {', '.join(sorted(learned))}")
    shots = []
    for name, folder in zip(names, CLASSES, strict=True):
        shot, rate = soundfile.read(data / folder / f"{name}.flac", dtype="float32")
        if rate != RATE:
            raise SystemExit(f"{name} has a rate of {rate} Hz instead of {RATE} Hz")
        shots.append(shot)
    return shots


def play(shots: list[np.ndarray], pattern: tuple[int, str, str, str], seed: int) -> np.ndarray:
    """A loop's drums, each on its own: ``(3, 1, frames)``."""
    tempo, *rows = pattern
    step = 60 / tempo / 4 * RATE
    random = np.random.default_rng(seed)
    drums = np.zeros((len(shots), 1, round(BARS * 16 * step)), np.float32)
    for drum, shot, row, level in zip(drums[:, 0], shots, rows, LEVELS, strict=True):
        for sixteenth, sign in enumerate(row * BARS):
            if sign == ".":
                continue
            strength = level * (GHOST if sign == "g" else 1) * (1 if sixteenth % 4 == 0 else OFF_BEAT)
            start = round(sixteenth * step)
            hit = shot[: drums.shape[2] - start] * strength * random.uniform(1 - SPREAD, 1 + SPREAD)
            drum[start : start + len(hit)] += hit
    return drums


def scores(drums: np.ndarray, estimates: np.ndarray) -> list[float]:
    return [si_sdr(drum, estimate) for drum, estimate in zip(drums, estimates, strict=True)]


def row(*cells: object) -> str:
    return "| " + " | ".join(f"{cell:.1f}" if isinstance(cell, float) else str(cell) for cell in cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sample-rate", type=int, default=RATE, help="rate at which to separate")
    parser.add_argument("--option", action="append", default=[], help="a parameter of NMF, as KEY=VALUE")
    arguments = parser.parse_args()
    options = {
        key: type(NMF.parameters[key].default)(value)
        for key, value in (option.split("=", 1) for option in arguments.option)
    }
    separator = NMF(mode="drums", **options)
    with safe_open(PATH, "numpy") as file:
        held_out = set(file.metadata()["held_out"].split())

    with threadpool_limits(1):
        print(f"{separator!r} at {arguments.sample_rate} Hz; {describe()}\n")
    print(row("kit", "pattern", "floor", *DRUMS, "mean", "ceiling"))
    print("|---" * 8 + "|")
    table, seconds, played = [], 0.0, 0.0
    for kit, names in KITS.items():
        shots = read_kit(arguments.data, names, held_out)
        for seed, (name, pattern) in enumerate(PATTERNS.items()):
            drums = play(shots, pattern, seed)
            drums = np.stack([soxr.resample(drum.T, RATE, arguments.sample_rate).T for drum in drums])
            loop = drums.sum(axis=0)
            start = time.process_time()
            estimates = separator.separate(loop, arguments.sample_rate).array
            seconds += time.process_time() - start
            played += loop.shape[1] / arguments.sample_rate
            floor = np.mean(scores(drums, np.broadcast_to(loop, drums.shape)))
            ceiling = np.mean(scores(drums, ideal_ratio_mask(drums, arguments.sample_rate, power=2)))
            found = scores(drums, estimates)
            table.append([floor, *found, np.mean(found), ceiling])
            print(row(kit, name, *map(float, table[-1])))
    means = np.mean(table, axis=0)
    print(row("all", "", *map(float, means)))
    print(f"\nCPU seconds per second of audio: {seconds / played:.3f}")
    if means[-2] < WANTED_DB:
        sys.exit(f"the mean is below {WANTED_DB:g} dB")


if __name__ == "__main__":
    main()
