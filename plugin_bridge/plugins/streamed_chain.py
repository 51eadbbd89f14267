"""A chain of plug-ins over consecutive blocks: flat memory, exact length, latency compensated.

    chain = StreamedChain([pedalboard.PitchShift(2), pedalboard.Limiter(-1)], sample_rate, channels=2)
    for block in blocks:
        write(chain.process(block))      # as many frames as are ready, perhaps none
    write(chain.flush())                 # the rest: in all as many frames as came in

Pedalboard compensates latency only within one call; across calls with ``reset=False`` plug-ins
return fewer frames than they got. Here each stage gets the blocks that it would get inside one
call over the whole signal, and at the end as many zeros as frames are missing, so that the result
is the same as that call's, bit by bit. Pedalboard loses frames between calls in two places, which
are run in another way:

- ``PitchShift`` and ``GSMFullRateCompressor`` (spotify/pedalboard#415): native plug-ins around them
  get the whole signal in one call at the end, up to five minutes; longer signals are cut there,
  with ten seconds of context, and cross-faded.
- ``Mix`` is run branch by branch. Only a ``MP3Compressor`` that stands behind another plug-in with
  latency inside the same branch may then differ from the one call, by what it loses anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Protocol, cast

import numpy as np
import pedalboard

from plugin_bridge.plugins.array_contract import check_call
from plugin_bridge.plugins.block_stages import BLOCK_FRAMES, BlockStage, FrameQueue, SegmentStage
from plugin_bridge.plugins.board import Board
from plugin_bridge.plugins.containers import check_members, inside, is_container, run_native
from plugin_bridge.plugins.python_plugin import PythonPlugin, run_python, runs_in_python
from separators import Audio, AudioError

PATIENCE_SECONDS = 60
"""A plug-in that gives nothing back for so much audio never will."""
WHOLE_SIGNAL = (pedalboard.PitchShift, pedalboard.GSMFullRateCompressor)
"""Plug-ins that lose what they hold between two calls."""
SEGMENT_SECONDS = 300
LEAD_SECONDS = 10
FADE_SECONDS = 0.05


class StreamedChain:
    """Runs ``plugins`` over the consecutive blocks of one signal; see the module's text.

    The chain may hold native plug-ins, containers of them, and
    :class:`~plugin_bridge.plugins.hosting.HostedPlugin`. Raises TypeError for separators and racks,
    which work on whole signals, and whatever the plug-ins raise.
    """

    def __init__(self, plugins: Iterable[pedalboard.Plugin], sample_rate: float, channels: int) -> None:
        rate, _ = check_call(sample_rate, BLOCK_FRAMES)
        members = [plugin for plugin in plugins if plugin is not None]
        check_members(members)
        for plugin in members:
            plugin.reset()
        self._stages = _stages(members, rate, channels)
        self._channels = channels
        self._flushed = False

    def process(self, block: Audio) -> Audio:
        """Take the next ``(channels, frames)`` float32 block; returns what is ready, perhaps no frames."""
        if self._flushed:
            raise RuntimeError("this chain has been flushed; make a new StreamedChain for another signal")
        if block.ndim != 2 or len(block) != self._channels or block.dtype != np.float32:
            raise AudioError(
                f"a block must be float32 of shape ({self._channels}, frames), "
                f"not {block.dtype} of shape {block.shape}"
            )
        return _process(self._stages, block) if self._stages else block.copy()

    def flush(self) -> Audio:
        """End the signal; returns the frames that are still missing."""
        self._flushed = True
        return _flush(self._stages, self._channels)


class _Streamed(Protocol):
    def process(self, block: Audio) -> Audio: ...
    def flush(self) -> Audio: ...


class _MixStage:
    """A ``Mix``: each branch is a chain of its own; their frames are summed as they come."""

    def __init__(self, branches: Sequence[pedalboard.Plugin | None], rate: float, channels: int) -> None:
        self._branches = [_stages([branch], rate, channels) for branch in branches]
        self._ready = [FrameQueue(channels) for _ in branches]
        self._channels = channels

    def process(self, block: Audio) -> Audio:
        if not self._branches:
            return np.zeros_like(block)
        for stages, queue in zip(self._branches, self._ready, strict=True):
            queue.put(_process(stages, block))
        return self._sum()

    def flush(self) -> Audio:
        for stages, queue in zip(self._branches, self._ready, strict=True):
            queue.put(_flush(stages, self._channels))
        return self._sum()

    def _sum(self) -> Audio:
        frames = min((queue.frames for queue in self._ready), default=0)
        total = np.zeros((self._channels, frames), np.float32)
        for queue in self._ready:
            total += queue.take(frames)
        return total


def _process(stages: Sequence[_Streamed], block: Audio) -> Audio:
    for stage in stages:
        block = stage.process(block)
    return block


def _flush(stages: Sequence[_Streamed], channels: int) -> Audio:
    rest = np.zeros((channels, 0), np.float32)
    for stage in stages:
        rest = np.concatenate([stage.process(rest), stage.flush()], axis=1)
    return rest


def _stages(plugins: Sequence[pedalboard.Plugin | None], rate: float, channels: int) -> list[_Streamed]:
    """One stage for each run of native plug-ins, one for each in Python; raises TypeError."""
    stages: list[_Streamed] = []
    flat = _flat(plugins, lambda plugin: any(runs_in_python(inner) for inner, _ in inside([plugin])))
    for in_python, group in groupby(flat, lambda plugin: isinstance(plugin, PythonPlugin)):
        if in_python:
            stages += [_block_stage([plugin], rate, channels) for plugin in group]
        else:
            stages += _native_stages(list(group), rate, channels)
    return stages


def _native_stages(plugins: list[pedalboard.Plugin], rate: float, channels: int) -> list[_Streamed]:
    if any(map(_holds(WHOLE_SIGNAL), plugins)):
        frames = [round(seconds * rate) for seconds in (SEGMENT_SECONDS, LEAD_SECONDS, FADE_SECONDS)]
        return [SegmentStage(lambda x: run_native(plugins, x, rate, BLOCK_FRAMES, True), channels, *frames)]
    stages: list[_Streamed] = []
    is_mix = _holds(pedalboard.Mix)
    for mixes, group in groupby(_flat(plugins, is_mix), is_mix):
        if mixes:
            stages += [_MixStage(list(cast(pedalboard.Mix, mix)), rate, channels) for mix in group]
        else:
            stages.append(_block_stage(list(group), rate, channels))
    return stages


def _block_stage(plugins: list[pedalboard.Plugin], rate: float, channels: int) -> BlockStage:
    def run(block: Audio) -> Audio:
        if isinstance(plugins[0], PythonPlugin):
            return run_python(plugins[0], block, rate, BLOCK_FRAMES, False)
        return run_native(plugins, block, rate, BLOCK_FRAMES, False)

    return BlockStage(run, channels, round(PATIENCE_SECONDS * rate))


def _holds(
    kinds: type[pedalboard.Plugin] | tuple[type[pedalboard.Plugin], ...],
) -> Callable[[pedalboard.Plugin], bool]:
    """A test whether a plug-in is of one of ``kinds`` or has one inside."""
    return lambda plugin: any(isinstance(inner, kinds) for inner, _ in inside([plugin]))


def _flat(
    plugins: Iterable[pedalboard.Plugin | None], holds: Callable[[pedalboard.Plugin], bool]
) -> Iterator[pedalboard.Plugin]:
    """``plugins``, where chains of which ``holds`` is true are replaced by their members."""
    for plugin in plugins:
        if plugin is None:
            continue
        is_list = isinstance(plugin, Board) and not plugin.is_overridden()
        if runs_in_python(plugin) and not (is_list or getattr(plugin, "streams", False)):
            raise TypeError(f"{type(plugin).__name__} works on whole signals and cannot be streamed")
        if is_container(plugin) and not isinstance(plugin, pedalboard.Mix) and holds(plugin):
            yield from _flat(plugin, holds)
        else:
            yield plugin
