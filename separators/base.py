"""The contract every separation algorithm fulfils: audio in, named stems out.

A separator holds parameters only, never audio. It works in two steps so that an hour of
audio costs the memory of a minute: :meth:`Separator.fit` learns from a bounded sample and
returns a :data:`Transform`, which turns one block after the other into stems.
:mod:`separators.streaming` drives both; :meth:`Separator.separate` is the same path for an
array in memory.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, dataclass_transform

import numpy as np
from numpy.typing import NDArray

from separators.errors import AudioError, ParameterError
from separators.near import did_you_mean
from separators.parameters import Content, Parameter, Value, content, parameter

Audio = NDArray[np.float32]
"""float32 audio, ``(channels, frames)``; stem arrays are ``(stems, channels, frames)``."""

Transform = Callable[[Audio], Audio]
"""Turns a block ``(channels, frames)`` into ``(stems, channels, frames)``.

Blocks arrive in order of time and overlap their neighbours. A transform may keep state from
block to block (to keep a voice on its stem); its output sums to its input.
"""

PlacedTransform = Callable[[Audio, int], Audio]
"""A :data:`Transform` that is also told the frame of the whole audio at which its block begins."""


class Piece(NamedTuple):
    """A stretch of a fitting sample that lies in one piece in the whole audio, too; all in frames."""

    place: int
    """Where it begins in the sample."""
    start: int
    """Where it begins in the whole audio."""
    frames: int


@dataclass(frozen=True)
class AnyPlace:
    """A transform that need not know where its blocks begin, as a :data:`PlacedTransform`."""

    transform: Transform

    def __call__(self, block: Audio, start: int) -> Audio:
        """Transform ``block``."""
        return self.transform(block)


class Stems(Mapping[str, Audio]):
    """Ordered, named stems of one mixture: ``name -> (channels, frames)``.

    >>> stems = Stems(("voice", "rest"), np.zeros((2, 1, 8), np.float32), 48000)
    >>> list(stems), stems["rest"].shape
    (['voice', 'rest'], (1, 8))
    """

    def __init__(self, names: tuple[str, ...], array: Audio, sample_rate: int) -> None:
        """Name the stems of ``array`` ``(stems, channels, frames)``."""
        if array.ndim != 3 or len(names) != len(array) or len(set(names)) != len(names):
            raise AudioError(f"{len(names)} distinct names do not fit stems of shape {array.shape}")
        self.names = names
        self.array = array
        self.sample_rate = sample_rate

    def __getitem__(self, name: str) -> Audio:
        try:
            stem: Audio = self.array[self.names.index(name)]
        except ValueError:
            raise KeyError(f"no stem {name!r}; there are {', '.join(self.names)}") from None
        return stem

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"<Stems {', '.join(self.names)}: {self.array.shape[1:]} at {self.sample_rate} Hz>"


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(parameter, content))
class Separator(ABC):
    """One separation algorithm with its parameters; reusable, picklable, comparable.

    Subclasses declare ``name``, ``summary``, their parameters (:func:`~separators.parameters.parameter`)
    and implement :meth:`stem_names` and :meth:`fit`. The constructor takes the parameters by name, as a
    dataclass would; :meth:`__post_init__` checks what they must be together.

    Parameters may also be set as attributes, with the checks of the constructor. What else a separator
    keeps is declared in its class, or its name begins with an underscore.
    """

    name: ClassVar[str]
    """The registered name, as used in presets: ``nmf``, ``ica``, ..."""
    summary: ClassVar[str]
    """One line: what it separates."""
    parameters: ClassVar[Mapping[str, Parameter]] = {}
    __signature__: ClassVar[inspect.Signature | None] = None

    shows_factors: ClassVar[bool] = False
    """Whether :meth:`fit` returns :class:`separators.nmf.factors.Factorized` transforms."""

    fit_seconds: float = 60.0
    """Length of the sample that :meth:`fit` is given at most."""
    block_seconds: float = 20.0
    """Length of the blocks a transform is given, without their overlap."""
    overlap_seconds: float = 1.0
    """How much neighbouring blocks overlap; stems are cross-faded there."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = {key: value for key, value in vars(cls).items() if isinstance(value, Parameter)}
        cls.parameters = {**cls.parameters, **own}
        # A constructor of a subclass's own speaks for itself.
        cls.__signature__ = cls._signature() if cls.__init__ is Separator.__init__ else None

    @classmethod
    def _signature(cls) -> inspect.Signature:
        """What the constructor takes."""
        by_name = inspect.Parameter.KEYWORD_ONLY
        return inspect.Signature(
            [
                inspect.Parameter(key, by_name, default=row.default, annotation=row.accepted)
                for key, row in cls.parameters.items()
            ]
        )

    def __init__(self, **values: Value) -> None:
        """Check ``values`` against the table; raises :class:`ParameterError`."""
        for key in values:
            if key not in self.parameters:
                raise ParameterError(self._no_parameter(key))
        for key, row in self.parameters.items():
            vars(self)[key] = row.validate(values.get(key, row.default), self.name)
        for row in self.parameters.values():
            row.refuse_without_effect(self.values, self.name)
        self.__post_init__()

    def __post_init__(self) -> None:  # noqa: B027 - a dataclass's hook
        """Raise :class:`ParameterError` for values that do not go together; others leave it alone."""

    if not TYPE_CHECKING:  # which would take a class with this method to have any attribute

        def __setattr__(self, name: str, value: Any) -> None:
            """Set a parameter, checked as in the constructor; raises :class:`ParameterError`."""
            if name in self.parameters:
                vars(self).update(vars(self.replace(**{name: value})))
            elif name.startswith("_") or hasattr(type(self), name) or self._declares(name):
                super().__setattr__(name, value)
            else:
                raise ParameterError(self._no_parameter(name))

    @classmethod
    def _declares(cls, name: str) -> bool:
        return any(name in inspect.get_annotations(kind) for kind in cls.__mro__)

    def _no_parameter(self, name: str) -> str:
        known = ", ".join(self.parameters) or "none"
        return f"{self.name}: no parameter {name!r}{did_you_mean(name, self.parameters)}; there are: {known}"

    def replace(self, **values: Value) -> Self:
        """A new separator with ``values`` instead of its own; raises :class:`ParameterError`.

        Parameters that need each other are changed together, which attributes cannot be.
        """
        return type(self)(**{**self.values, **values})

    @property
    def follows_score(self) -> bool:
        """Whether it takes a score: has a parameter ``score`` (:func:`~separators.parameters.content`)."""
        return "score" in self.parameters

    def with_score(self, score: Callable[[], Content]) -> Separator:
        """The separator that follows ``score()``, if it takes a score and has none; else itself."""
        if self.follows_score and not self.values["score"]:
            return self.replace(score=score())
        return self

    @property
    def values(self) -> dict[str, Value]:
        """All parameters and their present values."""
        return {key: getattr(self, key) for key in self.parameters}

    def particulars(self) -> list[str]:
        """What is worth knowing of how it will work, in lines for people; raises what is missing for it."""
        return []

    def find_device(self) -> None:  # noqa: B027 - most have none to look for
        """Raise :class:`~separators.errors.SeparatorError` where there is no such device as ``device`` says.

        Separators without that parameter run on the processor.
        """

    def files(self) -> list[Path]:
        """The files that its parameters name: results change when these do."""
        values = [str(self.values[key]) for key, row in self.parameters.items() if row.file]
        return [Path(value) for value in values if value]

    @abstractmethod
    def stem_names(self, channels: int) -> tuple[str, ...]:
        """The names of the stems that a mixture of ``channels`` channels gives, in order.

        Raises :class:`~separators.errors.ChannelError` where the method cannot serve that
        number of channels.
        """

    @abstractmethod
    def fit(self, sample: Audio, sample_rate: int) -> Transform:
        """Learn from ``sample`` ``(channels, frames)`` and return the block transform.

        The sample is finite, not silent, at most :attr:`fit_seconds` long and scaled to
        an RMS of 1; the blocks given to the transform carry the same scale. A sample or
        block may be as short as one frame.
        """

    def fit_placed(self, sample: Audio, sample_rate: int, pieces: Sequence[Piece]) -> PlacedTransform:
        """:meth:`fit` for methods that must know where in time their audio lies; others leave it alone.

        ``pieces`` say, in order, which stretches of the whole audio the sample consists of.
        """
        return AnyPlace(self.fit(sample, sample_rate))

    def separate(self, mixture: NDArray[Any], sample_rate: float) -> Stems:
        """Separate ``mixture`` ``(channels, frames)`` or ``(frames,)`` into stems.

        The stems have the mixture's channels, length and rate, and sum to it.
        Raises :class:`AudioError` on NaN, infinity, integers or wrong shapes.
        """
        from separators.streaming import separate_array

        return separate_array(self, mixture, sample_rate)

    def __repr__(self) -> str:
        changed = (f"{k}={v!r}" for k, v in self.values.items() if v != self.parameters[k].default)
        return f"{type(self).__name__}({', '.join(changed)})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.values == getattr(other, "values", None)

    def __hash__(self) -> int:
        return hash((type(self), tuple(self.values.items())))
