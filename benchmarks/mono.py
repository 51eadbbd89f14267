"""ICA of one microphone (model subspace) beside blind NMF, floor and ceiling: one Markdown table.

    python -m benchmarks.mono --speech FOLDER --music FOLDER

Mono mixtures at 16 kHz: 12 s of two speakers, or 60 s of two or three stems of a song, each at the same
power. Figures are SI-SDR in dB, the mean over sources and mixtures, best permutation.
The floor is the mixture itself, the ceiling a mask that knows the sources. "Ideal groups" are our
components, each given to the source it is most like, by the sources: what a perfect rule of grouping
would reach. Nothing is demanded: the table says what to expect.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from scipy.optimize import linear_sum_assignment

from benchmarks.machine import describe
from benchmarks.rooms import RATE, arguments, song, speakers
from separators import ICA, NMF
from separators.evaluation import si_sdr
from separators.evaluation.reference import ideal_ratio_mask
from separators.ica.subspace import Settings, independent_components
from separators.spectral import STFT, fft_size_for, stems_from_models

SONG_SECONDS = 60
CASES = (("speech", 2), ("music", 2), ("music", 3))


def best(sources: np.ndarray, estimates: np.ndarray) -> float:
    """Mean SI-SDR of ``sources`` ``(sources, frames)`` with the estimates that fit them best, in dB."""
    table = np.array([[si_sdr(source, one) for one in estimates] for source in sources])
    return float(table[linear_sum_assignment(-table)].mean())


def ideal_groups(sources: np.ndarray) -> np.ndarray:
    """Estimates ``(sources, frames)`` of our components, grouped by what the sources are."""
    chosen = ICA(model="subspace", sources=len(sources))
    stft = STFT(fft_size_for(RATE))
    mixture = sources.sum(axis=0)
    spectrum = stft.forward(mixture[np.newaxis])
    magnitude = np.ascontiguousarray(np.abs(spectrum[0]).T)
    settings = Settings(len(sources), chosen.components, 200, chosen.tolerance, 0, chosen.seed)
    analysis, spectra = independent_components(magnitude, chosen.components, settings)
    activations = magnitude @ analysis
    known = np.abs(stft.forward(sources)).swapaxes(1, 2)
    known /= np.linalg.norm(known, axis=(1, 2), keepdims=True)
    parts = np.maximum(activations.T[:, :, np.newaxis] * spectra[:, np.newaxis], 0)
    nearest = np.einsum("ctb,stb->cs", parts, known).argmax(axis=1)
    models = np.stack(
        [
            np.maximum(activations[:, nearest == one] @ spectra[nearest == one], 0)
            for one in range(len(sources))
        ]
    )
    return stems_from_models(spectrum, models.swapaxes(1, 2), stft, mixture.shape[0])[:, 0]


def main() -> None:
    options = arguments(__doc__)
    print(f"{describe()}; {options.mixtures} mixtures per row\n")
    print("| mixture | floor | ica, subspace | nmf, blind | ideal groups | ceiling |")
    print("|---|---|---|---|---|---|")
    for kind, count in CASES:
        figures = defaultdict(list)
        for number in range(options.mixtures):
            rng = np.random.default_rng([options.seed, number, count])
            picked = (
                speakers(options.speech, count, rng)
                if kind == "speech"
                else song(options.music, count, rng, SONG_SECONDS)
            )
            sources = np.stack(picked)
            sources /= np.std(sources, axis=1, keepdims=True)
            mixture = sources.sum(axis=0)
            figures["floor"].append(best(sources, np.repeat(mixture[np.newaxis], count, axis=0)))
            for separator in (ICA(model="subspace", sources=count), NMF(stems=count)):
                figures[separator.name].append(best(sources, separator.separate(mixture, RATE).array[:, 0]))
            figures["ideal groups"].append(best(sources, ideal_groups(sources)))
            figures["ceiling"].append(best(sources, ideal_ratio_mask(sources[:, np.newaxis], RATE)[:, 0]))
        cells = " | ".join(f"{np.mean(values):.1f}" for values in figures.values())
        print(f"| {kind}, {count} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
