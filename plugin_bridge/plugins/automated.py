"""A plug-in whose parameters change while it runs.

    duck = Automated(pedalboard.Gain(), {"gain_db": Follower([-50, -20], [0, -12], stem="voice")})
    rack = StemRack(separator, {"music": [duck]}, remix=True)

Parameters change at the blocks of ``step_frames`` frames, counted from the signal's first frame
whatever blocks it comes in: a block gets the values that hold at its first frame
(:class:`~plugin_bridge.plugins.automation.Curve`), or the level of the same block
(:class:`~plugin_bridge.plugins.automation.Follower`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from threading import RLock
from typing import Any

import numpy as np
import pedalboard

from plugin_bridge.errors import PluginError
from plugin_bridge.plugins.automation import Curve, Follower, Following, Value
from plugin_bridge.plugins.block_stages import FrameQueue, joined
from plugin_bridge.plugins.built_ins import built_in_of
from plugin_bridge.plugins.containers import is_container, run_native
from plugin_bridge.plugins.python_plugin import PythonPlugin, RunsInPython, run_python, runs_in_python
from separators import Audio
from separators.near import did_you_mean

STEP_FRAMES = 64
LARGEST_STEP = 65_536
PATIENCE_SECONDS = 60
"""A plug-in that gives nothing back for so much audio never will."""
NOT_BY_BLOCKS = (pedalboard.PitchShift, pedalboard.GSMFullRateCompressor, pedalboard.Resample)
"""Pedalboard loses what these hold between two calls, or begins anew when they change."""


class Automated(PythonPlugin):
    """``plugin``, each parameter in ``curves`` following its curve or level; see the module's text.

    Takes Pedalboard's effects, :class:`~plugin_bridge.plugins.hosting.HostedPlugin` and plug-ins in
    Python that continue a signal. Raises TypeError for what works on whole signals, and
    :class:`~plugin_bridge.errors.PluginError` for parameters and values that the plug-in does not take.
    """

    by_stem = True
    settable = ("plugin", "curves", "step_frames")

    def __init__(
        self,
        plugin: pedalboard.Plugin,
        curves: Mapping[str, Curve | Follower],
        step_frames: int = STEP_FRAMES,
    ) -> None:
        super().__init__()
        if isinstance(plugin, NOT_BY_BLOCKS):
            raise TypeError(
                f"{type(plugin).__name__} cannot be automated: Pedalboard loses audio when it changes or "
                "between two calls"
            )
        if is_container(plugin) or (runs_in_python(plugin) and not getattr(plugin, "streams", False)):
            raise TypeError(
                f"{type(plugin).__name__} cannot be automated; automate the plug-ins inside a board, "
                "and those in the chains of a rack"
            )
        if (
            isinstance(step_frames, bool)
            or not isinstance(step_frames, int)
            or not 1 <= step_frames <= LARGEST_STEP
        ):
            raise ValueError(
                f"step_frames must be a whole number from 1 to {LARGEST_STEP}, not {step_frames!r}"
            )
        if not curves:
            raise ValueError("curves must say what at least one parameter follows")
        self.plugin = plugin
        self.curves = dict(curves)
        self.step_frames = step_frames
        for name, curve in self.curves.items():
            _check(plugin, name, curve)
        self._running = RLock()
        self._signal: _Signal | None = None

    @property
    def held_plugins(self) -> Sequence[pedalboard.Plugin]:
        """What stands in it."""
        return [self.plugin]

    @property
    def streams(self) -> bool:  # type: ignore[override]
        """Always: what does not is refused."""
        return True

    def run(self, audio: Audio, sample_rate: float, buffer_size: int, reset: bool) -> Audio:
        """Process a whole signal, or with ``reset=False`` the next block of one, in whole steps."""
        channels, frames = audio.shape
        with self._running:
            signal = self._signal
            if reset or signal is None or signal.kind != (channels, sample_rate):
                self._signal = signal = _Signal(self, channels, sample_rate)
            made = [signal.process(audio)]
            given = made[0].shape[1]
            silence = np.zeros((channels, self.step_frames), np.float32)
            fed = 0
            while reset and given < frames:  # latency, and a last step that is not full
                if fed > PATIENCE_SECONDS * sample_rate:
                    raise RuntimeError(f"a plug-in held back {frames - given} frames for ever")
                made.append(signal.process(silence))
                given += made[-1].shape[1]
                fed += self.step_frames
            whole = joined(made)
            return whole[:, :frames] if reset else whole

    def reset(self) -> None:
        """Reset the plug-in, and begin the curves again."""
        super().reset()
        self.plugin.reset()
        self._signal = None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.plugin, self.curves, self.step_frames)

    def __repr__(self) -> str:
        return f"<plugin_bridge.Automated {self.plugin!r} {self.curves} at {id(self):#x}>"


class _Signal:
    """One signal on its way through the plug-in."""

    def __init__(self, automated: Automated, channels: int, sample_rate: float) -> None:
        self.kind = (channels, sample_rate)
        self._automated = automated
        self._waiting = FrameQueue(channels)
        self._position = 0
        self._before: dict[str, Value] = {}
        step = automated.step_frames
        self._following = {
            name: Following(curve, sample_rate, step)
            for name, curve in automated.curves.items()
            if isinstance(curve, Follower)
        }

    def process(self, audio: Audio) -> Audio:
        step = self._automated.step_frames
        self._waiting.put(audio)
        steps = self._waiting.frames // step
        block = self._waiting.take(steps * step)
        if not steps:
            return block
        rows = list(zip(*self._values(block, steps).values(), strict=True))
        changes, start = [], 0
        for row, group in groupby(rows):
            changes.append((start, self._changed(dict(zip(self._automated.curves, row, strict=True)))))
            start += sum(1 for _ in group) * step
        if not self._position:  # smoothing from what was set before is no part of this signal
            _set(self._automated.plugin, changes[0][1])
            self._automated.plugin.reset()
        self._position += steps * step
        return self._run(block, changes)

    def _values(self, block: Audio, steps: int) -> dict[str, list[Value]]:
        """For each parameter its value in each step of ``block``."""
        starts = self._position + np.arange(steps) * self._automated.step_frames
        return {
            name: curve.at(starts / self.kind[1])
            if isinstance(curve, Curve)
            else self._following[name].next(block, self._position)
            for name, curve in self._automated.curves.items()
        }

    def _changed(self, values: dict[str, Value]) -> dict[str, Value]:
        """Those of ``values`` that are not those before."""
        changed = {name: value for name, value in values.items() if self._before.get(name) != value}
        self._before = values
        return changed

    def _run(self, block: Audio, changes: Sequence[tuple[int, dict[str, Value]]]) -> Audio:
        plugin, step, rate = self._automated.plugin, self._automated.step_frames, self.kind[1]
        if hasattr(plugin, "run_steps"):  # in another process: all at once
            made: Audio = plugin.run_steps(block, rate, step, changes)
            return made
        pieces = []
        ends = [frame for frame, _ in changes[1:]] + [block.shape[1]]
        for (start, values), end in zip(changes, ends, strict=True):
            _set(plugin, values)
            piece = block[:, start:end]
            if runs_in_python(plugin):
                pieces.append(run_python(plugin, piece, rate, step, False))
            else:
                pieces.append(run_native([plugin], piece, rate, step, False))
        return joined(pieces)


def _set(plugin: pedalboard.Plugin, values: Mapping[str, Value]) -> None:
    if not values:
        return
    if hasattr(plugin, "set"):  # a hosted one takes all at once
        plugin.set(values)
        return
    if isinstance(plugin, RunsInPython | pedalboard.Convolution):
        for name, value in values.items():
            setattr(plugin, name, value)
        return
    built_in_of(plugin).set(plugin, values)


def _check(plugin: pedalboard.Plugin, name: str, curve: Curve | Follower) -> None:
    """Raise :class:`PluginError` if ``plugin`` does not take ``name`` or a value of its curve."""
    if not isinstance(curve, Curve | Follower):
        raise TypeError(f"a parameter follows a Curve or a Follower, not {type(curve).__name__}: {curve!r}")
    if hasattr(plugin, "set") and hasattr(plugin, "parameters"):
        rows, who = plugin.parameters, getattr(plugin, "name", type(plugin).__name__)
        if name not in rows:
            raise PluginError(f"{who} has no parameter {name!r}{did_you_mean(name, rows)}")
        for value in curve.values:
            if not rows[name].takes(value):
                raise PluginError(f"{who}: {name} must be {rows[name].allowed}, not {value!r}")
    elif isinstance(plugin, RunsInPython):
        if not hasattr(plugin, name):
            raise PluginError(f"{type(plugin).__name__} has no parameter {name!r}")
    elif isinstance(plugin, pedalboard.Convolution):
        if name != "mix":
            raise PluginError(f"Convolution has no parameter {name!r} that changes; it has: mix")
    else:
        row = built_in_of(plugin)
        for value in curve.values:
            row.create({name: value})
