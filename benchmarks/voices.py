"""The voice separators side by side on a fixed list of mixtures of voices they have never heard.

    python benchmarks/voices.py --data SPEECH_FOLDER --json results.json

The list (voices_mixtures.csv) names recordings, offsets and gains; the audio is not part of the
project. Every speaker has the same weight. Printed for 8 kHz (to stand beside the papers) and
16 kHz: SI-SDR and SDR improvement, same-sex and different-sex pairs apart, pairs by the distance of their
pitches, the share of mixtures that were hardly improved, the floor, the ceilings of ideal masks, and
speakers that were heard in training, whose lead is what more speakers could bring. ``--speed`` measures
the real-time factor on one core and the memory.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import permutations
from pathlib import Path

import numpy as np
import soundfile
import soxr

MIXTURES = Path(__file__).with_name("voices_mixtures.csv")
SECONDS = 5
RATE = 16_000
SEPARATORS = ("pit", "danet", "deep-clustering")
POOR_DB = 1.0
CLOSE_SEMITONES, FAR_SEMITONES = 3.0, 8.0
INTERVIEW = Path(__file__).parents[1] / "examples" / "session" / "audio" / "Interview.wav"
SPEED_SECONDS = 60
RATE_OF_SPEED = 44_100


def read_list(path: Path) -> dict[str, list[dict]]:
    """Mixture -> its voices, in the order of the list."""
    mixtures: dict[str, list[dict]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            mixtures.setdefault(row["mixture"], []).append(row)
    return mixtures


def sources(data: Path, voices: list[dict], rate: int) -> np.ndarray:
    """The voices ``(voices, 1, frames)`` at ``rate``, as loud as the list says."""
    out = []
    for voice in voices:
        audio, file_rate = soundfile.read(
            data / voice["path"], SECONDS * RATE, int(voice["start"]), dtype="float32", always_2d=True
        )
        if file_rate != RATE:
            raise SystemExit(f"{voice['path']} has a rate of {file_rate} Hz; the list is for {RATE} Hz")
        mono = audio.mean(1)
        mono = np.pad(mono, (0, SECONDS * RATE - len(mono))) / active_level(mono)
        out.append(soxr.resample(mono * 10 ** (float(voice["gain_db"]) / 20), RATE, rate, "VHQ"))
    return 0.05 * np.array(out, np.float32)[:, None]


def active_level(audio: np.ndarray) -> float:
    """RMS of the 20 ms frames within 30 dB of the loudest."""
    energy = np.square(audio[: len(audio) // 320 * 320].reshape(-1, 320), dtype=np.float64).mean(1)
    return float(np.sqrt(energy[energy > energy.max() * 1e-3].mean()))


def evaluate(
    method: Callable, mixtures: dict[str, list[dict]], data: Path, rate: int, bss_eval: bool
) -> list:
    """One row per voice: mixture, speaker, kind of pair, SI-SDR and SDR improvement in dB."""
    from separators.evaluation import bss_eval_sdr, si_sdr

    rows = []
    for name, voices in mixtures.items():
        distance = semitones(sources(data, voices, RATE)[:, 0])
        truth = sources(data, voices, rate)
        mixture = truth.sum(0)
        estimates = method(truth, mixture, rate)
        scores = np.array([[si_sdr(t, e) for e in estimates] for t in truth])
        order = max(permutations(range(len(truth))), key=lambda o: scores[range(len(truth)), list(o)].sum())
        sexes = {voice["sex"] for voice in voices}
        kind = "unknown" if not sexes <= {"M", "F"} else "same" if len(sexes) == 1 else "different"
        for index, voice in enumerate(voices):
            row = {
                "mixture": name,
                "speaker": voice["speaker"],
                "kind": kind,
                "semitones": distance,
                "floor": si_sdr(truth[index], mixture),
            }
            row["si_sdr_i"] = scores[index, order[index]] - row["floor"]
            if bss_eval:
                row["sdr_i"] = bss_eval_sdr(truth[index], estimates[order[index]]) - bss_eval_sdr(
                    truth[index], mixture
                )
            rows.append(row)
    return rows


def semitones(voices: np.ndarray) -> float:
    """The least distance of the pitches of any two voices ``(voices, frames)``, NaN where one has none."""
    from separators.training.pitch import median_pitch

    pitches = np.sort([12 * np.log2(median_pitch(voice)) for voice in voices])
    return float(np.diff(pitches).min())


def by_speaker(rows: list, key: str) -> float:
    """Mean over speakers of each speaker's mean."""
    speakers: dict[str, list[float]] = {}
    for row in rows:
        speakers.setdefault(row["speaker"], []).append(row[key])
    return float(np.mean([np.mean(values) for values in speakers.values()])) if speakers else float("nan")


def summary(rows: list) -> dict[str, float]:
    """The figures of one table row."""
    per_mixture: dict[str, list[float]] = {}
    for row in rows:
        per_mixture.setdefault(row["mixture"], []).append(row["si_sdr_i"])
    gains = np.array([np.mean(values) for values in per_mixture.values()])
    result = {
        "mixtures": len(gains),
        "floor_db": by_speaker(rows, "floor"),
        "si_sdr_i_db": by_speaker(rows, "si_sdr_i"),
        "same_sex_db": by_speaker([row for row in rows if row["kind"] == "same"], "si_sdr_i"),
        "different_sex_db": by_speaker([row for row in rows if row["kind"] == "different"], "si_sdr_i"),
        "close_db": by_speaker([row for row in rows if row["semitones"] < CLOSE_SEMITONES], "si_sdr_i"),
        "middle_db": by_speaker(
            [row for row in rows if CLOSE_SEMITONES <= row["semitones"] < FAR_SEMITONES], "si_sdr_i"
        ),
        "far_db": by_speaker([row for row in rows if row["semitones"] >= FAR_SEMITONES], "si_sdr_i"),
        "poor_share": float((gains < POOR_DB).mean()),
        "quantiles_db": [float(value) for value in np.quantile(gains, [0.1, 0.25, 0.5, 0.75, 0.9])],
    }
    if "sdr_i" in rows[0]:
        result["sdr_i_db"] = by_speaker(rows, "sdr_i")
    return result


def separated_by(name: str, weights: str, fast: bool = True) -> Callable:
    """A method that separates the mixture, without knowing the sources."""
    from separators import create

    def method(truth: np.ndarray, mixture: np.ndarray, rate: int) -> np.ndarray:
        count = {} if name == "pit" else {"speakers": len(truth)}
        return create(name, weights=weights, fast=fast, **count).separate(mixture, rate).array

    return method


def ceilings() -> dict[str, Callable]:
    """Ideal masks, which know the sources."""
    from separators.evaluation.reference import ideal_binary_mask, ideal_ratio_mask

    return {
        "ideal ratio mask": lambda truth, _mixture, rate: ideal_ratio_mask(truth, rate),
        "ideal binary mask": lambda truth, _mixture, _rate: ideal_binary_mask(truth, _rate),
    }


def speed(name: str, weights: str, fast: bool = True) -> dict[str, float]:
    """Processor seconds per second of an interview, and of noise, in stereo at 44.1 kHz; peak memory in MB.

    Of noise the network hears less: there is nobody to be reminded of.
    """
    import torch

    torch.set_num_threads(1)
    from separators import create

    separator = create(name, weights=weights, fast=fast)
    before = 0
    seconds = []
    for mixture in (interview(), noise()):
        separator.separate(mixture[:, :RATE_OF_SPEED], RATE_OF_SPEED)
        before = before or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        times = []
        for _ in range(3):
            started = time.process_time()
            separator.separate(mixture, RATE_OF_SPEED)
            times.append(time.process_time() - started)
        seconds.append(min(times) / SPEED_SECONDS)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "real_time_factor": seconds[0],
        "noise_real_time_factor": seconds[1],
        "peak_mb": peak / 1024,
        "above_import_mb": (peak - before) / 1024,
    }


def interview() -> np.ndarray:
    """The example session's interview again and again, in stereo ``(2, frames)``."""
    talk = soundfile.read(INTERVIEW, dtype="float32")[0]
    talk = np.resize(talk, SPEED_SECONDS * RATE_OF_SPEED)
    return np.stack([talk, 0.7 * talk])


def noise() -> np.ndarray:
    """Noise whose level changes ten times a second ``(2, frames)``."""
    rng = np.random.default_rng(0)
    envelope = np.repeat(rng.random(SPEED_SECONDS * 10), RATE_OF_SPEED // 10)
    return (0.1 * envelope * rng.standard_normal((2, SPEED_SECONDS * RATE_OF_SPEED))).astype(np.float32)


def alone(function: Callable, *arguments: object) -> object:
    """``function(*arguments)`` in a process of its own, whose peak memory is that of this call."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def print_table(results: dict) -> None:
    pitches = f"below {CLOSE_SEMITONES:g} / to {FAR_SEMITONES:g} / above semitones"
    columns = ["set", "rate", "method", "SI-SDRi", "same sex", "different sex", pitches, "SDRi", "below 1 dB"]
    print("| " + " | ".join([*columns, "10/50/90 %"]) + " |")
    print("|---" * 10 + "|")
    for (group, rate, method), row in results.items():
        low, _, median, _, high = row["quantiles_db"]
        figures = [row[key] for key in ("si_sdr_i_db", "same_sex_db", "different_sex_db")]
        columns = [group, f"{rate // 1000} kHz", method, *(f"{value:.2f}" for value in figures)]
        columns += [" / ".join(f"{row[key]:.2f}" for key in ("close_db", "middle_db", "far_db"))]
        columns += [f"{row.get('sdr_i_db', float('nan')):.2f}"]
        columns += [f"{row['poor_share']:.0%}", f"{low:.1f} / {median:.1f} / {high:.1f}"]
        print("| " + " | ".join(columns) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="the folder of recordings that the list names")
    parser.add_argument("--separators", default=",".join(SEPARATORS), help="may be empty: ceilings only")
    parser.add_argument("--weights", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--sets", default="test-2,train-2,test-3")
    parser.add_argument("--rates", default="8000,16000")
    parser.add_argument("--every", type=int, default=1, help="take every n-th mixture only")
    parser.add_argument("--no-ceilings", action="store_true")
    parser.add_argument("--no-sdr", action="store_true", help="leave out BSS Eval's SDR, which is slow")
    parser.add_argument(
        "--fast", action=argparse.BooleanOptionalAction, default=True, help="compute in bfloat16 where it can"
    )
    parser.add_argument("--speed", action="store_true", help="measure speed and memory instead")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    weights = dict(text.split("=", 1) for text in given.weights)
    names = [name for name in given.separators.split(",") if name]

    if given.speed:
        # Peak memory is a process' own: one each.
        figures = {name: alone(speed, name, weights.get(name, ""), given.fast) for name in names}
        for name, row in figures.items():
            factor = row["real_time_factor"]
            print(
                f"{name}: {1 / factor:.0f} times real time ({factor:.4f}), "
                f"of noise {1 / row['noise_real_time_factor']:.0f} times, peak {row['peak_mb']:.0f} MB"
            )
        if given.json:
            given.json.write_text(json.dumps(figures, indent=1))
        return
    if given.data is None:
        parser.error("--data is needed")

    mixtures = read_list(MIXTURES)
    methods = {name: separated_by(name, weights.get(name, ""), given.fast) for name in names}
    if not given.no_ceilings:
        methods |= ceilings()
    results = {}
    for group in given.sets.split(","):
        chosen = [name for name in mixtures if name.startswith(group)][:: given.every]
        for rate in (int(text) for text in given.rates.split(",")):
            for label, method in methods.items():
                if group.endswith("3") and label == "pit":
                    continue
                subset = {name: mixtures[name] for name in chosen}
                rows = evaluate(method, subset, given.data, rate, not given.no_sdr)
                results[group, rate, label] = summary(rows)
    print_table(results)
    if given.json:
        table = [{"set": g, "rate": r, "method": m, **row} for (g, r, m), row in results.items()]
        given.json.write_text(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
