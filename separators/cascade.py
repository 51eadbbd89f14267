"""Stems separated again: a song's drums into kick, snare and hi-hat.

    song = Cascade(WaveUNet(), {"drums": NMF(mode="drums")})
    list(song.separate(mixture, 44100))
    ['vocals', 'drums/kick', 'drums/snare', 'drums/hihat', 'bass', 'other']

A cascade is a separator like the others; a further one may be a cascade itself. Every method's
stems sum to what it was given, and so do the cascade's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Self

import numpy as np

from separators.base import Audio, Piece, PlacedTransform, Separator, Transform
from separators.errors import ChannelError, ParameterError
from separators.parameters import Content, Value
from separators.streaming import ArraySource, FittedTransform


class Cascade(Separator):
    """Separates with ``first``, and the stems that ``further`` names again with what stands there.

    The stems of a stem take its place, under names like ``drums/kick``.
    """

    name = "cascade"
    summary = "separates stems of one method again by another"

    first: Separator
    further: dict[str, Separator]

    def __init__(self, first: Separator, further: Mapping[str, Separator]) -> None:
        super().__init__()
        self.first = first
        self.further = dict(further)
        parts = [first, *self.further.values()]
        self.fit_seconds = max(part.fit_seconds for part in parts)
        self.block_seconds = max(part.block_seconds for part in parts)
        self.overlap_seconds = max(part.overlap_seconds for part in parts)

    def replace(self, **values: Value) -> Self:
        """The cascade again: its parameters are those of its methods. Raises ParameterError for any."""
        for name in values:
            raise ParameterError(self._no_parameter(name))
        return copy(self)

    @property
    def follows_score(self) -> bool:
        """Whether one of its methods does."""
        return any(part.follows_score for part in (self.first, *self.further.values()))

    def particulars(self) -> list[str]:
        """Those of all its methods."""
        return [line for part in (self.first, *self.further.values()) for line in part.particulars()]

    def with_score(self, score: Callable[[], Content]) -> Separator:
        """The cascade, each of whose methods that needs a score follows it: stems keep the mixture's time."""
        further = {stem: separator.with_score(score) for stem, separator in self.further.items()}
        return Cascade(self.first.with_score(score), further)

    def stem_names(self, channels: int) -> tuple[str, ...]:
        """The stems of ``first``, those separated again replaced by theirs; raises ChannelError."""
        names = self.first.stem_names(channels)
        for stem in self.further:
            if stem not in names:
                raise ChannelError(
                    f"{self.first.name} gives no stem {stem!r} of {channels} channels to separate again; "
                    f"there are: {', '.join(names)}"
                )
        found: list[str] = []
        for name in names:
            again = self.further.get(name)
            found += [f"{name}/{inner}" for inner in again.stem_names(channels)] if again else [name]
        return tuple(found)

    def fit(self, sample: Audio, sample_rate: int) -> Transform:
        """:meth:`fit_placed` for audio that begins with ``sample``, and blocks that all begin there, too."""
        transform = self.fit_placed(sample, sample_rate, [Piece(0, 0, sample.shape[1])])
        return lambda block: transform(block, 0)

    def fit_placed(self, sample: Audio, sample_rate: int, pieces: Sequence[Piece]) -> PlacedTransform:
        """Fit ``first`` to the sample, and the others to its stems of the sample."""
        names = self.first.stem_names(len(sample))
        first = self._in_step(self.first)
        source = ArraySource(sample, sample_rate)
        # Separated by a transform of its own: one may keep state from block to block.
        once = FittedTransform(first, source, pieces=pieces)
        chosen = [names.index(name) for name in self.further]
        block_frames = round(self.block_seconds * sample_rate)
        parts = [
            once(sample[:, place + done : place + min(done + block_frames, frames)], start + done)[chosen]
            for place, start, frames in pieces
            for done in range(0, frames, block_frames)
        ]
        fitted = FittedTransform(first, source, pieces=pieces)
        further = {
            name: FittedTransform(self._in_step(separator), ArraySource(stem, sample_rate), pieces=pieces)
            for (name, separator), stem in zip(
                self.further.items(), np.concatenate(parts, axis=2), strict=True
            )
        }

        def transform(block: Audio, start: int) -> Audio:
            stems = fitted(block, start)
            return np.concatenate(
                [
                    further[name](stem, start) if name in further else stem[np.newaxis]
                    for name, stem in zip(names, stems, strict=True)
                ]
            )

        return transform

    def _in_step(self, separator: Separator) -> Separator:
        """``separator``, which may ask how long its blocks are, with the blocks of the cascade."""
        made = copy(separator)
        made.block_seconds, made.overlap_seconds = self.block_seconds, self.overlap_seconds
        return made

    def __repr__(self) -> str:
        return f"Cascade({self.first!r}, {self.further!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cascade) and (self.first, self.further) == (other.first, other.further)

    def __hash__(self) -> int:
        return hash((self.first, tuple(self.further.items())))
