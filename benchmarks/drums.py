"""NMF mode drums on loops played with one-shots that its templates were not learned from.

    python -m benchmarks.drums --data DRUMS [--sample-rate 44100] [--option KEY=VALUE ...]

DRUMS is the folder of one-shots that scripts/learn_drum_templates.py learned from. Every kit plays every
pattern, four bars each, with hits of differing strength. Figures are SI-SDR in dB: the floor is the
loop itself taken as each drum, the ceiling the ideal ratio mask on powers. Pre-echo is what a stem has
too much or too little in the 20 ms before its drum's hits, relative to the drum's own energy in the 20 ms
after them, in dB, mean over the drums; that of the loop and of the ideal mask stand beside it. Ends with
status 1 if the mean over kick, snare and hi-hat is below 10 dB.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from safetensors import safe_open
from threadpoolctl import threadpool_limits

from benchmarks.machine import describe
from separators import NMF
from separators.evaluation import si_sdr
from separators.evaluation.reference import ideal_ratio_mask
from separators.nmf.drum_templates import DRUMS, PATH
from separators.nmf.drums import DEFAULT

RATE = 44100
WANTED_DB = 10.0
FOLDERS = ("kick", "snare", "hihat_closed", "hihat_open", "tom", "clap", "cymbal", "perc")
"""Of DRUMS."""
BARS = 4
LEVELS = (1.0, 0.8, 0.35, 0.35, 0.7, 0.6, 0.4, 0.4)
"""Of the drums, whose one-shots all peak at 0.9."""
GHOST, OFF_BEAT, SPREAD = 0.35, 0.8, 0.15
BEFORE_SECONDS = 0.02
LEAST_DB = -100.0

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
# All of these hold the only clap that was kept.
LARGE_KITS = {
    "808 machine": (
        "msgm_tr808_36", "msgm_tr808_38", "msgm_tr808_42", "msgm_tr808_46",
        "msgm_tr808_45", "msgm_tr808_39", "msgm_tr808_49", "msgm_tr808_56",
    ),
    "acoustic": (
        "sonicpi_drum_bass_hard", "sonicpi_drum_snare_hard", "sonicpi_drum_cymbal_closed",
        "sonicpi_drum_cymbal_open", "sonicpi_drum_tom_mid_hard", "msgm_tr808_39",
        "sonicpi_drum_splash_hard", "sonicpi_drum_cowbell",
    ),
    "electronic": (
        "sonicpi_elec_hollow_kick", "sonicpi_elec_snare", "sonicpi_drum_cymbal_pedal",
        "sonicpi_drum_cymbal_open", "sonicpi_elec_fuzz_tom", "msgm_tr808_39",
        "sonicpi_elec_cymbal", "sonicpi_elec_wood",
    ),
}  # fmt: skip
LARGE_PATTERNS = {  # rows in the order of DRUMS; two bars
    "rock": (
        96,
        "x.......x.x.....x.......x.......",
        "....x.......x.......x.......x...",
        "..x.x.x.x.x.x.x.x.x.x.x.........",
        "..............................x.",
        "........................x.xx....",
        ".......x...............x........",
        "x...............................",
        "..........x.......x.......x.....",
    ),
    "dance": (
        124,
        "x...x...x...x...x...x...x...x...",
        "..............x...............x.",
        "x..xx..xx..xx..xx..xx..xx..xx..x",
        "..x...x...x.......x...x...x.....",
        ".......x..x............x..x..x..",
        "....x.......x.......x.......x...",
        "x...............................",
        "...x..x......x.....x..x......x..",
    ),
}


@dataclass
class Loop:
    """A kit playing a pattern."""

    kit: str
    pattern: str
    drums: np.ndarray
    """Each drum on its own, ``(drums, 1, frames)``."""
    hits: list[list[float]]
    """When each drum is struck, in seconds."""


def read_kit(data: Path, names: tuple[str, ...], held_out: set[str]) -> list[np.ndarray]:
    """The one-shots of a kit, all of which must be held out."""
    if learned := set(names) - held_out:
        raise SystemExit(f"the templates were learned from {', '.join(sorted(learned))}")
    shots = []
    for name, folder in zip(names, FOLDERS, strict=False):
        shot, rate = soundfile.read(data / folder / f"{name}.flac", dtype="float32")
        if rate != RATE:
            raise SystemExit(f"{name} has a rate of {rate} Hz instead of {RATE} Hz")
        shots.append(shot)
    return shots


def play(shots: list[np.ndarray], pattern: tuple, seed: int) -> tuple[np.ndarray, list[list[float]]]:
    """A loop's drums, each on its own: ``(drums, 1, frames)``; and their hits in seconds."""
    tempo, *rows = pattern
    step = 60 / tempo / 4 * RATE
    random = np.random.default_rng(seed)
    drums = np.zeros((len(shots), 1, round(BARS * 16 * step)), np.float32)
    hits: list[list[float]] = [[] for _ in shots]
    for drum, shot, row, level, times in zip(drums[:, 0], shots, rows, LEVELS, hits, strict=False):
        for sixteenth, sign in enumerate(row * (BARS * 16 // len(row))):
            if sign == ".":
                continue
            strength = level * (GHOST if sign == "g" else 1) * (1 if sixteenth % 4 == 0 else OFF_BEAT)
            start = round(sixteenth * step)
            hit = shot[: drums.shape[2] - start] * strength * random.uniform(1 - SPREAD, 1 + SPREAD)
            drum[start : start + len(hit)] += hit
            times.append(start / RATE)
    return drums, hits


def loops(kits: dict, patterns: dict, data: Path, held_out: set[str], sample_rate: int) -> list[Loop]:
    """Every kit with every pattern."""
    played = []
    for kit, names in kits.items():
        shots = read_kit(data, names, held_out)
        for seed, (name, pattern) in enumerate(patterns.items()):
            drums, hits = play(shots, pattern, seed)
            drums = np.stack([soxr.resample(drum.T, RATE, sample_rate).T for drum in drums])
            played.append(Loop(kit, name, drums, hits))
    return played


def scores(drums: np.ndarray, estimates: np.ndarray) -> list[float]:
    return [si_sdr(drum, estimate) for drum, estimate in zip(drums, estimates, strict=True)]


def pre_echo(loop: Loop, estimates: np.ndarray, sample_rate: int) -> float:
    """Mean over the drums of their error before their hits, as this benchmark's head says."""
    frames = round(BEFORE_SECONDS * sample_rate)
    levels = []
    for drum, estimate, hits in zip(loop.drums, estimates, loop.hits, strict=True):
        starts = [round(seconds * sample_rate) for seconds in hits]
        errors = [np.sum(np.square((estimate - drum)[:, max(0, at - frames) : at])) for at in starts]
        sounds = [np.sum(np.square(drum[:, at : at + frames])) for at in starts]
        levels.append(max(LEAST_DB, 10 * np.log10(max(np.sum(errors) / np.sum(sounds), 1e-30))))
    return float(np.mean(levels))


def row(*cells: object) -> str:
    return "| " + " | ".join(f"{cell:.1f}" if isinstance(cell, float) else str(cell) for cell in cells) + " |"


def print_table(names: tuple[str, ...], played: list[Loop], options: dict, sample_rate: int) -> np.ndarray:
    """A line for each loop, and their means, which are returned: floor, drums, mean, ceiling, pre-echoes."""
    separator = NMF(mode="drums", drums=",".join(names), **options)
    header = ("kit", "pattern", "floor", *names, "mean", "ceiling")
    header += ("pre-echo of the loop", "of the stems", "of the ideal mask")
    print(f"\n{row(*header)}")
    print("|---" * len(header) + "|")
    table, seconds, audio = [], 0.0, 0.0
    for loop in played:
        mixture = loop.drums.sum(axis=0)
        start = time.process_time()
        estimates = separator.separate(mixture, sample_rate).array
        seconds += time.process_time() - start
        audio += mixture.shape[1] / sample_rate
        ideal = ideal_ratio_mask(loop.drums, sample_rate, power=2)
        untouched = np.broadcast_to(mixture, loop.drums.shape)
        found = scores(loop.drums, estimates)
        table.append([np.mean(scores(loop.drums, untouched)), *found, np.mean(found)])
        table[-1] += [np.mean(scores(loop.drums, ideal))]
        table[-1] += [pre_echo(loop, stems, sample_rate) for stems in (untouched, estimates, ideal)]
        print(row(loop.kit, loop.pattern, *map(float, table[-1])))
    means = np.mean(table, axis=0)
    print(row("all", "", *map(float, means)))
    print(f"\nCPU seconds per second of audio: {seconds / audio:.3f}")
    return means


def mean_score(separator: NMF, loop: Loop, sample_rate: int) -> float:
    """SI-SDR of the loop's drums; what else the separator looks for is left aside."""
    stems = separator.separate(loop.drums.sum(axis=0), sample_rate)
    return float(np.mean([si_sdr(drum, stems[name]) for drum, name in zip(loop.drums, DRUMS, strict=False)]))


def with_own_one_shots(data: Path, played: list[Loop], options: dict, sample_rate: int) -> float:
    """The mean score if the templates come from the very one-shots of each loop's kit."""
    found = []
    for loop in played:
        with tempfile.TemporaryDirectory() as folder:
            for name, drum, source in zip(LARGE_KITS[loop.kit], DRUMS, FOLDERS, strict=True):
                shutil.copy(data / source / f"{name}.flac", Path(folder) / f"{drum}.flac")
            found.append(mean_score(NMF(mode="drums", one_shots=folder, **options), loop, sample_rate))
    return float(np.mean(found))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sample-rate", type=int, default=RATE, help="rate at which to separate")
    parser.add_argument("--option", action="append", default=[], help="a parameter of NMF, as KEY=VALUE")
    arguments = parser.parse_args()
    rate = arguments.sample_rate
    options = {
        key: type(NMF.parameters[key].default)(value)
        for key, value in (option.split("=", 1) for option in arguments.option)
    }
    with safe_open(PATH, "numpy") as file:
        held_out = set(file.metadata()["held_out"].split())
    small = loops(KITS, PATTERNS, arguments.data, held_out, rate)
    large = loops(LARGE_KITS, LARGE_PATTERNS, arguments.data, held_out, rate)

    with threadpool_limits(1):
        print(f"{NMF(mode='drums', **options)!r} at {rate} Hz; {describe()}")
    means = print_table(DEFAULT, small, options, rate)
    print("\n## A larger kit")
    print_table(DRUMS, large, options, rate)
    own = with_own_one_shots(arguments.data, large, options, rate)
    print(f"\nThe same loops with templates from the kits' own one-shots: mean {own:.1f} dB")
    wanted = means[1 + len(DEFAULT)]
    if wanted < WANTED_DB:
        sys.exit(f"the mean is below {WANTED_DB:g} dB")


if __name__ == "__main__":
    main()
