"""Non-negative matrix factorization as a separator; each mode lives in a file of its own."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from separators.base import Audio, Separator, Transform
from separators.errors import ParameterError
from separators.nmf.analysis import Analysis
from separators.parameters import parameter
from separators.registry import BUILT_IN
from separators.spectral import fft_size_for

MODES = {
    "blind": "separators.nmf.blind",
    "drums": "separators.nmf.drums",
    "supervised": "separators.nmf.supervised",
    "semi-supervised": "separators.nmf.supervised",
}
"""Mode -> the module that does it."""
PANNED = ("blind", "supervised", "semi-supervised")
"""Modes in which templates can have a gain for each channel."""


class Mode(Protocol):
    """What a mode's module provides."""

    def stem_names(self, settings: NMF) -> tuple[str, ...]:
        """The names of the stems, in order."""
        ...

    def fit(self, settings: NMF, analysis: Analysis, sample: Audio) -> Transform:
        """Learn from ``sample`` and return the transform; see :meth:`Separator.fit`."""
        ...

    def files(self, settings: NMF) -> list[Path]:
        """The files whose contents decide the result, too; see :meth:`Separator.files`."""
        ...


class NMF(Separator):
    """Explains the spectrogram as a sum of sounds that recur, and gives each stem its share.

    Mode ``blind`` learns ``components`` spectral templates from the audio itself and groups
    them into ``stems`` (see :mod:`separators.nmf.blind`). Mode ``drums`` knows what drums
    sound like, from shipped templates or from the user's ``one_shots``, and adapts that to the loop
    (see :mod:`separators.nmf.drums`). Modes ``supervised`` and ``semi-supervised`` know the stems from
    a dictionary that was learned from recordings of them (see :mod:`separators.nmf.supervised`).

    Raises :class:`~separators.errors.ParameterError` if there are fewer components than stems, for drums
    that are not known, and if a mode needs a dictionary and there is none that can be read.
    """

    name = "nmf"
    summary = BUILT_IN[name].summary
    shows_factors = True

    mode: str = parameter(default="blind", help="What is known of the stems.", choices=tuple(MODES))
    stems: int = parameter(
        default=4, help="Number of stems.", serves={"mode": ("blind",)}, minimum=1, maximum=16
    )
    components: int = parameter(
        default=30,
        help="Number of spectral templates; in mode semi-supervised of the rest's.",
        serves={"mode": ("blind", "semi-supervised")},
        minimum=1,
        maximum=500,
    )
    dictionary: str = parameter(
        default="",
        help="What is known: a dictionary's file, or its name if it has one.",
        serves={"mode": ("supervised", "semi-supervised")},
        file=True,
    )
    beta: int = parameter(
        default=1,
        help="Divergence that is minimised: 0 Itakura-Saito, 1 Kullback-Leibler, 2 Euclidean.",
        choices=(0, 1, 2),
    )
    iterations: int = parameter(
        default=0,
        help="Most iterations when learning; 0 is 15 in mode drums and 100 in the others.",
        serves={"mode": ("blind", "drums", "semi-supervised"), "channels": ("panned",)},
        minimum=0,
        maximum=10000,
    )
    tolerance: float = parameter(
        default=1e-3,
        help="Learning stops when ten iterations improve the divergence by less than this part of it.",
        serves={"mode": ("blind", "semi-supervised"), "channels": ("panned",)},
        minimum=0.0,
        maximum=0.5,
    )
    grouping: str = parameter(
        default="sound",
        help="What makes templates one stem: sounding alike and together, timbre (MFCC), "
        "or rhythm (periodicity).",
        serves={"mode": ("blind",)},
        choices=("sound", "timbre", "rhythm"),
    )
    channels: str = parameter(
        default="linked",
        help="Whether channels share their masks, or templates have a gain for each channel (panned).",
        serves={"mode": PANNED},
        choices=("linked", "panned"),
    )
    sparsity: float = parameter(
        default=0.0,
        help="How much few strong activations are preferred to many weak ones; 0.1 is moderate.",
        serves={"mode": ("blind", "supervised", "semi-supervised")},
        minimum=0.0,
        maximum=10.0,
    )
    fft_size: int = parameter(
        default=0,
        help="Window of the spectral analysis; 0 takes the power of two nearest to 46 ms, in mode drums to "
        "23 ms.",
        unit="samples",
        choices=(0, 256, 512, 1024, 2048, 4096, 8192, 16384),
    )
    overlap: int = parameter(default=4, help="How many windows lie over each sample.", choices=(2, 4, 8))
    mask_power: float = parameter(
        default=0.0,
        help="Contrast of the masks: 1 shares by magnitude, 2 by power, more is harder; "
        "0 is 1 in mode blind with beta 1 or 2, else 2.",
        minimum=0.0,
        maximum=8.0,
    )
    drums: str = parameter(
        default="",
        help="What is looked for, with commas: kick, snare, hihat, hihat-open, tom, clap, cymbal, "
        "percussion, and what one_shots holds; if empty, those of one_shots, else kick, snare, hihat.",
        serves={"mode": ("drums",)},
    )
    one_shots: str = parameter(
        default="",
        help="A folder with a recording, or a folder of recordings, for each drum; its templates go before "
        "the shipped ones.",
        serves={"mode": ("drums",)},
        file=True,
    )
    seed: int = parameter(
        default=0,
        help="Seed of the random start; in mode drums nothing is random.",
        minimum=0,
        maximum=2**31 - 1,
    )

    def __post_init__(self) -> None:
        """Look at the mode's files and names now, not in the middle of a job."""
        if self.mode == "blind" and self.components < self.stems:
            raise ParameterError(
                f"nmf: components must be at least stems ({self.stems}), not {self.components}"
            )
        self._mode().stem_names(self)

    def stem_names(self, channels: int) -> tuple[str, ...]:
        """``stem-1`` and so on in mode blind, the drums' names in mode drums, the dictionary's parts."""
        return self._mode().stem_names(self)

    def files(self) -> list[Path]:
        """The one-shots in mode drums, the dictionary in the modes that need one."""
        return self._mode().files(self)

    def fit(self, sample: Audio, sample_rate: int) -> Transform:
        """Learn the templates from ``sample`` ``(channels, frames)``."""
        size = self.fft_size or fft_size_for(sample_rate) // (2 if self.mode == "drums" else 1)
        panned = self.channels == "panned" and self.mode in PANNED
        analysis = Analysis(sample_rate, size, self.overlap, self.beta, panned)
        return self._mode().fit(self, analysis, sample)

    def _mode(self) -> Mode:
        return cast(Mode, import_module(MODES[self.mode]))
