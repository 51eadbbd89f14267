"""A GPU beside the processor: the shipped networks' differences in dB, times real time, a minute of training.

    python -m benchmarks.devices [--device cuda] [--seconds 60] [--minutes 1] [NAME ...]

Makes its own audio and voices. Prints the device's name, a Markdown table of the networks, and how many
steps the training did. Ends with status 1 if a network's stems differ from the processor's by more than
-60 dB. Without a GPU, `--device cpu` shows that all of it runs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import torch

import separators
from benchmarks.machine import processor
from separators.neural import devices
from separators.training import recipes
from separators.training.trainer import Settings

AGREES_DB = -60.0
NETWORKS = {
    "pit": (16_000, {"fast": False}),
    "danet": (16_000, {"fast": False}),
    "deep-clustering": (16_000, {"fast": False}),
    "wave-u-net": (44_100, {"fast": False}),
}
"""Each with the rate of what it is made for, and in full precision."""
SPEAKERS = 6


def voice(pitch_hz: float, seconds: float, rate: int, seed: int) -> np.ndarray:
    """A stand-in for a voice: a tone with vibrato and syllables."""
    rng = np.random.default_rng(seed)
    at = np.arange(round(seconds * rate)) / rate
    syllables = np.repeat(rng.random(int(seconds * 5) + 1) > 0.3, rate // 5)[: len(at)]
    phase = 2 * np.pi * np.cumsum(pitch_hz * (1 + 0.03 * np.sin(6 * np.pi * at + seed))) / rate
    tone = sum(np.sin(k * phase) / k for k in range(1, 12))
    return (0.05 * tone * np.convolve(syllables, np.hanning(800) / 400, "same")).astype(np.float32)


def mixture(seconds: float, rate: int) -> np.ndarray:
    first, second = voice(110, seconds, rate, 1), voice(220, seconds, rate, 2)
    return np.stack([first + 0.5 * second, 0.6 * first + second])


def separated(name: str, device: str, seconds: float) -> tuple[np.ndarray, float]:
    """The stems, and how many times real time it was, without the first run, which loads the network."""
    rate, parameters = NETWORKS[name]
    separator = separators.create(name, **parameters, device=device)
    separator.separate(mixture(5.0, rate), rate)
    audio = mixture(seconds, rate)
    begin = time.perf_counter()
    stems = separator.separate(audio, rate).array
    return stems, seconds / (time.perf_counter() - begin)


def compare(name: str, device: str, seconds: float) -> bool:
    """A row of the table."""
    right, slow = separated(name, "cpu", seconds)
    there, fast = separated(name, device, seconds)
    far = 10 * np.log10(float(np.square(there - right).sum()) / float(np.square(right).sum()) + 1e-20)
    print(f"| {name} | {far:.0f} dB | {fast:.1f} | {slow:.1f} |", flush=True)
    return far < AGREES_DB


def train(device: str, minutes: float, batch: int) -> None:
    """A line on a run of ``pit`` on voices that are none."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "voices")
        for speaker in range(SPEAKERS):
            place = data / f"speaker-{speaker}"
            place.mkdir(parents=True)
            for number in range(2):
                audio = voice(90 * 1.25**speaker, 20, 16_000, 10 * speaker + number)
                soundfile.write(place / f"{number}.wav", audio, 16_000)
        work = Path(folder, "work")
        settings = Settings(minutes=minutes, device=device, validate_minutes=np.inf)
        scores = recipes.train(
            "pit", data, Path(folder, "weights"), settings=settings, work=work, batch=batch
        )
        row = json.loads((work / "log.jsonl").read_text().splitlines()[-1])
    print(
        f"\nTraining of pit, {minutes:g} minutes, {batch} mixtures a step: {row['step']} steps of "
        f"{row['seconds_per_step']:.3f} s, loss {row['loss']}, validation {scores['score']:.1f} dB"
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NETWORKS))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seconds", type=float, default=60, help="of audio for each network")
    parser.add_argument("--minutes", type=float, default=1, help="of training; 0: none")
    parser.add_argument("--batch", type=int, default=32, help="mixtures in a step of training")
    chosen = parser.parse_args()
    if unknown := set(chosen.names) - set(NETWORKS):
        parser.error(f"no network {', '.join(unknown)}; there are: {', '.join(NETWORKS)}")
    device = devices.chosen(chosen.device)
    print(f"{devices.called(device)} beside {processor()}, PyTorch {torch.__version__}\n")
    print("| network | difference | times real time | on the CPU |\n|---|---|---|---|", flush=True)
    good = [compare(name, str(device), chosen.seconds) for name in chosen.names or NETWORKS]
    if chosen.minutes:
        train(str(device), chosen.minutes, chosen.batch)
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
