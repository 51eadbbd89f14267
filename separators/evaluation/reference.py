"""Floor and ceiling of a separation: what no effort gives, and what no mask can exceed.

The ideal masks know the sources and are therefore no separators; they say how far a method
that masks a spectrogram with the mixture's phase could get (Li and Wang, "On the optimality of
ideal binary time-frequency masks", Speech Communication 51(3), 2009).
"""

from __future__ import annotations

import numpy as np

from separators.base import Audio
from separators.spectral import STFT, apply_masks, fft_size_for, ratio_masks


def mixture_as_estimates(sources: Audio) -> Audio:
    """The floor: every estimate is the mixture, scaled so that the estimates sum to it.

    ``sources`` and the result are ``(stems, channels, frames)``.
    """
    share = sources.sum(axis=0) / np.float32(len(sources))
    return np.repeat(share[np.newaxis], len(sources), axis=0)


def ideal_ratio_mask(sources: Audio, sample_rate: float, power: float = 1.0) -> Audio:
    """The mixture's spectrum shared out in proportion to the sources' magnitudes to ``power``.

    ``sources`` and the result are ``(stems, channels, frames)``; the result sums to the
    mixture. A power of 1 is the ratio mask, 2 the Wiener filter that knows the sources' power.
    """
    stft = STFT(fft_size_for(sample_rate))
    magnitudes = np.abs(stft.forward(sources))
    return apply_masks(
        stft.forward(sources.sum(axis=0)), ratio_masks(magnitudes, power), stft, sources.shape[-1]
    )


def ideal_binary_mask(sources: Audio, sample_rate: float) -> Audio:
    """Every bin of the mixture's spectrum given to the source that is loudest in it.

    ``sources`` and the result are ``(stems, channels, frames)``; the result sums to the
    mixture. Between equals the first source wins.
    """
    stft = STFT(fft_size_for(sample_rate))
    loudest = np.abs(stft.forward(sources)).argmax(axis=0)
    masks = (loudest == np.arange(len(sources))[:, None, None, None]).astype(np.float32)
    return apply_masks(stft.forward(sources.sum(axis=0)), masks, stft, sources.shape[-1])
