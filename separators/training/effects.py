"""Effects as in a mix, drawn at random, so that training hears more sounds than were recorded."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from pedalboard import Bitcrush, Chorus, Compressor, Delay, Distortion, LadderFilter, Phaser, Plugin

Draw = Callable[[np.random.Generator], Plugin]

DRAWS: tuple[Draw, ...] = (
    lambda rng: Distortion(drive_db=rng.uniform(3, 25)),
    lambda rng: Chorus(rate_hz=rng.uniform(0.2, 3), depth=rng.uniform(0.1, 0.5), mix=rng.uniform(0.3, 0.6)),
    lambda rng: Phaser(rate_hz=rng.uniform(0.1, 2), depth=rng.uniform(0.3, 0.9), mix=rng.uniform(0.3, 0.6)),
    lambda rng: Delay(
        delay_seconds=rng.uniform(0.05, 0.5), feedback=rng.uniform(0, 0.5), mix=rng.uniform(0.1, 0.4)
    ),
    lambda rng: Compressor(threshold_db=rng.uniform(-40, -15), ratio=rng.uniform(2, 10)),
    lambda rng: Bitcrush(bit_depth=rng.uniform(6, 12)),
    lambda rng: LadderFilter(
        cutoff_hz=np.exp(rng.uniform(np.log(800), np.log(8000))), resonance=rng.uniform(0, 0.6)
    ),
)


def with_random_effect(
    audio: NDArray[np.float32], sample_rate: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """``(channels, frames)`` through one effect drawn at random, as loud as before."""
    before = np.sqrt(np.square(audio).mean())
    peak = np.abs(audio).max()
    if peak < 1e-6:
        return audio
    effect = DRAWS[rng.integers(len(DRAWS))](rng)
    # Effects that depend on loudness expect audio of a usual level.
    changed = effect(audio * (0.5 / peak), sample_rate)
    scaled: NDArray[np.float32] = changed * (before / max(np.sqrt(np.square(changed).mean()), 1e-9))
    return scaled
