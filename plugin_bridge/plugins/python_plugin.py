"""Plug-ins written in Python that are real :class:`pedalboard.Plugin` objects.

Pedalboard's containers run C++ and would skip what Python overrides, passing the audio through
untouched. A :class:`PythonPlugin` therefore holds a tripwire: one ``Gain`` twice, on which the
native engine stops. So a Python plug-in inside a native ``Pedalboard``, ``Chain`` or ``Mix`` raises
(:mod:`plugin_bridge.plugins.native_containers`); a :class:`~plugin_bridge.plugins.board.Board` runs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn, cast

import numpy as np
import pedalboard

from plugin_bridge.plugins import native_containers
from plugin_bridge.plugins.array_contract import LayoutMemory, check_call
from separators import Audio
from separators.near import did_you_mean

native_containers.install()

TRIPWIRE_DB = -137.25
"""The gain by which a tripwire is known where its Python object is gone."""


class RunsInPython:
    """What all plug-ins written in Python share: Pedalboard's two ways to call them.

    Subclasses implement :meth:`run`. Nothing of a call is kept in the object, so that one object
    may be called from several threads. Whoever overrides ``process`` or ``__call__`` instead is
    called through these, in a board too (:func:`run_python`).
    """

    mono_to_1d = True
    """Whether a 1-D input comes back 1-D (it cannot where mono becomes several channels)."""

    _layouts: LayoutMemory

    def run(self, audio: Audio, sample_rate: float, buffer_size: int, reset: bool) -> Audio:
        """Process ``audio`` ``(channels, frames)``, which must not be modified."""
        raise NotImplementedError

    def process(
        self, input_array: Audio, sample_rate: float, buffer_size: int = 8192, reset: bool = True
    ) -> Audio:
        """Run audio through this plug-in; arrays and errors: :mod:`plugin_bridge.plugins.array_contract`."""
        rate, size = check_call(sample_rate, buffer_size)
        reading = self._layouts.read(input_array)
        return reading.back(self.run(reading.audio, rate, size, bool(reset)), self.mono_to_1d)

    def __call__(
        self, input_array: Audio, sample_rate: float, buffer_size: int = 8192, reset: bool = True
    ) -> Audio:
        """Alias of :meth:`process`."""
        return self.process(input_array, sample_rate, buffer_size, reset)

    def needs_python(self) -> bool:
        """Whether Pedalboard's native engine would not do the same."""
        return True

    def is_overridden(self) -> bool:
        """Whether a class derived from ours, or the object itself, processes in another way."""
        ours: type[Any] = next(
            cls for cls in type(self).__mro__ if cls.__module__.startswith("plugin_bridge.")
        )
        own_run = type(self).run is not ours.run or "run" in vars(self)
        return own_run or self.calls_are_overridden()

    def calls_are_overridden(self) -> bool:
        """Whether ``process`` or ``__call__`` are not the ones above."""
        cls = type(self)
        own = cls.process is not RunsInPython.process or cls.__call__ is not RunsInPython.__call__
        return own or "process" in vars(self)


class PythonPlugin(RunsInPython, pedalboard.Chain):
    """Base of plug-ins written in Python; subclasses implement :meth:`run`."""

    streams = False
    """Whether ``run`` continues a signal with ``reset=False``, returning fewer frames if need be."""
    by_stem = False
    """Whether a board runs it behind a separator for each stem on its own."""
    most_channels: int | None = None
    """The most channels that it takes, if there is a limit; a board says where it runs by stem for that."""
    gives_stems = False
    """Whether it turns its channels into stems of as many channels."""
    settable: ClassVar[tuple[str, ...]]
    """A class that names its public attributes takes no others (those derived from it do): no silent typo."""

    def __init__(self) -> None:
        super().__init__(tripwire())
        self._layouts = LayoutMemory()

    @property
    def held_plugins(self) -> Sequence[pedalboard.Plugin]:
        """Plug-ins that it runs itself."""
        return ()

    def reset(self) -> None:
        """Forget the audio and the array layout of earlier calls; parameters stay."""
        self._layouts.forget()

    def __bool__(self) -> bool:
        return True

    def __reduce__(self) -> tuple[Any, ...]:
        """By its attributes; a class that keeps what cannot be pickled says itself what it is made from."""
        return _made_again, (type(self), {k: v for k, v in vars(self).items() if k != "_layouts"})

    def __setattr__(self, name: str, value: Any) -> None:
        cls = type(self)
        if "settable" in vars(cls) and not (name.startswith("_") or name in cls.settable):
            hint = did_you_mean(name, cls.settable)
            raise AttributeError(
                f"{cls.__name__} has no attribute {name!r} to set{hint}; it has: {', '.join(cls.settable)}"
            )
        super().__setattr__(name, value)

    # The list methods of Chain would show the tripwire's two gains.

    def _holds_no_list(self, *_: Any) -> NoReturn:
        raise TypeError(f"{type(self).__name__} is one plug-in, not a list; put it into a Board")

    __len__ = __getitem__ = __setitem__ = __delitem__ = _holds_no_list
    __iter__ = __contains__ = __reversed__ = _holds_no_list
    append = insert = remove = cast(Any, _holds_no_list)


def _made_again(cls: type[PythonPlugin], kept: dict[str, Any]) -> PythonPlugin:
    """What a pickle of a plug-in makes: the object with its attributes, without calling its constructor."""
    made = cls.__new__(cls)
    PythonPlugin.__init__(made)
    vars(made).update(kept)
    return made


def tripwire() -> list[pedalboard.Plugin]:
    """Members on which every native container stops."""
    return [pedalboard.Gain(TRIPWIRE_DB)] * 2


def is_tripwire(plugin: pedalboard.Plugin) -> bool:
    """Whether ``plugin`` is a member of :func:`tripwire`."""
    return type(plugin) is pedalboard.Gain and plugin.gain_db == TRIPWIRE_DB


def runs_in_python(plugin: pedalboard.Plugin) -> bool:
    """Whether ``plugin`` overrides in Python how it processes, which native containers would skip."""
    if isinstance(plugin, RunsInPython):
        return plugin.needs_python()
    return _depth(plugin, "process") is not None or _depth(plugin, "__call__") is not None


def run_python(
    plugin: pedalboard.Plugin, audio: Audio, sample_rate: float, buffer_size: int, reset: bool
) -> Audio:
    """Run ``audio`` ``(channels, frames)`` through a plug-in that runs in Python, by what it overrides.

    Raises TypeError where that is not clear, RuntimeError where no audio comes back.
    """
    if not isinstance(plugin, RunsInPython):
        output = _entry(plugin)(audio, sample_rate, buffer_size, reset)
    elif plugin.calls_are_overridden():
        plugin._layouts.expect(len(audio))
        output = plugin(audio, sample_rate, buffer_size, reset)
    else:
        output = plugin.run(audio, sample_rate, buffer_size, reset)
    if not isinstance(output, np.ndarray) or output.ndim != 2 or output.dtype.kind != "f":
        kind = f"{output.dtype} of shape {output.shape}" if isinstance(output, np.ndarray) else repr(output)
        raise RuntimeError(
            f"{type(plugin).__name__} gave back {kind}; in a board a plug-in gives floats (channels, frames)"
        )
    return np.asarray(output, np.float32)


def _entry(plugin: pedalboard.Plugin) -> Any:
    """``__call__`` or ``process`` of a plug-in whose class derives from one of Pedalboard's own."""
    process, call = _depth(plugin, "process"), _depth(plugin, "__call__")
    if call is None:
        return plugin.process
    if process is not None and process < call:
        # Which of the two the user of such an object gets depends on which one is called.
        raise TypeError(
            f"{type(plugin).__name__} overrides process, and a class above it __call__; "
            "override both in one class"
        )
    return plugin


def _depth(plugin: pedalboard.Plugin, name: str) -> int | None:
    """How far up the classes ``name`` is overridden in Python: 0 in the object itself; None: nowhere."""
    if name != "__call__" and name in getattr(plugin, "__dict__", ()):
        return 0
    for depth, cls in enumerate(type(plugin).__mro__, 1):
        if name in vars(cls):
            native = cls.__module__.partition(".")[0] in ("pedalboard", "pedalboard_native")
            return None if native else depth
    return None
