"""One object called from several threads with arrays of mixed layouts: how many results are wrong.

    python -m benchmarks.threads [--calls 1000] [--threads 8]

Every result is compared, bit by bit, with that of an object of its own in one thread. Ends with status 1 if
one is wrong.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from pedalboard import Chain, Compressor, Gain, HighpassFilter, Limiter, Mix, Pedalboard, Plugin, Reverb

from plugin_bridge import Board, SeparatorPlugin, StemRack
from separators import NMF

RATE = 44100


def nmf() -> NMF:
    return NMF(stems=2, components=4, iterations=3)


def mix() -> Mix:
    return Mix([Board([Gain(-6)]), Chain([HighpassFilter(200)])])


def native() -> list[Plugin]:
    return [HighpassFilter(60), Compressor(-20, 4), Reverb(0.3), Limiter(-3)]


MAKE = {
    "Pedalboard": lambda: Pedalboard(native()),
    "Board of native plug-ins": lambda: Board(native()),
    "Board with a rack": lambda: Board(
        [mix(), StemRack(nmf(), {"stem-1": [Reverb(0.3)]}, remix=True), Limiter(-3)]
    ),
    "SeparatorPlugin": lambda: SeparatorPlugin(nmf()),
    "StemRack": lambda: StemRack(nmf(), {"stem-1": [Gain(-6)], "stem-2": [Board([HighpassFilter(99)])]}),
}


def arrays() -> list[np.ndarray]:
    """Stereo and mono, channels first and last, 1-D, float32 and float64, of different lengths."""
    rng, made = np.random.default_rng(0), []
    for channels, frames in ((2, 3000), (1, 4000), (2, 5000)):
        audio = (0.2 * rng.standard_normal((channels, frames))).astype(np.float32)
        made += [audio, np.ascontiguousarray(audio.T), audio[0], audio.T.astype(np.float64)]
    return made


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=8)
    options = parser.parse_args()
    inputs, wrong = arrays(), 0
    order = np.random.default_rng(1).integers(0, len(inputs), options.calls)
    print(f"{options.calls} calls of one object in {options.threads} threads\n")
    print("| object | wrong results | seconds |\n|---|---|---|")
    for name, make in MAKE.items():
        expected = [make()(audio, RATE) for audio in inputs]
        one, start = make(), time.perf_counter()
        with ThreadPoolExecutor(options.threads) as threads:
            results = list(threads.map(lambda number: one(inputs[number], RATE), order))  # noqa: B023
        seconds = time.perf_counter() - start
        right = [np.array_equal(out, expected[number]) for number, out in zip(order, results, strict=True)]
        bad = right.count(False)
        print(f"| {name} | {bad} of {options.calls} | {seconds:.1f} |")
        wrong += bad
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
