"""A separator as a Pedalboard plug-in: audio in, stems out as channels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any

from numpy.typing import NDArray

from plugin_bridge.plugins.array_contract import BUFFER_SIZES, check_call
from plugin_bridge.plugins.python_plugin import PythonPlugin
from separators import Audio, ChannelError, Separator, Stems
from separators.cascade import Cascade
from separators.parameters import Value

TRIED_CHANNELS = range(1, 65)
"""Channel counts for which a separator is asked for its stem names before there is audio."""


class SeparatorPlugin(PythonPlugin):
    """A :class:`~separators.Separator` that is called like any Pedalboard plug-in.

    ``(channels, frames)`` in gives ``(stems * channels, frames)`` out, stem by stem;
    ``(frames, channels)`` gives ``(frames, stems * channels)``; mono 1-D gives ``(stems, frames)``.
    The separator's parameters are read-only attributes. It works on a whole signal at once, so
    ``reset=False`` is refused.
    """

    mono_to_1d = False
    gives_stems = True
    settable = ("separator",)

    def __init__(self, separator: Separator) -> None:
        if not isinstance(separator, Separator):
            raise TypeError(f"separator must be a separators.Separator, not {type(separator).__name__}")
        super().__init__()
        self.separator = separator

    @property
    def parameters(self) -> Mapping[str, Value]:
        """The separator's parameters and their values, read-only."""
        return MappingProxyType(self.separator.values)

    def stem_names(self, channels: int) -> tuple[str, ...]:
        """The names of the stems, in the order of the output, for a mixture of ``channels`` channels."""
        return self.separator.stem_names(channels)

    def separate(self, audio: NDArray[Any], sample_rate: float) -> Stems:
        """The named stems, each ``(channels, frames)``, of ``audio`` as :meth:`process` takes it."""
        rate, _ = check_call(sample_rate, BUFFER_SIZES[0])
        return self.separator.separate(self._layouts.read(audio).audio, rate)

    def run(self, audio: Audio, sample_rate: float, buffer_size: int, reset: bool) -> Audio:
        """Separate; raises ValueError for NaN, infinity, ``reset=False`` and unfit channel counts."""
        refuse_streaming(self, reset)
        stems = self.separator.separate(audio, sample_rate)
        return stems.array.reshape(len(stems) * len(audio), audio.shape[1])

    def __getattr__(self, name: str) -> Any:
        separator = vars(self).get("separator")
        if separator is not None and name in separator.parameters:
            return getattr(separator, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        separator = vars(self).get("separator")
        if separator is not None and (name in (*separator.parameters, "separator", "parameters")):
            raise AttributeError(f"{name} is read-only; make a SeparatorPlugin of a new separator")
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.separator.parameters]

    def __repr__(self) -> str:
        return f"<plugin_bridge.SeparatorPlugin {describe(self.separator)} at {id(self):#x}>"


def refuse_streaming(plugin: PythonPlugin, reset: bool) -> None:
    """Raise ValueError for ``reset=False``: a separator learns from the whole signal."""
    if not reset:
        raise ValueError(
            f"{type(plugin).__name__} works on a whole signal and cannot continue one with reset=False; "
            "pass the whole signal, or use separators.streaming for long files"
        )


def possible_stems(separator: Separator) -> list[str]:
    """Every stem name that ``separator`` can give, whatever the mixture's channels."""
    names: dict[str, None] = {}
    for channels in TRIED_CHANNELS:
        with suppress(ChannelError):
            names |= dict.fromkeys(separator.stem_names(channels))
    return list(names)


def refuse_unknown_stems(separator: Separator, asked: Iterable[str], known: Sequence[str]) -> None:
    """Raise ValueError for a name in ``asked`` that is not ``known``."""
    for name in asked:
        if name not in known:
            more = ", ..." if len(known) > 8 else ""
            raise ValueError(
                f"{separator.name} gives no stem {name!r} here; its stems are: {', '.join(known[:8])}{more}"
            )


def describe(separator: Separator) -> str:
    """``nmf mode='drums'``: the name and what differs from the defaults; of a cascade those of all."""
    if isinstance(separator, Cascade):
        further = (f"{stem}: {describe(again)}" for stem, again in separator.further.items())
        return ", ".join((describe(separator.first), *further))
    changed = (
        f"{key}={value!r}"
        for key, value in separator.values.items()
        if value != separator.parameters[key].default
    )
    return " ".join((separator.name, *changed))
