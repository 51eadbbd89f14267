"""Independent component analysis: sources told apart by their statistics."""

from __future__ import annotations

from separators import registry
from separators.base import Audio, Separator, Transform
from separators.errors import ChannelError, ParameterError
from separators.parameters import parameter

SUBSPACES = 3
"""Sources of model subspace where their number is not said."""
BLOCKS = {"instantaneous": (2.0, 0.1), "convolutive": (5.0, 1.0), "subspace": (20.0, 1.0)}
"""Model -> seconds of its blocks and their overlap. A matrix has no memory: short blocks save memory where
channels are many."""


class ICA(Separator):
    """Un-mixes channels that hold the same sources, each in its own way; or one channel, less well.

    Model ``instantaneous`` is for sources that reach all channels at the same time: a stereo mix
    made with pan pots, or microphones at one place (see :mod:`separators.ica.instantaneous`:
    FastICA, Hyvärinen 1999, refined after Pham and Cardoso 2001). Model ``convolutive`` is for
    microphones that stand apart in a room and hear delays and echoes (see
    :mod:`separators.ica.convolutive`: AuxIVA, Ono 2011, or ILRMA, Kitamura et al. 2016).

    Model ``subspace`` is for one microphone and more sources than channels: it groups what the
    spectrogram is made of (see :mod:`separators.ica.subspace`: Casey and Westner 2000). What follows
    is true of the other two only: its stems are masked mixtures, from dark to bright.

    Stem k is the image of source k, which is what it contributes to every channel, at its level and
    place. Source k belongs to channel k: of all ways to give each channel a source of its own, the
    one in which the sources are strongest on their channels, whatever the channels' gains and
    the sources' levels. For a stereo mix that is from left to right; for tracks of a session,
    each track its own source. A silent channel keeps what it holds as its own source.

    Raises :class:`~separators.errors.ChannelError` for fewer than two channels, for more
    sources than channels, and for channels that are mixtures of each other (a mono file in
    stereo); model ``subspace`` takes all of these. Warns with
    :class:`~separators.errors.SeparatorWarning` if no independent sources were found, or if the
    audio is too short to look for them: then every channel is a source.
    """

    name = "ica"
    summary = registry.BUILT_IN[name].summary

    model: str = parameter(
        default="instantaneous",
        help="How sources reach the channels: all at once, or with delays and echoes; "
        "subspace is for more sources than channels.",
        choices=tuple(BLOCKS),
    )
    algorithm: str = parameter(
        default="auxiva",
        help="What takes rooms apart: AuxIVA, or ILRMA on top, which is slower and kept where it is better.",
        serves={"model": ("convolutive",)},
        choices=("auxiva", "ilrma"),
    )
    sources: int = parameter(
        default=0,
        help="Number of sources; 0 is one per channel, 3 with model subspace. Fewer than channels leave a "
        "stem `rest` with model instantaneous.",
        serves={"model": ("instantaneous", "subspace")},
        minimum=0,
        maximum=64,
    )
    iterations: int = parameter(
        default=0,
        help="Most iterations; 0 takes 200 of FastICA or 30 of AuxIVA. ILRMA adds as many.",
        minimum=0,
        maximum=10000,
    )
    tolerance: float = parameter(
        default=1e-5,
        help="FastICA stops when no source turns by more than this (1 - |cos| of the angle).",
        serves={"model": ("instantaneous", "subspace")},
        minimum=1e-7,
        maximum=0.1,
    )
    subsample: int = parameter(
        default=16,
        help="FastICA learns from every so many frames of a long sample.",
        serves={"model": ("instantaneous",)},
        unit="frames",
        minimum=1,
        maximum=256,
    )
    refine: bool = parameter(
        default=True,
        help="Sharpen FastICA's result by the sources' changing levels.",
        serves={"model": ("instantaneous",)},
    )
    fft_size: int = parameter(
        default=0,
        help="Window of the spectral analysis; 0 takes the power of two nearest to 200 ms with model "
        "convolutive, to 46 ms with model subspace.",
        serves={"model": ("convolutive", "subspace")},
        unit="samples",
        choices=(0, 512, 1024, 2048, 4096, 8192, 16384),
    )
    components: int = parameter(
        default=30,
        help="Independent spectra that are grouped into sources.",
        serves={"model": ("subspace",)},
        minimum=2,
        maximum=200,
    )
    bases: int = parameter(
        default=10,
        help="Spectra that ILRMA builds each source of.",
        serves={"algorithm": ("ilrma",)},
        minimum=1,
        maximum=100,
    )
    seed: int = parameter(
        default=0, help="Seed of FastICA's and ILRMA's starting point.", minimum=0, maximum=2**31 - 1
    )

    def __post_init__(self) -> None:
        """Refuse a single source, and fewer components than sources."""
        if self.sources == 1:
            raise ParameterError("ica: sources must be 0 (one per channel) or at least 2, not 1")
        if self.model == "subspace" and self.components < self.sources:
            raise ParameterError(
                f"ica: components must be at least sources ({self.sources}), not {self.components}"
            )
        self.block_seconds, self.overlap_seconds = BLOCKS[self.model]

    def stem_names(self, channels: int) -> tuple[str, ...]:
        """``source-1`` and so on; with fewer sources than channels also ``rest``."""
        if self.model == "subspace":
            return tuple(f"source-{index + 1}" for index in range(self.sources or SUBSPACES))
        needed = max(2, self.sources)
        if channels < needed:
            others = ", ".join(name for name in registry.names() if name != self.name)
            raise ChannelError(
                f"ica needs at least {needed} channels, one for each source, not {channels}; for more "
                f"sources than channels use model subspace (preset ica-mono), or: {others}"
            )
        count = self.sources or channels
        names = tuple(f"source-{index + 1}" for index in range(count))
        return names if count == channels else (*names, "rest")

    def fit(self, sample: Audio, sample_rate: int) -> Transform:
        """Learn how the sources are mixed; the transform gives their images."""
        # Only the model that is asked for is loaded: what the others need of scipy takes a while.
        if self.model == "convolutive":
            from separators.ica import convolutive

            room = convolutive.Settings(
                self.algorithm, self.iterations or 30, self.bases, self.fft_size, self.seed
            )
            return convolutive.fit(sample, sample_rate, room)
        if self.model == "subspace":
            from separators.ica import subspace

            mono = subspace.Settings(
                self.sources or SUBSPACES,
                self.components,
                self.iterations or 200,
                self.tolerance,
                self.fft_size,
                self.seed,
            )
            return subspace.fit(sample, sample_rate, mono)
        from separators.ica import instantaneous

        settings = instantaneous.Settings(
            self.sources, self.iterations or 200, self.tolerance, self.subsample, self.refine, self.seed
        )
        return instantaneous.fit(sample, sample_rate, settings)
