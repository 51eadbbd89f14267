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
- ``Mix``, and :class:`~plugin_bridge.plugins.mix.StemMix` as well, is run branch by branch. Only a
  ``MP3Compressor`` that stands behind another plug-in with latency inside the same branch may then
  differ from the one call, by what it loses anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, takewhile
from typing import Any, Literal, Protocol, cast

import numpy as np
import pedalboard

from plugin_bridge.plugins.array_contract import check_call
from plugin_bridge.plugins.block_stages import (
    BLOCK_FRAMES,
    BlockStage,
    FrameQueue,
    SegmentStage,
    WholeStage,
    joined,
)
from plugin_bridge.plugins.board import Board, Member, as_plugin
from plugin_bridge.plugins.containers import check_members, inside, is_container, run_native
from plugin_bridge.plugins.mix import StemMix
from plugin_bridge.plugins.python_plugin import PythonPlugin, run_python, runs_in_python
from plugin_bridge.plugins.sidechains import Sidechain, sidechains
from separators import Audio, AudioError

PATIENCE_SECONDS = 60
"""A plug-in that gives nothing back for so much audio never will."""
WHOLE_SIGNAL = (pedalboard.PitchShift, pedalboard.GSMFullRateCompressor)
"""Plug-ins that lose what they hold between two calls."""
SEGMENT_SECONDS = 300
LEAD_SECONDS = 10
FADE_SECONDS = 0.05

Tail = float | Literal["auto"]
TAIL_DB = -60.0
QUIET_SECONDS = 3.0
"""Echoes further apart than this need a tail in seconds."""
LONGEST_TAIL_SECONDS = 60
TAIL_BLOCK = BLOCK_FRAMES


class StreamedChain:
    """Runs ``plugins`` over the consecutive blocks of one signal; see the module's text.

    The chain may hold native plug-ins, containers of them, and all plug-ins in Python that continue
    a signal. Separators and racks work on whole signals: with ``whole_signals`` they and all that stands
    behind them run at the end, on what waited in memory, and may change the channels; else they raise
    TypeError. ``offered`` holds the signals for followers, as ``stems`` and ``tracks`` of
    :func:`~plugin_bridge.plugins.sidechains.sidechains`. Raises whatever the plug-ins raise.
    """

    def __init__(
        self,
        plugins: Iterable[Member | None],
        sample_rate: float,
        channels: int,
        *,
        whole_signals: bool = False,
        offered: Mapping[str, Mapping[str, Sidechain]] | None = None,
    ) -> None:
        rate, _ = check_call(sample_rate, BLOCK_FRAMES)
        members = [as_plugin(plugin) for plugin in plugins if plugin is not None]
        check_members(members)
        for plugin in members:
            plugin.reset()
        self._stages = _stages(members, rate, channels, whole_signals)
        self._channels = channels
        self._rate = rate
        self._offered = dict(offered or {})
        self._flushed = False
        self._taken = self._given = 0
        self._peak = 0.0

    def process(self, block: Audio) -> Audio:
        """Take the next ``(channels, frames)`` float32 block; returns what is ready, perhaps no frames."""
        if self._flushed:
            raise RuntimeError("this chain has been flushed; make a new StreamedChain for another signal")
        if block.ndim != 2 or len(block) != self._channels or block.dtype != np.float32:
            raise AudioError(
                f"a block must be float32 of shape ({self._channels}, frames), "
                f"not {block.dtype} of shape {block.shape}"
            )
        self._taken += block.shape[1]
        with sidechains(**self._offered):
            return self._give(_process(self._stages, block) if self._stages else block.copy())

    def flush(self, tail: Tail = 0) -> Audio:
        """End the signal; returns the frames that are still missing, and its tail.

        ``tail`` is how many seconds longer than what came in the whole becomes, or ``"auto"``: until
        it stays more than :data:`TAIL_DB` below the chain's loudest sample for
        :data:`QUIET_SECONDS`, at most :data:`LONGEST_TAIL_SECONDS`.
        """
        check_tail(tail)
        total = self._taken
        if not self._stages or not total:
            tail = 0
        rest = [np.zeros((self._channels, 0), np.float32)]
        if tail == "auto":
            rest += self._ring_out(total)
        else:
            frames = round(float(tail) * self._rate)
            for start in range(0, frames, TAIL_BLOCK):
                rest.append(
                    self.process(np.zeros((self._channels, min(TAIL_BLOCK, frames - start)), np.float32))
                )
            with sidechains(**self._offered):
                rest.append(self._give(_flush(self._stages, self._channels)))
        self._flushed = True
        return joined(rest)

    def _ring_out(self, total: int) -> list[Audio]:
        """What comes for silence behind ``total`` frames, up to where it is quiet."""
        given, quiet, longest = (
            self._given,
            round(QUIET_SECONDS * self._rate),
            round(LONGEST_TAIL_SECONDS * self._rate),
        )
        made = [np.zeros((self._channels, 0), np.float32)]
        loud = total  # behind the last frame that is not quiet
        position = given

        def take(block: Audio) -> None:
            nonlocal loud, position
            made.append(block)
            over = np.flatnonzero(np.abs(block).max(axis=0) > self._peak * 10 ** (TAIL_DB / 20))
            loud = max(loud, position + int(over[-1]) + 1) if over.size else loud
            position += block.shape[1]

        while position - loud < quiet and self._taken < total + longest:
            take(self.process(np.zeros((self._channels, TAIL_BLOCK), np.float32)))
        if position < loud + quiet:
            with sidechains(**self._offered):
                take(self._give(_flush(self._stages, self._channels)))
        end = min(loud, total + longest)
        return [joined(made)[:, : end - given]]

    def _give(self, audio: Audio) -> Audio:
        self._given += audio.shape[1]
        self._peak = max(self._peak, float(np.abs(audio).max(initial=0)))
        return audio


def check_tail(tail: Any) -> None:
    """Raise ValueError for what is no tail."""
    if tail == "auto" or (
        isinstance(tail, int | float) and not isinstance(tail, bool) and 0 <= tail <= LONGEST_TAIL_SECONDS
    ):
        return
    raise ValueError(f'a tail is "auto" or from 0 to {LONGEST_TAIL_SECONDS} seconds, not {tail!r}')


class _Streamed(Protocol):
    def process(self, block: Audio) -> Audio: ...
    def flush(self) -> Audio: ...


class _MixStage:
    """A ``Mix`` or ``StemMix``: each branch is a chain of its own; their frames are summed as they come."""

    def __init__(self, branches: Sequence[pedalboard.Plugin | None], rate: float, channels: int) -> None:
        self._branches = [_stages([branch], rate, channels, whole_signals=False) for branch in branches]
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
        rest = joined([stage.process(rest), stage.flush()])
    return rest


def _stages(
    plugins: Sequence[pedalboard.Plugin | None], rate: float, channels: int, whole_signals: bool
) -> list[_Streamed]:
    """One stage for each run of native plug-ins, one for each in Python, one for all behind a separator.

    Raises TypeError for a separator without ``whole_signals``.
    """
    stages: list[_Streamed] = []
    flat = list(_flat(plugins, lambda plugin: any(runs_in_python(inner) for inner, _ in inside([plugin]))))
    streaming = list(takewhile(_streams, flat))
    whole = flat[len(streaming) :]
    if whole and not whole_signals:
        raise TypeError(f"{type(whole[0]).__name__} works on whole signals and cannot be streamed")
    for in_python, group in groupby(streaming, lambda plugin: isinstance(plugin, PythonPlugin)):
        if in_python:
            for plugin in group:
                stages.append(
                    _MixStage(plugin.paths, rate, channels)
                    if isinstance(plugin, StemMix)
                    else _block_stage([plugin], rate, channels)
                )
        else:
            stages += _native_stages(list(group), rate, channels)
    if whole:
        board = Board(whole)
        stages.append(WholeStage(lambda audio: board.run(audio, rate, BLOCK_FRAMES, True), channels))
    return stages


def _streams(plugin: pedalboard.Plugin) -> bool:
    """Whether a plug-in can continue a signal from block to block."""
    return not runs_in_python(plugin) or bool(getattr(plugin, "streams", False))


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
        overridden = runs_in_python(plugin) and not is_list
        if (
            is_container(plugin)
            and not isinstance(plugin, pedalboard.Mix)
            and not overridden
            and holds(plugin)
        ):
            yield from _flat(plugin, holds)
        else:
            yield plugin
