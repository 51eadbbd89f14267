"""Independent subspace analysis: more sources than channels, told apart in the spectrogram.

With one microphone there is no second channel to compare, so the bins of the spectrogram stand in
for channels. Its frames vary along a few directions, the principal components; ICA turns these
until the components' activations are as independent as they can be. What a source sounds like takes
several components, its subspace, and those stay dependent, as one source switches them on and off.
So components are grouped by the dependence that ICA had to leave, and the groups' spectrograms
become masks that sum to one.

M. A. Casey, A. Westner, "Separation of mixed audio sources by independent subspace analysis", ICMC 2000.
They compare the components' distributions. Here it is the mutual information of their activations,
averaged over some notes or syllables, and the groups are cut so that little of it lies between them
(A. Y. Ng, M. I. Jordan, Y. Weiss, "On spectral clustering", NIPS 2001).

The grouping is the weak part. Given half a minute or more of instruments that each have their own
pauses it finds them; on songs and on voices it mostly does not (``benchmarks/results/mono.md``, where
groups chosen by the true sources show what the components themselves would allow).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import cut_tree, linkage
from scipy.ndimage import uniform_filter1d

from separators.base import Audio, Transform
from separators.blas_threads import on_one_thread
from separators.ica.channels import Matrix, Numbers, warn
from separators.ica.fast_ica import fast_ica
from separators.spectral import STFT, Magnitude, Spectrum, fft_size_for, stems_from_models

FRAMES_PER_COMPONENT = 8
"""With fewer frames for each component their dependence is chance."""
NEGLIGIBLE = 1e-6
"""Components with less than this part of the strongest one's variance (-60 dB) are not looked at."""
AVERAGED_SECONDS = 0.4
"""Activations are averaged over this long before they are compared: sources share pauses, not onsets."""
LEVELS = 8
"""Equally frequent levels of activation between which mutual information is measured."""


@dataclass(frozen=True)
class Settings:
    """What :class:`separators.ica.separator.ICA` lets people set; its parameter table explains each."""

    sources: int
    components: int
    iterations: int
    tolerance: float
    fft_size: int
    seed: int


@on_one_thread
def fit(sample: Audio, sample_rate: int, settings: Settings) -> Transform:
    """Learn the sources' subspaces; the transform masks every channel's spectrum alike.

    Sources are ordered from dark to bright. If the sample varies along fewer directions than there
    are sources, it warns with :class:`separators.errors.SeparatorWarning`, and the first stem
    holds everything.
    """
    stft = STFT(settings.fft_size or fft_size_for(sample_rate))
    _, magnitude = _spectrogram(stft, sample)
    count = min(settings.components, len(magnitude) // FRAMES_PER_COMPONENT)
    analysis, spectra = independent_components(magnitude, count, settings)
    members: list[Numbers] = []
    if len(spectra) >= settings.sources:
        activations = magnitude @ analysis
        slow = uniform_filter1d(activations, max(1, round(AVERAGED_SECONDS * sample_rate / stft.hop)), axis=0)
        members = from_dark_to_bright(group(slow, settings.sources), activations, spectra)
    else:
        warn(
            f"{len(magnitude)} windows vary along {len(spectra)} directions, too few for {settings.sources} "
            "sources; source-1 holds everything"
        )

    @on_one_thread
    def transform(block: Audio) -> Audio:
        spectrum, magnitude = _spectrogram(stft, block)
        models = np.zeros((settings.sources, *magnitude.shape), np.float32)
        if not members:
            models[0] = magnitude
        for model, own in zip(models, members, strict=False):
            np.maximum((magnitude @ analysis[:, own]) @ spectra[own], 0, out=model)
        return stems_from_models(spectrum, models.swapaxes(1, 2), stft, block.shape[1])

    return transform


def independent_components(magnitude: Magnitude, count: int, settings: Settings) -> tuple[Audio, Audio]:
    """What turns ``magnitude`` ``(frames, bins)`` into at most ``count`` activations, and their spectra.

    ``magnitude @ analysis @ spectra``, with ``analysis`` ``(bins, components)`` and ``spectra``
    ``(components, bins)``, is the part of the spectrogram that the components explain.
    """
    centred = magnitude - magnitude.mean(axis=0)
    values, vectors = np.linalg.eigh((centred.T @ centred).astype(np.float64) / len(centred))
    strong = np.flatnonzero(values > NEGLIGIBLE * values[-1])[-count:] if count else np.zeros(0, np.intp)
    size, directions = np.sqrt(values[strong]), vectors[:, strong]
    whitener = directions / size
    if len(strong):
        white = np.ascontiguousarray((centred @ whitener.astype(np.float32)).T)
        rotation = fast_ica(white, settings.iterations, settings.tolerance, settings.seed).matrix
    else:
        rotation = np.zeros((0, 0))
    analysis, spectra = whitener @ rotation.T, rotation @ (directions * size).T
    return analysis.astype(np.float32), spectra.astype(np.float32)


def group(activations: Audio, groups: int) -> Numbers:
    """The group of each component, by the mutual information of ``activations`` ``(frames, components)``.

    Spectral clustering: the components' places in the leading eigenvectors of their normalized
    likeness are joined by Ward's method.
    """
    components = activations.shape[1]
    if components <= groups:
        return np.arange(components)
    likeness = np.sqrt(1 - np.exp(-2 * mutual_information(activations)))
    np.fill_diagonal(likeness, 0)
    size = np.sqrt(np.maximum(likeness.sum(axis=1), np.finfo(np.float32).tiny))
    _, vectors = np.linalg.eigh(likeness / np.outer(size, size))
    places = vectors[:, -groups:]
    places /= np.maximum(np.linalg.norm(places, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    found: Numbers = cut_tree(linkage(places, "ward"), groups).ravel()
    return found


def mutual_information(signals: Audio) -> Matrix:
    """Mutual information of every pair of ``signals`` ``(frames, signals)``, in nats.

    Each signal counts by its rank only, in :data:`LEVELS` equally frequent levels.

    >>> noise = np.random.default_rng(0).standard_normal((20000, 2)).astype(np.float32)
    >>> pairs = mutual_information(np.column_stack([noise, noise[:, 0] ** 3]))
    >>> bool(pairs[0, 1] < 0.01), bool(np.isclose(pairs[0, 2], np.log(LEVELS)))
    (True, True)
    """
    frames, count = signals.shape
    ranks = np.argsort(np.argsort(signals, axis=0, kind="stable"), axis=0) * LEVELS // frames
    member = (ranks[:, :, np.newaxis] == np.arange(LEVELS)).reshape(frames, -1).astype(np.float32)
    joint = (member.T @ member).astype(np.float64) / frames
    alone = np.outer(member.mean(axis=0), member.mean(axis=0)).astype(np.float64)
    ratio = np.divide(joint, alone, out=np.ones_like(joint), where=joint > 0)
    shares: Matrix = (joint * np.log(ratio)).reshape(count, LEVELS, count, LEVELS).sum(axis=(1, 3))
    return np.maximum(shares, 0)


def from_dark_to_bright(groups: Numbers, activations: Audio, spectra: Audio) -> list[Numbers]:
    """The components of each group, ordered by the frequency below which half of its magnitude lies."""
    members = [np.flatnonzero(groups == one) for one in np.unique(groups)]
    edges = []
    for own in members:
        below = np.cumsum(np.maximum(activations[:, own] @ spectra[own], 0).sum(axis=0, dtype=np.float64))
        edges.append(int(np.searchsorted(below, below[-1] / 2)))
    return [members[place] for place in np.argsort(edges, kind="stable")]


def _spectrogram(stft: STFT, audio: Audio) -> tuple[Spectrum, Magnitude]:
    """The spectrum ``(channels, bins, frames)`` of ``audio``, and its mean magnitude ``(frames, bins)``."""
    spectrum = stft.forward(audio)
    return spectrum, np.ascontiguousarray(np.abs(spectrum).mean(axis=0).T)
