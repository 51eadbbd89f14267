"""ICA for rooms beside pyroomacoustics and ssspy: one Markdown table.

    python -m benchmarks.rooms --speech FOLDER --music FOLDER

Two or three sources in a simulated room of 6 x 5 x 3 m, as many microphones 30 cm apart, RT60 of 0.15 and
0.4 s, 12 s at 16 kHz. Speech: files of one speaker each. Music: a folder for every song, a file
for every stem. Speakers, songs and places differ from mixture to mixture.

The figures are the improvement of the SI-SDR in dB over the first microphone, against each
source's image there; the mean over sources and mixtures, best permutation. The floor is the
microphone's own SI-SDR; the ceiling is the improvement by filters in every bin, in the same windows,
that know the sources. Times are CPU seconds with one
thread, medians over mixtures, from the mixture to the separated signals: ours give all images on all
microphones, the peers one signal per source, all from windows of the same size. All ILRMAs start
from random numbers, which can move a mixture's figure by several dB: ours and the peers' take seed 0
in every mixture. Rows of three sources, which take the peers three times as long, have half as many
mixtures. The sum is the largest power of what the stems leave of the microphone. Demanded: the
better of ours within 1 dB of the best peer, in at most half of that peer's time, sums at -120 dB.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyroomacoustics
import soundfile
import soxr
from scipy.optimize import linear_sum_assignment
from ssspy.bss.ilrma import GaussILRMA
from ssspy.bss.iva import AuxLaplaceIVA
from threadpoolctl import threadpool_limits

from benchmarks.machine import describe
from separators import ICA
from separators.evaluation import si_sdr
from separators.ica.convolutive import window_for
from separators.spectral import STFT

RATE = 16000
SECONDS = 12
SUFFIXES = {".flac", ".ogg", ".opus", ".wav"}
ROOM = (6.0, 5.0, 3.0)
SPACING = 0.3
AUXIVA_ITERATIONS, ILRMA_ITERATIONS, ILRMA_BASES = 30, 60, 4
"""Of the peers; ours run with their defaults."""
WITHIN_DB, TIME_RATIO, SUM_DB = 1.0, 0.5, -120.0


def read(path: Path) -> np.ndarray:
    """A file's audio, mono at 16 kHz."""
    audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return soxr.resample(audio.mean(1), rate, RATE)


def speakers(folder: Path, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """``count`` different files of 12 s at least."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES)
    found = []
    for number in rng.permutation(len(files)):
        audio = read(files[number])[: SECONDS * RATE]
        if len(audio) == SECONDS * RATE:
            found.append(audio)
        if len(found) == count:
            return found
    raise SystemExit(f"{folder}: fewer than {count} files of {SECONDS} s")


def song(folder: Path, count: int, rng: np.random.Generator, seconds: int = SECONDS) -> list[np.ndarray]:
    """``count`` stems of one song, from where the faintest of them is loudest."""
    frames = seconds * RATE
    parents = {path.parent for path in folder.rglob("*") if path.suffix in SUFFIXES}
    stems = {path: sorted(file for file in path.iterdir() if file.suffix in SUFFIXES) for path in parents}
    songs = sorted(path for path, files in stems.items() if len(files) >= count)
    if not songs:
        raise SystemExit(f"{folder}: no song with {count} stems")
    while True:
        files = stems[songs[rng.integers(len(songs))]]
        audio = [read(files[number]) for number in rng.choice(len(files), count, replace=False)]
        starts = range(0, min(map(len, audio)) - frames, 3 * RATE)
        faintest = {at: min(np.std(one[at : at + frames]) for one in audio) for at in starts}
        start = max(faintest, key=faintest.__getitem__)
        if faintest[start] > 1e-3:
            return [one[start : start + frames] for one in audio]


def simulate(sources: list[np.ndarray], rt60: float, rng: np.random.Generator) -> np.ndarray:
    """The sources' images ``(sources, microphones, frames)`` in the room."""
    count = len(sources)
    absorption, order = pyroomacoustics.inverse_sabine(rt60, ROOM)
    room = pyroomacoustics.ShoeBox(
        ROOM, fs=RATE, materials=pyroomacoustics.Material(absorption), max_order=order
    )
    centre = np.array([2.5, 2.0, 1.4]) + rng.uniform(0, [1.0, 0.6, 0.1])
    across = np.arange(count)[:, None] * [SPACING, 0.02, 0.0]
    room.add_microphone_array((centre + across - across.mean(axis=0)).T)
    for source, angle in zip(sources, np.linspace(160, 20, count), strict=True):
        towards = np.radians(angle + rng.uniform(-12, 12))
        away = rng.uniform(1.2, 1.8) * np.array([np.cos(towards), np.sin(towards), 0.1])
        room.add_source(centre + away, signal=source / np.std(source))
    images = room.simulate(return_premix=True)[:, :, : SECONDS * RATE].astype(np.float32)
    return images / np.std(images.sum(axis=0))


def ours(algorithm: str) -> Callable[[np.ndarray], np.ndarray]:
    """Our separator; its images ``(sources, microphones, frames)``."""
    return lambda mixture: ICA(model="convolutive", algorithm=algorithm).separate(mixture, RATE).array


def peer(method: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """A peer between our STFT and its inverse; signals ``(sources, 1, frames)`` at the first microphone.

    ``method`` turns spectra ``(channels, bins, frames)`` in complex128 into those of the sources.
    """

    def separate(mixture: np.ndarray) -> np.ndarray:
        stft = STFT(window_for(RATE))
        found = method(stft.forward(mixture).astype(np.complex128)).astype(np.complex64)
        return stft.inverse(found, mixture.shape[1])[:, np.newaxis]

    return separate


def pra(method: Callable[..., np.ndarray], **options: int) -> Callable[[np.ndarray], np.ndarray]:
    """A method of pyroomacoustics."""

    def separate(spectra: np.ndarray) -> np.ndarray:
        np.random.seed(0)  # noqa: NPY002  (its ILRMA starts from the global generator)
        return method(spectra.transpose(2, 1, 0), proj_back=True, **options).transpose(2, 1, 0)

    return peer(separate)


@peer
def ssspy_auxiva(spectra: np.ndarray) -> np.ndarray:
    """ssspy's AuxIVA; IP2, the better of its updates (pyroomacoustics has IP1)."""
    method = AuxLaplaceIVA(spatial_algorithm="IP2", record_loss=False)
    return method(spectra, n_iter=AUXIVA_ITERATIONS)


@peer
def ssspy_ilrma(spectra: np.ndarray) -> np.ndarray:
    """ssspy's ILRMA with its default update, IP1."""
    method = GaussILRMA(ILRMA_BASES, record_loss=False, rng=np.random.default_rng(0))
    return method(spectra, n_iter=ILRMA_ITERATIONS)


OURS = {"our auxiva": ours("auxiva"), "our ilrma": ours("ilrma")}
PEERS = {
    "pra auxiva": pra(pyroomacoustics.bss.auxiva, n_iter=AUXIVA_ITERATIONS),
    "pra ilrma": pra(pyroomacoustics.bss.ilrma, n_iter=ILRMA_ITERATIONS, n_components=ILRMA_BASES),
    "ssspy auxiva": ssspy_auxiva,
    "ssspy ilrma": ssspy_ilrma,
}


def ideal_filters(images: np.ndarray) -> np.ndarray:
    """The ceiling: each source at the first microphone by the best filter in every bin that knows it.

    Least squares of the source's spectrum on the microphones'; ``(sources, 1, frames)``.
    """
    stft = STFT(window_for(RATE))
    heard = stft.forward(images.sum(axis=0)).swapaxes(0, 1).astype(np.complex128)
    own = stft.forward(images[:, 0]).swapaxes(0, 1).astype(np.complex128)
    adjoint = heard.conj().swapaxes(1, 2)
    filters = own @ adjoint @ np.linalg.pinv(heard @ adjoint, rcond=1e-9, hermitian=True)
    return stft.inverse((filters @ heard).swapaxes(0, 1).astype(np.complex64), images.shape[2])[:, np.newaxis]


def improvement(images: np.ndarray, estimates: np.ndarray) -> float:
    """Mean gain in SI-SDR at the first microphone, in dB."""
    mixture = images.sum(axis=0)[0]
    table = np.array(
        [[si_sdr(image[0], one[0]) - si_sdr(image[0], mixture) for one in estimates] for image in images]
    )
    return float(table[linear_sum_assignment(-table)].mean())


def left_over_db(mixture: np.ndarray, estimates: np.ndarray) -> float:
    """Power of the estimates' sum minus the mixture, at the microphones they were made for, in dB."""
    heard = mixture[: estimates.shape[1]]
    error = np.linalg.norm(estimates.sum(axis=0, dtype=np.float64) - heard) / np.linalg.norm(heard)
    return float(20 * np.log10(error))


def mixtures(count: int, options: argparse.Namespace) -> int:
    """How many mixtures of ``count`` sources a row has."""
    return options.mixtures if count == 2 else max(1, options.mixtures // 2)


def row(kind: str, count: int, rt60: float, options: argparse.Namespace) -> tuple[str, bool]:
    """One line of the table, and whether it is as good as demanded."""
    gains, seconds, sums = defaultdict(list), defaultdict(list), defaultdict(list)
    floors, ceilings = [], []
    for number in range(mixtures(count, options)):
        rng = np.random.default_rng([options.seed, number, count])
        pick = speakers if kind == "speech" else song
        images = simulate(pick(getattr(options, kind), count, rng), rt60, rng)
        mixture = images.sum(axis=0)
        floors.append(np.mean([si_sdr(image[0], mixture[0]) for image in images]))
        ceilings.append(improvement(images, ideal_filters(images)))
        for name, separate in (OURS | PEERS).items():
            start = time.process_time()
            estimates = separate(mixture)
            seconds[name].append(time.process_time() - start)
            gains[name].append(improvement(images, estimates))
            sums[name].append(left_over_db(mixture, estimates))
    gain = {name: float(np.mean(values)) for name, values in gains.items()}
    median = {name: float(np.median(values)) for name, values in seconds.items()}
    rival, best = max(PEERS, key=gain.__getitem__), max(OURS, key=gain.__getitem__)
    our_sum, peer_sum = (max(max(sums[name]) for name in names) for names in (OURS, PEERS))
    good = (
        gain[best] >= gain[rival] - WITHIN_DB
        and median[best] <= TIME_RATIO * median[rival]
        and our_sum <= SUM_DB
    )
    cells = [
        f"{kind} {count}x{count}",
        f"{rt60:g} s",
        f"{np.mean(floors):.1f}",
        *(f"{gain[name]:.1f} ({median[name]:.2f} s)" for name in (*OURS, *PEERS)),
        f"{np.mean(ceilings):.1f}",
        f"{gain[best] - gain[rival]:+.1f}",
        f"{median[best] / median[rival]:.2f}",
        f"{our_sum:.0f} / {peer_sum:.0f}",
    ]
    return f"| {' | '.join(cells)} |", good


def arguments(description: str | None) -> argparse.Namespace:
    """The command line's folders, number of mixtures per row and seed."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--speech", type=Path, required=True, help="files of one speaker each")
    parser.add_argument("--music", type=Path, required=True, help="folders of stems, one a song")
    parser.add_argument("--mixtures", type=int, default=4, help="mixtures per row")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> int:
    options = arguments(__doc__)
    good = []
    with threadpool_limits(1):
        print(
            f"{describe('pyroomacoustics', 'ssspy')}; {mixtures(2, options)} mixtures per row "
            f"of two sources, {mixtures(3, options)} of three\n"
        )
        columns = (
            "mixture",
            "RT60",
            "floor",
            *OURS,
            *PEERS,
            "ceiling",
            "best - best peer",
            "time / its time",
            "sum: ours / peers",
        )
        print(f"| {' | '.join(columns)} |")
        print("|---" * len(columns) + "|")
        for kind in ("speech", "music"):
            for count in (2, 3):
                for rt60 in (0.15, 0.4):
                    line, as_demanded = row(kind, count, rt60, options)
                    print(line, flush=True)
                    good.append(as_demanded)
    return int(not all(good))


if __name__ == "__main__":
    sys.exit(main())
