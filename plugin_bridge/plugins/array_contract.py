"""Pedalboard's array contract for plug-ins written in Python: what may be passed, and how it comes back.

Arrays are float32 or float64, 1-D (mono) or 2-D, where the smaller dimension is the channels; the
result is a new C-contiguous float32 array in the layout that came in. What would crash or hang
Pedalboard's native code (sample rates and buffer sizes out of range) is refused here.
"""

from __future__ import annotations

import math
import operator
import threading
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from separators import Audio

SAMPLE_RATES_HZ = (1_000, 1_000_000)
"""Below, PitchShift hangs (Reverb dies at 0); above, Delay does. Audio lies well inside."""
BUFFER_SIZES = (1, 1_000_000)
"""0 makes Pedalboard loop for ever, ten million make it crash."""


def check_call(sample_rate: Any, buffer_size: Any) -> tuple[float, int]:
    """The two as ``float`` and ``int``; raises TypeError or ValueError, as Pedalboard does or should."""
    if not hasattr(type(sample_rate), "__float__") and not hasattr(type(sample_rate), "__index__"):
        raise TypeError(f"sample_rate must be a number, not {type(sample_rate).__name__}")
    rate = float(sample_rate)
    low, high = SAMPLE_RATES_HZ
    if not (math.isfinite(rate) and low <= rate <= high):
        raise ValueError(f"sample_rate must be from {low} to {high} Hz, not {sample_rate!r}")
    try:
        size = operator.index(buffer_size)
    except TypeError:
        raise TypeError(f"buffer_size must be a whole number, not {buffer_size!r}") from None
    low, high = BUFFER_SIZES
    if not low <= size <= high:
        raise ValueError(f"buffer_size must be from {low} to {high} frames, not {size}")
    return rate, size


class _Seen(NamedTuple):
    """What a call showed of its caller's arrays."""

    channels_first: bool
    channels: int


@dataclass(frozen=True)
class Reading:
    """One call's audio, and the way back into its layout."""

    audio: Audio
    """float32 ``(channels, frames)``, C-contiguous; may share the input's memory."""
    source: NDArray[Any]
    channels_first: bool

    def back(self, output: Audio, mono_to_1d: bool) -> Audio:
        """``output`` ``(channels, frames)`` as a new array in the layout of the input.

        One channel comes back 1-D if ``mono_to_1d`` and the input was.
        """
        if self.source.ndim == 1 and mono_to_1d and len(output) == 1:
            output = output[0]
        elif not self.channels_first:
            output = output.T
        output = np.ascontiguousarray(output, dtype=np.float32)
        return output.copy() if np.may_share_memory(output, self.source) else output


class LayoutMemory:
    """Tells channels from frames as Pedalboard does, with its memory of the last call.

    A shape that can be read both ways is read with the channel count of the last call; a square
    one as the last call was. Each thread remembers its own last call (and in its first one that of
    the others), so that threads that pass different layouts do not disturb each other.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Forget all calls: what a plug-in's ``reset()`` does."""
        self._here = threading.local()
        self._anywhere: _Seen | None = None

    def expect(self, channels: int) -> None:
        """Read this thread's next array as ``(channels, frames)``, if it can be read so."""
        self._here.seen = _Seen(True, channels)

    def read(self, input_array: Any) -> Reading:
        """``input_array`` as audio.

        Raises TypeError for anything but float32 and float64 arrays, RuntimeError for other than
        1 or 2 dimensions and for a square array on the first call.
        """
        if not isinstance(input_array, np.ndarray):
            raise TypeError(f"input_array must be a numpy array, not {type(input_array).__name__}")
        if input_array.dtype.char not in "fd":
            raise TypeError(
                f"audio must be 32-bit or 64-bit floating point, not {input_array.dtype}; "
                "scale integers to -1..1 first"
            )
        if input_array.ndim not in (1, 2):
            raise RuntimeError(f"the number of dimensions must be 1 or 2, not {input_array.ndim}")
        array = input_array[np.newaxis] if input_array.ndim == 1 else input_array
        before: _Seen | None = getattr(self._here, "seen", self._anywhere)
        rows, columns = array.shape
        channels_first = input_array.ndim == 1 or _is_channels_first(rows, columns, before)
        if not channels_first:
            array = array.T
        self._here.seen = self._anywhere = _Seen(channels_first, len(array))
        return Reading(np.ascontiguousarray(array, dtype=np.float32), input_array, channels_first)


def _is_channels_first(rows: int, columns: int, before: _Seen | None) -> bool:
    if before is not None and before.channels and rows != columns:
        if rows == before.channels:
            return True
        if columns == before.channels:
            return False
    if (rows == 0) != (columns == 0):
        return columns == 0  # no frames is audio, no channels is not
    if rows != columns or rows == 1:
        return rows <= columns
    if before is None or rows == 0:
        raise RuntimeError(
            f"unable to determine the channel layout of the shape ({rows}, {columns}); "
            "pass an array that is not square first"
        )
    return before.channels_first
