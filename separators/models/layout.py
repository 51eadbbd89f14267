"""Named axes: ``batch (channels parts) bins times`` says how a model's array is laid out.

Words are axes, words in brackets are axes merged into one, the last of them running fastest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOKEN = re.compile(r"\(([a-z ]+)\)|([a-z]+)")


@dataclass(frozen=True)
class Layout:
    """The axes of an array, in groups of those that are merged."""

    groups: tuple[tuple[str, ...], ...]

    @classmethod
    def parse(cls, text: str, known: Sequence[str]) -> Layout:
        """Read a layout whose axes are among ``known``; raises ValueError that says what is wrong."""
        rest = TOKEN.sub("", text).strip()
        groups = tuple(tuple((merged or single).split()) for merged, single in TOKEN.findall(text))
        axes = [axis for group in groups for axis in group]
        unknown = [axis for axis in axes if axis not in known]
        if rest or unknown or not axes or len(set(axes)) != len(axes):
            raise ValueError(
                f"{text!r} must name, once each, axes among {', '.join(known)}, some of them in brackets"
            )
        return cls(groups)

    @property
    def axes(self) -> tuple[str, ...]:
        """All axes in order."""
        return tuple(axis for group in self.groups for axis in group)

    def pack(self, array: NDArray[Any], names: Sequence[str]) -> NDArray[Any]:
        """``array`` with the axes ``names`` in this layout; axes that are not in it must have a size of 1."""
        sizes = dict(zip(names, array.shape, strict=True))
        shape = [int(np.prod([sizes.get(axis, 1) for axis in group])) for group in self.groups]
        left_out = tuple(names.index(axis) for axis in names if axis not in self.axes)
        remaining = [axis for axis in names if axis in self.axes]
        order = [remaining.index(axis) for axis in self.axes if axis in remaining]
        return np.ascontiguousarray(array.squeeze(left_out).transpose(order)).reshape(shape)

    def unpack(self, array: NDArray[Any], sizes: Mapping[str, int]) -> NDArray[Any]:
        """The inverse of :meth:`pack`: an array of this layout with the axes of ``sizes``, in their order."""
        flat = [sizes.get(axis, 1) for axis in self.axes]
        expected = tuple(int(np.prod([sizes.get(axis, 1) for axis in group])) for group in self.groups)
        if array.shape != expected:
            raise ValueError(f"the model gives an array of {array.shape}, its description means {expected}")
        axes = [axis for axis in self.axes if axis in sizes]
        kept = array.reshape([size for size, axis in zip(flat, self.axes, strict=True) if axis in sizes])
        return kept.transpose([axes.index(axis) for axis in sizes if axis in axes]).reshape(
            tuple(sizes.values())
        )
