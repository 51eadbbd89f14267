"""Third-party effects (VST3, on macOS Audio Units) in a child process with a limit of time and of memory.

    comp = HostedPlugin("ZamCompX2", {"threshold_db": -20, "ratio": 4})
    out = comp(audio, sample_rate)

A plug-in that crashes, hangs or eats memory takes its child process with it and raises
:class:`~plugin_bridge.errors.PluginError` with its name; the next call starts a new child with the
same parameters and state. A plug-in for stereo only gets a mono signal on both sides, and the mean
of its two sides comes back; a plug-in for mono only gets an instance for each channel. What a plug-in
does to its process (some switch denormal numbers off) stays in the child, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np

from plugin_bridge.errors import PluginError
from plugin_bridge.plugins.block_stages import BlockStage
from plugin_bridge.plugins.folders import find_plugin
from plugin_bridge.plugins.hosted import (
    CALL_SECONDS,
    LOAD_SECONDS,
    MEMORY_GB,
    Hosted,
    HostedParameter,
    Value,
)
from plugin_bridge.plugins.hosting_worker import put_last
from plugin_bridge.plugins.python_plugin import PythonPlugin
from separators import Audio

FRAMES_AT_ONCE = 1 << 17
"""In one request."""
PATIENCE_SECONDS = 60
"""A plug-in that gives nothing back for so much audio never will."""

__all__ = ["HostedParameter", "HostedPlugin", "find_plugin"]


class HostedPlugin(Hosted, PythonPlugin):
    """A third-party effect, found by its name and run in a child process; see the module's text.

    Parameters are attributes, as in Pedalboard; ``parameters`` says what there is. ``state`` is
    the plug-in's own state (a ``.vstpreset``'s bytes, or these as base64), set before ``parameters``.
    ``class_id`` names the one that is meant where a file holds several. Raises :class:`PluginError` where
    the plug-in is missing, crashes, hangs, takes more than ``memory_gb``, or does not take a value or state.
    """

    streams = True
    by_stem = True

    def __init__(
        self,
        name: str,
        parameters: Mapping[str, Value] | None = None,
        state: str | bytes | None = None,
        plugin_paths: Sequence[Path | str] = (),
        load_seconds: float = LOAD_SECONDS,
        call_seconds: float = CALL_SECONDS,
        memory_gb: float = MEMORY_GB,
        class_id: str = "",
    ) -> None:
        super().__init__()
        self._running = RLock()  # as Pedalboard: calls from several threads take turns
        self._open(name, parameters, state, plugin_paths, class_id, load_seconds, call_seconds, memory_gb)

    @property
    def most_channels(self) -> int | None:  # type: ignore[override]
        """The widest signal that it takes; None for mono ones, which have an instance for each channel."""
        return None if 1 in self.channels else max(self.channels, default=None)

    def run(self, audio: Audio, sample_rate: float, buffer_size: int, reset: bool) -> Audio:
        """Process ``audio``; a whole signal, or with ``reset=False`` the next block of one."""
        channels, frames = audio.shape

        def call(block: Audio) -> Audio:
            return self._process(block, sample_rate, buffer_size)

        with self._running:
            if not reset and self._begun == channels and not (self._child and self._child.alive):
                self._refuse_to_go_on()
            if reset or self._begun != channels:
                self._begin(channels)
            if not reset:
                at_once = max(1, FRAMES_AT_ONCE // buffer_size) * buffer_size
                blocks = [call(audio[:, i : i + at_once]) for i in range(0, frames, at_once)]
                return np.concatenate(blocks, axis=1) if blocks else audio.copy()
            stage = BlockStage(call, channels, round(PATIENCE_SECONDS * sample_rate), buffer_size)
            try:
                # As in Pedalboard, the plug-in keeps its state: the next call may ask for the tail.
                return np.concatenate([stage.process(audio), stage.flush()], axis=1)
            except BaseException:
                self._begun = 0
                raise

    def reset(self) -> None:
        """Forget the audio of earlier calls; parameters stay."""
        super().reset()
        self._begun = 0

    def __reduce__(self) -> tuple[Any, ...]:
        made_of = (self._name, self.values, self.state, (self._path.parent,), *self._limits)
        return type(self), (*made_of, self._memory_bytes / 2**30, self._class_id)

    def _begin(self, channels: int) -> None:
        self._ask("begin", channels=channels)
        self._begun = channels

    def run_steps(
        self, audio: Audio, sample_rate: float, step: int, changes: Sequence[tuple[int, Mapping[str, Value]]]
    ) -> Audio:
        """The next block of a signal in steps of ``step`` frames, parameters changing on the way.

        ``changes`` are frames, the first 0 and all at steps, each with the values from there on; they travel
        to the child at once. Returns as many frames or fewer, as ``run`` with ``reset=False``.
        """
        at_once = max(1, FRAMES_AT_ONCE // step) * step
        with self._running:
            if self._begun != len(audio):
                self._begin(len(audio))
            made = []
            for start in range(0, audio.shape[1], at_once):
                end = start + at_once
                here = [(frame - start, dict(values)) for frame, values in changes if start <= frame < end]
                if not here or here[0][0] > 0:
                    here.insert(0, (0, {}))
                made.append(self._process(audio[:, start:end], sample_rate, step, here))
        return np.concatenate(made, axis=1) if made else audio.copy()

    def _process(
        self,
        block: Audio,
        sample_rate: float,
        buffer_size: int,
        changes: Sequence[tuple[int, dict[str, Value]]] = (),
    ) -> Audio:
        for _, values in changes:
            self.check(values)
        header, audio = self._message(
            "process", block, sample_rate=sample_rate, buffer_size=buffer_size, changes=changes
        )
        assert audio is not None, header
        for (_, values), got in zip(changes, header.get("got", ()), strict=True):
            self._check_taken(values, got)
            put_last(self._values, values)
        if not np.isfinite(audio).all() and np.isfinite(block).all():
            raise PluginError(f"{self._name} gave back NaN or infinity; leave it out, or ask its maker")
        return audio
