"""Runs other people's models as separators: what takes the rest, segments, one copy in memory."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from separators.base import Audio, Transform
from separators.errors import ParameterError
from separators.forks import refuse_after_fork
from separators.models.files import ModelError, reason
from separators.neural.devices import CPU
from separators.neural.placement import NetworkSeparator
from separators.neural.stereo import stereo_transform
from separators.parameters import parameter

RESIDUAL = "residual"
TAKES_REST = ("other", "accompaniment")
"""Stems that take what a model leaves of the mixture, if it has them."""

M = TypeVar("M")

_lock = Lock()


class Model(Protocol):
    """A network as it was trained: one rate, one number of channels, its own stems."""

    @property
    def sample_rate(self) -> int:
        """In hertz."""
        ...

    @property
    def channels(self) -> int:
        """1 or 2."""
        ...

    @property
    def stems(self) -> tuple[str, ...]:
        """The names of what it estimates."""
        ...

    @property
    def level(self) -> float:
        """The RMS of the music it was trained on; a whole file is brought to it."""
        ...

    @property
    def halvings(self) -> int:
        """How often its segments can be halved, where memory is short, and take less of it."""
        ...

    def __call__(self, audio: Audio, device: torch.device = CPU, parts: int = 1) -> Audio:
        """Stems ``(stems, channels, frames)`` of ``(channels, frames)``; need not sum to it.

        Worked out on ``device``, in segments of 1/``parts`` of their length.
        """
        ...


class LocalModel(NetworkSeparator):
    """Base of the separators that run a model from the user's own disk."""

    checkpoint: str = parameter(default="", help="The model's file or folder, or its name to be looked for.")
    rest: str = parameter(
        default="",
        help="Stem that takes what the model leaves of the mixture: one of its own, or residual. Empty: "
        "other or accompaniment if there is one, else residual.",
    )

    fit_seconds = 30.0
    # A model's segments overlap inside a block; where blocks join, each side hears half a second more.
    block_seconds = 29.0
    overlap_seconds = 2.0

    @abstractmethod
    def model(self) -> Model:
        """The model, loaded; raises :class:`ModelError`."""

    def stem_names(self, channels: int) -> tuple[str, ...]:
        """The model's stems, and ``residual`` where none takes the rest; raises :class:`ModelError`."""
        return self._stems()[0]

    def fit(self, sample: Audio, sample_rate: int) -> Transform:
        """Loads the model; of the sample it learns which polarity to listen in."""
        model = self.model()
        _, rest = self._stems()
        placement = self.placement(model.halvings)

        def estimate(audio: Audio) -> Audio:
            try:
                heard = np.float32(model.level) * audio
                stems = placement.run(lambda device, parts: model(heard, device, parts))
            except (RuntimeError, AssertionError, TypeError, ValueError, LookupError) as error:
                raise ModelError(f"{self.name}: the model cannot be run: {reason(error)}") from error
            if not np.isfinite(stems).all():
                raise ModelError(f"{self.name}: the model gives NaN or infinity; its file is not usable")
            stems /= np.float32(model.level)
            return stems

        return stereo_transform(
            estimate, model.sample_rate, model.channels, len(model.stems), rest, sample, sample_rate
        )

    def _stems(self) -> tuple[tuple[str, ...], int]:
        """The stems' names, and the number of the one that takes the rest."""
        stems = self.model().stems
        rest = self.rest or next((name for name in TAKES_REST if name in stems), RESIDUAL)
        if rest not in stems:
            if rest != RESIDUAL:
                raise ParameterError(
                    f"{self.name}: rest must be residual or one of {', '.join(stems)}, not {rest!r}"
                )
            stems = (*stems, RESIDUAL)
        return stems, stems.index(rest)


def in_segments(
    network: Callable[[Tensor], Tensor],
    audio: Audio,
    segment: int,
    overlap: float = 0.25,
    device: torch.device = CPU,
) -> Audio:
    """``network`` on overlapping segments of ``segment`` frames, cross-faded: ``(stems, channels, frames)``.

    ``network`` turns ``(channels, segment)`` on ``device`` into ``(stems, channels, segment)``. Segments
    count most in their middle, as in Demucs; the last one ends where the audio does. Shorter audio is padded
    with silence.
    """
    frames = audio.shape[-1]
    padded = np.pad(audio, ((0, 0), (0, max(0, segment - frames))))
    length = padded.shape[-1]
    ramp = np.arange(1, segment + 1, dtype=np.float32)
    weight = np.minimum(ramp, ramp[::-1]) / np.float32(segment)
    step = max(1, int(segment * (1 - overlap)))
    total = np.zeros(length, np.float32)
    stems: Audio | None = None
    with torch.inference_mode():
        for start in [*range(0, length - segment, step), length - segment]:
            part = padded[:, start : start + segment]
            found = network(torch.from_numpy(np.ascontiguousarray(part)).to(device)).cpu().numpy()
            if stems is None:
                stems = np.zeros((*found.shape[:2], length), np.float32)
            stems[..., start : start + segment] += weight * found
            total[start : start + segment] += weight
    assert stems is not None  # there is at least one segment
    return stems[..., :frames] / total[:frames]


def loaded(load: Callable[..., M], *files: Path) -> M:
    """``load(*files)``, done once for all threads; files that have changed are loaded anew.

    Raises :class:`~separators.errors.ForkError`.
    """
    refuse_after_fork()
    state = tuple((file.stat().st_mtime_ns, file.stat().st_size) for file in files)
    with _lock:
        found: M = _cached(load, files, state)
        return found


@lru_cache(maxsize=2)
def _cached(load: Callable[..., Any], files: Sequence[Path], _state: tuple[tuple[int, int], ...]) -> Any:
    return load(*files)
