"""What plug-ins may listen to besides their own input: stems of the rack they stand in, other tracks.

    with sidechains(tracks={"Voice": voice}):
        ducked = board(music, sample_rate)

A sidechain is audio ``(channels, frames)``, an array or any source with ``read(start, frames)`` and
``frames``, that begins with the signal it steers; before and behind it there is silence. A
:class:`~plugin_bridge.plugins.rack.StemRack` offers its stems to its chains by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from separators import Audio


class Readable(Protocol):
    """A part of :class:`separators.streaming.AudioSource`."""

    @property
    def channels(self) -> int:
        """How many there are."""
        ...

    @property
    def frames(self) -> int:
        """Its length."""
        ...

    def read(self, start: int, frames: int) -> Audio:
        """Frames ``start`` to ``start + frames``, all of which it has."""
        ...


Sidechain = Readable | NDArray[np.floating]
STEM, TRACK = "stem", "track"
_offered: ContextVar[Mapping[tuple[str, str], Sidechain]] = ContextVar("sidechains")


@contextmanager
def sidechains(
    *, stems: Mapping[str, Sidechain] | None = None, tracks: Mapping[str, Sidechain] | None = None
) -> Iterator[None]:
    """Offer ``stems`` and ``tracks`` by their names to what runs inside; what was offered before stays."""
    own = {(STEM, name): audio for name, audio in (stems or {}).items()}
    own |= {(TRACK, name): audio for name, audio in (tracks or {}).items()}
    token = _offered.set({**_offered.get({}), **own})
    try:
        yield
    finally:
        _offered.reset(token)


def read_sidechain(kind: str, name: str, start: int, frames: int) -> Audio:
    """Frames ``start`` to ``start + frames`` of a sidechain, zeros outside it.

    Raises ValueError if it is not there.
    """
    offered = _offered.get({})
    if (kind, name) not in offered:
        others = ", ".join(other for other_kind, other in offered if other_kind == kind) or "none"
        raise ValueError(
            f"there is no {kind} {name!r} to listen to here; there are: {others}; "
            + (
                "a stem is heard in the chains of its StemRack only"
                if kind == STEM
                else "see plugin_bridge.sidechains"
            )
        )
    return read_padded(offered[kind, name], start, frames)


def read_padded(source: Sidechain, start: int, frames: int) -> Audio:
    """Frames ``start`` to ``start + frames`` of ``source``, zeros where it has none."""
    if isinstance(source, np.ndarray):
        source = _Array(np.atleast_2d(source))
    audio = np.zeros((source.channels, frames), np.float32)
    first, last = max(start, 0), min(start + frames, source.frames)
    if first < last:
        audio[:, first - start : last - start] = source.read(first, last - first)
    return audio


class _Array:
    def __init__(self, audio: NDArray[np.floating]) -> None:
        self._audio = audio
        self.channels, self.frames = audio.shape

    def read(self, start: int, frames: int) -> Audio:
        return self._audio[:, start : start + frames].astype(np.float32)
