"""NMF's speed beside the matrix products it consists of, scikit-learn and torchnmf: one Markdown table.

    python -m benchmarks.nmf FILE [FILE ...]

The files are mixed (stems of one song, for instance) and the loudest minute of the mixture is
factorized: magnitudes of an STFT of 2048 samples with a hop of 512 at 44.1 kHz, 30 components,
Kullback-Leibler divergence. Figures are CPU seconds with one thread, medians over interleaved runs.

- "iteration" is one update of both factors, and "four products" the four matrix products of its
  size in numpy, whole matrices in float32: what no implementation of these updates can avoid.
- scikit-learn runs its `mu` solver 200 times in its default type (float64) and in float32, from
  the same start; Stembridge runs until its divergence is no larger. Its time includes the looks at
  the objective on the way.
- torchnmf runs as many iterations from the same start in float32, its default; in brackets its
  divergence against scikit-learn's.

Ends with status 1 if an iteration takes more than 1.3 times the four products, or if scikit-learn in its
default type takes less than 8 times as long.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import torch
from sklearn import decomposition
from threadpoolctl import threadpool_limits
from torchnmf import nmf as torchnmf

from benchmarks.machine import describe
from separators.nmf.solver import Matrix, background_of, divergence, minimize, random_start, update
from separators.spectral import STFT

RATE, SECONDS = 44100, 60
COMPONENTS, PEER_ITERATIONS = 30, 200
MOST_PRODUCTS, LEAST_SPEEDUP = 1.3, 8.0


def minute(files: list[Path]) -> Matrix:
    """The spectrogram ``(frames, bins)`` of the loudest minute of the files' sum."""
    mixture = np.zeros(0)
    for file in files:
        audio, rate = soundfile.read(file, always_2d=True)
        if rate != RATE:
            raise SystemExit(f"{file} has a rate of {rate} Hz instead of {RATE} Hz")
        mono = audio.mean(axis=1)
        mixture = np.pad(mixture, (0, max(0, len(mono) - len(mixture))))
        mixture[: len(mono)] += mono
    frames = SECONDS * RATE
    if len(mixture) < frames:
        raise SystemExit(f"the files last {len(mixture) / RATE:.1f} s; at least {SECONDS} s are needed")
    power = np.concatenate([[0], np.cumsum(np.square(mixture))])
    start = int(np.argmax(power[frames:] - power[:-frames]))
    audio = mixture[start : start + frames] / np.std(mixture[start : start + frames])
    return np.ascontiguousarray(np.abs(STFT(2048, 512).forward(audio.astype(np.float32)).T))


def seconds_of(function: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    start = time.process_time()
    function()
    return time.process_time() - start


def iteration_and_products(V: Matrix, H: Matrix, W: Matrix, repeats: int) -> tuple[list[float], list[float]]:
    """Seconds of one iteration and of its four products, interleaved."""
    background = background_of(V)
    transposed, columns = np.ascontiguousarray(W.T), np.ascontiguousarray(H.T)
    model, by_time, by_bin = np.empty_like(V), np.empty_like(H), np.empty_like(W)

    def products() -> None:
        np.matmul(H, W, out=model)
        np.matmul(V, transposed, out=by_time)
        np.matmul(H, W, out=model)
        np.matmul(columns, V, out=by_bin)

    pairs = [
        (seconds_of(lambda: update(V, H, W, 1, background)), seconds_of(products)) for _ in range(repeats)
    ]
    iteration, four = zip(*pairs[1:], strict=True)  # the first pair warms up
    return list(iteration), list(four)


def sklearn_run(V: Matrix, H: Matrix, W: Matrix) -> tuple[float, float]:
    """Seconds and final divergence of scikit-learn from this start, in the arrays' type."""
    model = decomposition.NMF(
        COMPONENTS,
        init="custom",
        solver="mu",
        beta_loss="kullback-leibler",
        max_iter=PEER_ITERATIONS,
        tol=0,
    )
    start = time.process_time()
    found = model.fit_transform(V, W=H.copy(), H=W.copy())
    seconds = time.process_time() - start
    return seconds, divergence_of(V, found, model.components_)


def torchnmf_run(V: Matrix, H: Matrix, W: Matrix) -> tuple[float, float]:
    """Seconds and final divergence of torchnmf from this start."""
    torch.set_num_threads(1)
    model = torchnmf.NMF(W=torch.tensor(W.T), H=torch.tensor(H))
    start = time.process_time()
    model.fit(torch.from_numpy(V), beta=1, tol=-np.inf, max_iter=PEER_ITERATIONS)
    seconds = time.process_time() - start
    return seconds, divergence_of(V, model.H.detach().numpy(), model.W.detach().numpy().T)


def divergence_of(V: Matrix, H: Matrix, W: Matrix) -> float:
    """The divergence of the models as Stembridge measures it."""
    return divergence(V.astype(np.float32), H.astype(np.float32), W.astype(np.float32), 1, background_of(V))


class _TargetReachedError(Exception):
    """The target was reached."""


def stembridge_run(V: Matrix, H: Matrix, W: Matrix, target: float) -> tuple[float, int]:
    """Seconds and iterations until the divergence is at most ``target``."""
    background = background_of(V)
    iterations = 0

    def step(H: Matrix, W: Matrix) -> tuple[Matrix, Matrix]:
        nonlocal iterations
        iterations += 1
        return update(V, H, W, 1, background)

    def objective(H: Matrix, W: Matrix) -> float:
        value = divergence(V, H, W, 1, background)
        if value <= target:
            raise _TargetReachedError
        return value

    start = time.process_time()
    try:
        minimize(step, objective, (H, W), 100 * PEER_ITERATIONS, 0.0)
    except _TargetReachedError:
        return time.process_time() - start, iterations
    raise SystemExit("the target was not reached")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", type=Path, nargs="+", help="audio files at 44.1 kHz, mixed")
    parser.add_argument("--repeats", type=int, default=21, help="timed iterations")
    parser.add_argument("--seeds", type=int, default=3, help="random starts")
    options = parser.parse_args()

    V = minute(options.files)
    ratios, rows, speedups = [], [], []
    with threadpool_limits(1):
        head = describe("scikit-learn", "torch", "torchnmf")
        for seed in range(options.seeds):
            H, W = random_start(V, COMPONENTS, seed)
            iteration, four = (
                float(np.median(times)) for times in iteration_and_products(V, H, W, options.repeats)
            )
            ratios.append(iteration / four)
            wide = tuple(array.astype(np.float64) for array in (V, H, W))
            peer, target = sklearn_run(*wide)
            narrow, _ = sklearn_run(V, H, W)
            torched, reached = torchnmf_run(V, H, W)
            own, count = stembridge_run(V, H, W, target)
            speedups.append(peer / own)
            rows.append(
                f"| {seed} | {1000 * iteration:.0f} | {1000 * four:.0f} | {ratios[-1]:.2f} | {peer:.1f} "
                f"| {narrow:.1f} | {torched:.1f} ({reached / target:.3f}) | {own:.2f} ({count} iterations) "
                f"| {peer / own:.1f} | {narrow / own:.1f} | {torched / own:.1f} |"
            )
    print(f"NMF, {V.shape[0]} frames of {V.shape[1]} bins, {COMPONENTS} components; {head}\n")
    print(
        "| start | iteration, ms | four products, ms | ratio | sklearn float64, s | sklearn float32, s "
        "| torchnmf, s (divergence) | Stembridge to scikit-learn's divergence, s "
        "| times faster than float64 | than float32 | than torchnmf |"
    )
    print("|---" * 11 + "|")
    print("\n".join(rows))
    ratio, speedup = float(np.median(ratios)), float(np.median(speedups))
    print(f"| median | | | {ratio:.2f} | | | | | {speedup:.1f} | | |")
    return int(ratio > MOST_PRODUCTS or speedup < LEAST_SPEEDUP)


if __name__ == "__main__":
    sys.exit(main())
