"""How far files are from summing to the mixture that they were made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from plugin_bridge.audio.files import AudioFileSource
from plugin_bridge.audio.stem_mp4 import SUFFIX as STEM_MP4
from separators.streaming import AudioSource

READ_AT_ONCE = 1 << 15
"""Frames, few enough to stay in the processor's cache."""
SMALLEST_RESIDUAL = 1e-30
"""-300 dB stand for a sum without any error, since JSON has no infinity."""


def residual_db(paths: Sequence[Path], mixture: AudioSource) -> float | None:
    """Energy of what the sum of the files at ``paths`` lacks to ``mixture``, relative to that, in dB.

    A file of several times its channels holds as many stems one after the other. None for a silent mixture.
    """
    heard = error = 0.0
    with ExitStack() as opened:
        files = [opened.enter_context(AudioFileSource(path)) for path in paths]
        for start in range(0, mixture.frames, READ_AT_ONCE):
            frames = min(READ_AT_ONCE, mixture.frames - start)
            rest = mixture.read(start, frames).astype(np.float64)
            heard += float(np.sum(np.square(rest)))
            for file in files:
                audio = file.read(start, frames)
                if file.info.path.name.endswith(f".{STEM_MP4}"):
                    audio = audio[: len(rest)]  # the mixdown, stereo also where the mixture is not
                rest -= audio.reshape(-1, *rest.shape).sum(axis=0, dtype=np.float64)
            error += float(np.sum(np.square(rest)))
    if heard == 0:
        return None
    return round(10 * math.log10(max(error / heard, SMALLEST_RESIDUAL)), 2)
