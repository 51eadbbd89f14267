"""Parallel paths of anything: hosted plug-ins, separators, racks, boards.

    parallel = StemMix([None, [HostedPlugin("ZamCompX2", {"thr": -40}), pedalboard.Gain(-6)]])

``None`` is the dry signal. Pedalboard's ``Mix`` runs native plug-ins only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from threading import RLock
from typing import Any

import numpy as np

from plugin_bridge.plugins.block_stages import FrameQueue
from plugin_bridge.plugins.board import Board, Member, as_board
from plugin_bridge.plugins.containers import check_members, inside
from plugin_bridge.plugins.python_plugin import PythonPlugin, run_python, runs_in_python
from separators import Audio


class StemMix(PythonPlugin):
    """Parallel ``paths``, each a chain of anything, that hear the same input and are summed.

    Every path gives the signal at the time at which it came in, whatever its latency, so that paths are
    aligned to the sample; ``None`` or an empty path is the dry signal. A mix of native plug-ins gives the
    same bits as ``pedalboard.Mix``. Raises ValueError where paths give different channel counts, RuntimeError
    where one plug-in stands in it twice.
    """

    by_stem = True
    settable = ("paths",)

    def __init__(self, paths: Iterable[Member | Sequence[Member] | None]) -> None:
        super().__init__()
        self.paths = tuple(as_board(path) for path in paths)
        check_members(self.paths)
        self._running = RLock()
        self._ready: list[FrameQueue] = []

    @property
    def held_plugins(self) -> Sequence[Board]:
        """What stands in it."""
        return list(self.paths)

    @property
    def streams(self) -> bool:  # type: ignore[override]
        """Whether all plug-ins inside can continue a signal."""
        return all(
            isinstance(plugin, Board) or not runs_in_python(plugin) or getattr(plugin, "streams", False)
            for plugin, _ in inside(self.paths)
        )

    def run(self, audio: Audio, sample_rate: float, buffer_size: int, reset: bool) -> Audio:
        """Run all paths; with ``reset=False`` as many frames as all of them have ready."""
        if not self.paths:
            return np.zeros_like(audio)
        made = [run_python(path, audio, sample_rate, buffer_size, reset) for path in self.paths]
        counts = [len(output) for output in made]
        if len(set(counts)) > 1:
            raise ValueError(
                f"the paths of a mix give equally many channels, not {', '.join(map(str, counts))}; "
                "a separator inside one belongs into a StemRack that remixes"
            )
        if reset:
            with self._running:
                self._ready = []
            return summed(made)
        with self._running:
            if len(self._ready) != len(made) or self._ready[0].channels != counts[0]:
                self._ready = [FrameQueue(counts[0]) for _ in made]
            for queue, output in zip(self._ready, made, strict=True):
                queue.put(output)
            frames = min(queue.frames for queue in self._ready)
            return summed([queue.take(frames) for queue in self._ready])

    def reset(self) -> None:
        """Reset every path."""
        super().reset()
        self._ready = []
        for path in self.paths:
            path.reset()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (list(self.paths),)

    def __repr__(self) -> str:
        return f"<plugin_bridge.StemMix of {[list(path) for path in self.paths]} at {id(self):#x}>"


def summed(outputs: Sequence[Audio]) -> Audio:
    """The sum, in order, as ``pedalboard.Mix`` has it."""
    total = np.zeros_like(outputs[0])
    for output in outputs:
        total += output
    return total
