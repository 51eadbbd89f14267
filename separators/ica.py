"""Independent component analysis: as many sources as channels, told apart by their statistics."""

from __future__ import annotations

import numpy as np

from separators import registry
from separators.base import Audio, Separator, Transform
from separators.blas_threads import on_one_thread
from separators.errors import ChannelError, ParameterError
from separators.instantaneous import Settings, image_matrices
from separators.parameters import Value, parameter

BLOCK = 8192
"""Frames that the transform works on at a time, so that they stay in the cache."""


class ICA(Separator):
    """Un-mixes channels that hold the same sources at different levels.

    For sources that reach all channels at the same time: a stereo mix made with pan pots, or
    microphones at one place. Stem k is the image of source k on all channels,
    ``A[:, k] * (W[k] @ mixture)`` with A the inverse of W, which keeps level and panning. W is found by
    FastICA (Hyvärinen 1999) and sharpened by the sources' changing levels (Pham and Cardoso 2001).

    Source k belongs to channel k: of all ways to give each channel a source of its own, the one
    in which the sources are strongest on their channels, whatever the channels' gains and the
    sources' levels. For a stereo mix that is from left to right; for tracks of a session, each
    track its own source. A silent channel keeps what it holds as its own source.

    Raises :class:`~separators.errors.ChannelError` for fewer than two channels, for more
    sources than channels, and for channels that are mixtures of each other (a mono file in stereo). Warns
    with :class:`~separators.errors.SeparatorWarning` if no independent sources were found, or
    if there are only a few milliseconds to look for them in: then every channel is a source.
    """

    name = "ica"
    summary = "un-mixes two or more channels into as many sources: stereo un-panning, microphone bleed"
    block_seconds = 2.0  # a matrix has no memory: short blocks save memory where channels are many
    overlap_seconds = 0.1

    sources: int = parameter(
        0,
        "Number of sources; 0 is one per channel. Fewer than channels leave a stem `rest`.",
        minimum=0,
        maximum=64,
    )
    iterations: int = parameter(200, "Most iterations of FastICA.", minimum=1, maximum=10000)
    tolerance: float = parameter(
        1e-5,
        "FastICA stops when no source turns by more than this (1 - |cos| of the angle).",
        minimum=1e-7,
        maximum=0.1,
    )
    subsample: int = parameter(
        16,
        "FastICA learns from every so many frames of a long sample.",
        unit="frames",
        minimum=1,
        maximum=256,
    )
    refine: bool = parameter(True, "Sharpen the result by the sources' changing levels.")
    seed: int = parameter(0, "Seed of FastICA's starting point.", minimum=0, maximum=2**31 - 1)

    def __init__(self, **values: Value) -> None:
        super().__init__(**values)
        if self.sources == 1:
            raise ParameterError("ica: sources must be 0 (one per channel) or at least 2, not 1")

    def stem_names(self, channels: int) -> tuple[str, ...]:
        """``source-1`` and so on; with fewer sources than channels also ``rest``."""
        needed = max(2, self.sources)
        if channels < needed:
            others = ", ".join(name for name in registry.names() if name != self.name)
            raise ChannelError(
                f"ica needs at least {needed} channels, one for each source, not {channels}; "
                f"for more sources than channels use: {others}"
            )
        count = self.sources or channels
        names = tuple(f"source-{index + 1}" for index in range(count))
        return names if count == channels else (*names, "rest")

    def fit(self, sample: Audio, sample_rate: int) -> Transform:
        """Learn the sources' images; the transform is a matrix for each stem."""
        channels = len(sample)
        stems = len(self.stem_names(channels))
        settings = Settings(self.iterations, self.tolerance, self.subsample, self.refine, self.seed)
        images = image_matrices(sample, sample_rate, self.sources or channels, settings)
        # The last stem is what the others leave, so that no rounding shows in the sum.
        maps = images[: stems - 1].reshape(-1, channels).astype(np.float32)

        @on_one_thread
        def transform(block: Audio) -> Audio:
            out = np.empty((stems, *block.shape), np.float32)
            for start in range(0, block.shape[1], BLOCK):
                piece = block[:, start : start + BLOCK]
                parts = (maps @ piece).reshape(stems - 1, *piece.shape)
                out[:-1, :, start : start + BLOCK] = parts
                out[-1, :, start : start + BLOCK] = piece - parts.sum(axis=0)
            return out

        return transform
