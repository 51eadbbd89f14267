"""NMF with a dictionary beside blind NMF with the best possible grouping, on songs whose stems are known.

    python -m benchmarks.dictionaries --data STEMS [--song NAME ...] [--section SECONDS]

STEMS holds a folder for each song, with one file for each stem (stems that are called bass are left out,
as they are silent most of the time). Of each song a passage of 20 s is separated: the one in which the stem
that is softest there, against its own mean level, is loudest. The dictionary is learned from the same
stems, from all of the song that is 3 s and more away from that passage; with ``--section 30`` from one
section of 30 s only, chosen likewise among those that are away from it. It is used as it comes, and with its
templates alone, without its examples.

Blind NMF is mode blind with its defaults, but for its grouping: every component goes to the stem for which
the mean SI-SDR over the stems is largest, found by moving single components, from eight starts, until
none helps. That needs the true stems, which no method has. All figures are SI-SDR in dB, means over the
stems: the floor is the mixture itself, the ceiling an ideal ratio mask. Ends with status 1 if the dictionary
is not at least 2 dB better than blind NMF, in the mean over the songs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
from threadpoolctl import threadpool_limits

from benchmarks.machine import describe
from separators import NMF
from separators.evaluation import si_sdr
from separators.evaluation.reference import ideal_ratio_mask, mixture_as_estimates
from separators.nmf.analysis import Analysis
from separators.nmf.blind import ITERATIONS
from separators.nmf.dictionary_learning import learn
from separators.nmf.solver import activations, background_of, factorize, random_start
from separators.streaming import ArraySource

WANTED_DB = 2.0
PASSAGE_SECONDS, DISTANCE_SECONDS, STEP_SECONDS = 20, 3, 5
LEFT_OUT = "bass"
RANDOM_STARTS = 5


def read_song(folder: Path) -> tuple[dict[str, np.ndarray], int]:
    """The stems ``(channels, frames)`` of a song and their rate."""
    files = [file for file in sorted(folder.iterdir()) if file.suffix == ".ogg" and file.stem != LEFT_OUT]
    read = {file.stem: soundfile.read(file, dtype="float32", always_2d=True) for file in files}
    length = min(len(audio) for audio, _ in read.values())
    return {name: audio[:length].T for name, (audio, _) in read.items()}, next(iter(read.values()))[1]


def passage_start(
    stems: dict[str, np.ndarray], rate: int, seconds: int, avoid: tuple[int, int] = (0, 0)
) -> int:
    """The first frame of the passage of ``seconds`` in which the softest stem is loudest.

    It lies 3 s and more from the frames ``avoid``.
    """
    length, gap = seconds * rate, DISTANCE_SECONDS * rate
    starts = range(0, next(iter(stems.values())).shape[1] - length, STEP_SECONDS * rate)
    means = [np.square(audio).mean() for audio in stems.values()]

    def softest(start: int) -> float:
        passages = [audio[:, start : start + length] for audio in stems.values()]
        return min(float(np.square(part).mean() / mean) for part, mean in zip(passages, means, strict=True))

    apart = [start for start in starts if start + length + gap <= avoid[0] or start >= avoid[1] + gap]
    return max(starts if avoid == (0, 0) else apart, key=softest)


def components_of(mixture: np.ndarray, rate: int) -> np.ndarray:
    """The signals of blind NMF's components, which sum to the mixture: ``(components, samples)``."""
    settings = NMF()
    analysis = Analysis(rate, settings.fft_size, settings.overlap, settings.beta)
    scaled = mixture / np.sqrt(np.square(mixture).mean())
    spectrum, V = analysis.forward(scaled)
    H, W = random_start(V, settings.components, settings.seed)
    W = factorize(V, H, W, settings.beta, ITERATIONS, settings.tolerance).W
    H = activations(V, W, settings.beta, background_of(V))
    models = np.stack([np.outer(h, w) for h, w in zip(H.T, W, strict=True)])
    return analysis.stems(spectrum, models, mixture.shape[1], 1.0).reshape(len(W), -1)


def best_grouping(components: np.ndarray, references: np.ndarray) -> float:
    """The largest mean SI-SDR that sums of components were found to reach; ``(n, samples)`` each."""
    products = (components @ components.T).astype(np.float64)
    matches = (references @ components.T).astype(np.float64)
    powers = np.square(references, dtype=np.float64).sum(axis=1)

    def score(stem_of: np.ndarray) -> float:
        chosen = (stem_of == np.arange(len(references))[:, None]).astype(float)
        energy = np.einsum("sr,rq,sq->s", chosen, products, chosen)
        target = np.square((chosen * matches).sum(axis=1)) / powers
        return float(np.mean(10 * np.log10(np.maximum(target, 1e-12) / np.maximum(energy - target, 1e-12))))

    random = np.random.default_rng(0)
    level = np.sqrt(powers)[:, None]
    starts = [np.argmax(matches / scale, axis=0) for scale in (1, level, level**2)]
    starts += [random.integers(0, len(references), len(components)) for _ in range(RANDOM_STARTS)]
    return max(_improved(start, len(references), score) for start in starts)


def _improved(stem_of, stems, score) -> float:
    best = score(stem_of)
    moved = True
    while moved:
        moved = False
        for component in range(len(stem_of)):
            for stem in range(stems):
                other = stem_of.copy()
                other[component] = stem
                if (value := score(other)) > best + 1e-9:
                    stem_of, best, moved = other, value, True
    return best


def mean_score(references: np.ndarray, estimates: np.ndarray) -> float:
    return float(np.mean([si_sdr(one, other) for one, other in zip(references, estimates, strict=True)]))


def measure(folder: Path, work: Path, section: int) -> list[float]:
    """Floor, blind, templates alone, dictionary and ceiling of one song."""
    stems, rate = read_song(folder)
    start, gap = passage_start(stems, rate, PASSAGE_SECONDS), DISTANCE_SECONDS * rate
    end = start + PASSAGE_SECONDS * rate
    heard = [slice(0, max(0, start - gap)), slice(end + gap, None)]
    if section:
        first = passage_start(stems, rate, section, (start, end))
        heard = [slice(first, first + section * rate)]
    others = {
        name: [ArraySource(audio[:, where], rate) for where in heard if audio[:, where].any()]
        for name, audio in stems.items()
    }
    made = learn(others)
    references = np.stack([audio[:, start:end] for audio in stems.values()])
    mixture = references.sum(axis=0)
    flat = references.reshape(len(references), -1)
    informed = []
    for number, one in enumerate((replace(made, examples={}), made)):
        path = work / f"{folder.name}-{number}.safetensors"
        path.write_bytes(one.to_bytes())
        informed.append(NMF(mode="supervised", dictionary=str(path)).separate(mixture, rate).array)
    return [
        mean_score(references, mixture_as_estimates(references)),
        best_grouping(components_of(mixture, rate), flat),
        *(mean_score(references, estimates) for estimates in informed),
        mean_score(references, ideal_ratio_mask(references, rate)),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--song", action="append", default=[], help="only this song; may be repeated")
    parser.add_argument("--section", type=int, default=0, help="learn from one section of so many seconds")
    options = parser.parse_args()
    folders = sorted({file.parent for file in options.data.rglob("*.ogg")}, key=lambda folder: folder.name)
    chosen = [folder for folder in folders if not options.song or folder.name in options.song]
    if not chosen:
        raise SystemExit(f"{options.data} holds no song")
    learned = f"one other section of {options.section} s" if options.section else "other passages"
    print(f"Dictionaries learned from {learned} of the same stems; {describe()}\n")
    print(
        "| song | floor | blind, best possible grouping | templates alone | dictionary | ceiling "
        "| dictionary over blind |"
    )
    print("|---|---|---|---|---|---|---|", flush=True)
    rows = []
    with threadpool_limits(1), tempfile.TemporaryDirectory() as work:
        for folder in chosen:
            rows.append(measure(folder, Path(work), options.section))
            print(row(folder.name, rows[-1]), flush=True)
    means = [float(mean) for mean in np.mean(rows, axis=0)]
    print(row("mean", means))
    return int(means[3] - means[1] < WANTED_DB)


def row(name: str, figures: list[float]) -> str:
    cells = [*figures, figures[3] - figures[1]]
    return f"| {name} | " + " | ".join(f"{cell:.1f}" for cell in cells) + " |"


if __name__ == "__main__":
    sys.exit(main())
