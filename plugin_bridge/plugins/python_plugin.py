"""Plug-ins written in Python that are real :class:`pedalboard.Plugin` objects.

Pedalboard's containers run C++ and would skip what Python overrides, passing the audio through
untouched. A :class:`PythonPlugin` therefore holds a tripwire: one ``Gain`` twice, on which the
native engine stops with "the same plugin instance is being used multiple times". So a Python
plug-in inside a native ``Pedalboard``, ``Chain`` or ``Mix`` raises; a
:class:`~plugin_bridge.plugins.board.Board` runs it.
"""

from __future__ import annotations

from types import FunctionType
from typing import Any, NoReturn, cast

import pedalboard

from plugin_bridge.plugins.array_contract import ArrayLayout, check_call
from separators import Audio


def runs_in_python(plugin: pedalboard.Plugin) -> bool:
    """Whether a Python class overrides how ``plugin`` processes, which native containers would skip."""
    cls = type(plugin)
    return isinstance(cls.process, FunctionType) or isinstance(cls.__call__, FunctionType)


class PythonPlugin(pedalboard.Chain):
    """Base of plug-ins written in Python; subclasses implement :meth:`run`."""

    mono_to_1d = True
    """Whether a 1-D input comes back 1-D (it cannot where mono becomes several channels)."""
    streams = False
    """Whether ``run`` continues a signal with ``reset=False``, returning fewer frames if need be."""

    def __init__(self) -> None:
        tripwire = pedalboard.Gain()
        super().__init__([tripwire, tripwire])
        self._layout = ArrayLayout()

    def run(self, audio: Audio, sample_rate: float, buffer_size: int, reset: bool) -> Audio:
        """Process ``audio`` ``(channels, frames)``, which must not be modified."""
        raise NotImplementedError

    def process(
        self, input_array: Audio, sample_rate: float, buffer_size: int = 8192, reset: bool = True
    ) -> Audio:
        """Run audio through this plug-in; arrays and errors: :mod:`plugin_bridge.plugins.array_contract`."""
        rate, size = check_call(sample_rate, buffer_size)
        audio = self._layout.to_channels_first(input_array)
        output = self.run(audio, rate, size, bool(reset))
        return self._layout.to_layout_of(input_array, output, self.mono_to_1d)

    def __call__(
        self, input_array: Audio, sample_rate: float, buffer_size: int = 8192, reset: bool = True
    ) -> Audio:
        """Alias of :meth:`process`."""
        return self.process(input_array, sample_rate, buffer_size, reset)

    def reset(self) -> None:
        """Forget the audio and the array layout of earlier calls; parameters stay."""
        self._layout.forget()

    def __bool__(self) -> bool:
        return True

    # The list methods of Chain would show the tripwire's two gains.

    def _holds_no_list(self, *_: Any) -> NoReturn:
        raise TypeError(f"{type(self).__name__} is one plug-in, not a list; put it into a Board")

    __len__ = __getitem__ = __setitem__ = __delitem__ = _holds_no_list
    __iter__ = __contains__ = __reversed__ = _holds_no_list
    append = insert = remove = cast(Any, _holds_no_list)
