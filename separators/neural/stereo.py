"""What a network on songs needs around it to be a separator: any rate, any channels, sums, polarity."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from separators.base import Audio, Transform
from separators.forks import network_runs
from separators.neural.inference import resample


def stereo_transform(
    estimate: Callable[[Audio], Audio],
    rate: int,
    channels: int,
    count: int,
    rest: int,
    sample: Audio,
    sample_rate: int,
) -> Transform:
    """A transform around ``estimate``, which makes stems of ``channels`` (1 or 2) at ``rate`` hertz.

    The first ``count`` stems of ``estimate`` are used; stem number ``rest`` (which may be the one after
    them) also takes what they leave of the mixture, with everything above half of ``rate``. Two channels are
    heard as a pair, an odd last one and all channels of a mono model alone.
    """
    # A network is not exactly odd; so that turning the mixture turns the stems, it hears all
    # of a file in the polarity in which the sample's larger peaks are positive.
    polarity = np.float32(1.0 if np.power(sample, 3, dtype=np.float64).sum() >= 0 else -1.0)

    def transform(block: Audio) -> Audio:
        network_runs()
        stems = np.zeros((max(count, rest + 1), *block.shape), np.float32)
        for first in range(0, len(block), channels):
            sounding = first + np.flatnonzero(block[first : first + channels].any(1))
            if len(sounding):
                heard = at_rate(estimate, polarity * block[sounding], sample_rate, rate, channels)
                heard *= polarity
                stems[:count, sounding] = heard[:count]
        stems[rest] += block - stems.sum(0)
        return stems

    return transform


def at_rate(
    estimate: Callable[[Audio], Audio], audio: Audio, sample_rate: int, rate: int, channels: int
) -> Audio:
    """``estimate``, made for ``channels`` at ``rate`` hertz, of audio at ``sample_rate``.

    A single channel is given to it on all, and its stems are the means of theirs.
    """
    heard = resample(audio, sample_rate, rate)
    stems = estimate(np.broadcast_to(heard, (channels, heard.shape[-1])))
    if len(audio) < channels:
        stems = stems.mean(1, keepdims=True)
    return resample(stems, rate, sample_rate, audio.shape[-1])
