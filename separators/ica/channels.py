"""What ICA must know of a recording's channels: which sound, whether they differ, whose source is whose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from separators.base import Audio
from separators.errors import ChannelError
from separators.remarks import remark

Matrix = NDArray[np.float64]
Numbers = NDArray[np.intp]

SILENT = 1e-12
"""A channel whose power is at most this much of the loudest one's (-120 dB) counts as silent."""
DEPENDENT = 1e-7
"""Channels of power 1 are mixtures of each other if some combination leaves no more than this (-70 dB)."""

ALIKE = 1.001
"""Levels within this ratio are the same: a recording that is double, and not panned."""
DITHERED = 4
"""Rounding adds noise of a twelfth of its step's square to every channel, with dither three times that."""

EMPTY = 1e-4
"""A source with less than this part of the power of every channel (-40 dB) is none."""
STEPS_LOOKED_AT, FLOAT_ROUNDING = 1 << 16, 2e-7
"""Differences of samples from which the step is read, and those that are none."""

BLOCK = 8192
"""Frames whose products are summed in float32."""
CONSTANT = "no channel holds more than a constant, so there are no sources; each is what one channel holds"
PANNED = "all channels hold one signal at different levels, a panned one perhaps: there is one source"
MOMENT_SECONDS, MOMENTS = 0.05, 2
"""What tells channels apart must last longer than so many of such moments: a click is no source."""
LEAST_MOMENTS = 20
"""In fewer it is not judged."""


@dataclass(frozen=True)
class Heard:
    """The channels of a recording that are not silent."""

    numbers: Numbers
    """From 0."""
    centred: Audio
    """Without their means."""
    covariance: Matrix


def heard_in(audio: Audio) -> Heard:
    """The channels of ``audio`` ``(channels, frames)`` that sound."""
    centred = audio - audio.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
    cov = covariance(centred)
    power = np.diag(cov)
    numbers: Numbers = np.flatnonzero(power > SILENT * power.max())
    if len(numbers) < len(audio):
        centred, cov = centred[numbers], cov[np.ix_(numbers, numbers)]
    return Heard(numbers, centred, cov)


def covariance(centred: Audio) -> Matrix:
    """Covariance ``(channels, channels)`` of ``(channels, frames)`` without their means."""
    channels, frames = centred.shape
    cov: Matrix = np.zeros((channels, channels))
    for start in range(0, frames, BLOCK):  # in float32 the sum of all would hide what channels differ by
        block = centred[:, start : start + BLOCK]
        cov += block @ block.T
    cov /= frames
    return cov


def principal_components(cov: Matrix, count: int, numbers: Numbers) -> Matrix:
    """The matrix ``(count, channels)`` that makes channels of this covariance white.

    It keeps the ``count`` strongest principal components of the channels at equal power. Raises
    :class:`ChannelError` if there are fewer, naming the channels by ``numbers`` (from 0).
    """
    level = np.sqrt(np.diag(cov))
    values, vectors = np.linalg.eigh(cov / np.outer(level, level))
    if values[-count] <= DEPENDENT:
        raise ChannelError(_dependence(values, vectors, numbers + 1))
    components: Matrix = (vectors[:, -count:] / np.sqrt(values[-count:])).T / level
    return components


def is_panned(heard: Heard) -> bool:
    """Whether all channels hold one signal, and not all as loudly.

    What rounding adds to each of them is no signal.
    """
    level = np.sqrt(np.diag(heard.covariance))
    if level.max() <= ALIKE * level.min():
        return False
    if np.linalg.eigvalsh(heard.covariance / np.outer(level, level))[-2] <= DEPENDENT:
        return True
    second = np.linalg.eigvalsh(heard.covariance)[-2]
    return bool(second <= DITHERED * _step(heard.centred) ** 2 / 12)


def _step(audio: Audio) -> float:
    """The step of the grid that integers of a file lie on; of other audio as good as 0."""
    some = audio[:, :: max(1, audio.shape[1] // STEPS_LOOKED_AT)]
    # Taking the mean away has rounded once more, by as much as float32 does at the level of what is there.
    steps = np.abs(np.diff(some, axis=1))
    steps = steps[steps > FLOAT_ROUNDING * np.abs(some).max()]
    return float(steps.min()) if len(steps) else 0.0


def refuse_double(heard: Heard, sample_rate: int, count: int) -> None:
    """Raise :class:`ChannelError` if the channels hold fewer than ``count`` signals.

    If all but a moment of them does, such as a click, that is said.
    """
    weakest = principal_components(heard.covariance, count, heard.numbers)[0]
    level = np.sqrt(np.diag(heard.covariance))
    power = float(np.linalg.norm(weakest * level) ** -2)
    moment = max(1, round(MOMENT_SECONDS * sample_rate))
    signal = weakest.astype(np.float32) @ heard.centred
    whole = len(signal) // moment
    parts = signal[: whole * moment].reshape(whole, moment)
    moments = np.sort(np.einsum("mf,mf->m", parts, parts).astype(np.float64))
    if len(moments) >= LEAST_MOMENTS and power * moments[:-MOMENTS].sum() <= DEPENDENT * moments.sum():
        listed = ", ".join(map(str, heard.numbers + 1))
        warn(
            f"channels {listed} hold the same but for a moment of {MOMENTS * MOMENT_SECONDS:g} s, a click "
            "perhaps, so one source is that moment; take it out or leave out what is double"
        )


def say_if_empty(shares: Matrix) -> None:
    """Say so if a source hardly adds to any channel; ``shares`` of power are ``(channels, sources)``."""
    weakest = float(shares.max(axis=0).min())
    if weakest < EMPTY:
        warn(
            f"one source lies {-10 * np.log10(max(weakest, 1e-30)):.0f} dB below every channel, so "
            f"there are fewer sources than {shares.shape[1]}"
        )


def nearest_channels(strength: Matrix) -> Numbers:
    """The channel of each source's own, given how strong it is there, ``(channels, sources)``.

    Of all ways to give each source a channel of its own, that with the largest product of
    strengths. Gains on channels and levels of sources scale every product alike where there
    are as many sources as channels, and so do not matter.
    """
    levels = np.log(np.maximum(strength, np.finfo(np.float64).tiny))
    if levels.shape == (2, 2):  # stereo; loading what is needed else takes as long as half a minute of it
        crossed = levels[0, 1] + levels[1, 0] > levels[0, 0] + levels[1, 1]
        return np.array([1, 0] if crossed else [0, 1], np.intp)
    from scipy.optimize import linear_sum_assignment

    _, channels = linear_sum_assignment(-levels.T)
    nearest: Numbers = channels
    return nearest


def warn(message: str) -> None:
    """Say that the stems may be poor, with :func:`~separators.remarks.remark`."""
    remark(f"ica: {message}")


def _dependence(values: Matrix, vectors: Matrix, numbers: Numbers) -> str:
    """The error message that names the channels whose combinations vanish."""
    vanishing = vectors[:, values <= DEPENDENT]
    involved = numbers[np.sum(vanishing**2, axis=1) > 0.01]
    listed = ", ".join(map(str, involved[:-1])) + f" and {involved[-1]}"
    signals = len(involved) - vanishing.shape[1]
    held = "the same signal" if signals == 1 else f"only {signals} different signals"
    return (
        f"ica: channels {listed} hold {held}, so their sources cannot be told apart; leave out what is "
        "double (a mono recording in stereo is one channel), ask for fewer sources, or use nmf"
    )
