"""Boards that mix Pedalboard's plug-ins with separators.

board = Board([
    pedalboard.HighpassFilter(30),
    StemRack(NMF(mode="drums"), chains={"kick": [pedalboard.Compressor(-20, 4)]}, remix=True),
    pedalboard.Limiter(-1),
])
out = board(audio, sample_rate)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pedalboard

from plugin_bridge.plugins import pickling
from plugin_bridge.plugins.array_contract import LayoutMemory
from plugin_bridge.plugins.containers import (
    check_members,
    inside,
    run_native,
    run_native_stems,
    say_by_stem,
)
from plugin_bridge.plugins.processor import SeparatorPlugin
from plugin_bridge.plugins.python_plugin import (
    RunsInPython,
    run_python,
    runs_in_python,
    tripwire,
)
from separators import Audio, Separator

pickling.install()

Member = pedalboard.Plugin | Separator
"""What a board takes: plug-ins, boards, and separators, which it wraps."""


class Board(RunsInPython, pedalboard.Pedalboard):
    """A :class:`pedalboard.Pedalboard` that also runs separators, racks and other boards.

    Runs of native plug-ins are executed natively, so that a board of native plug-ins gives the
    same bits as Pedalboard's own, and may stand in a native ``Mix`` or ``Chain`` too. The channel
    count may grow on the way; plug-ins behind a separator that take fewer channels, and all hosted ones, get
    one stem after the other.
    Raises RuntimeError where a Python plug-in sits in a native container, or one instance is used
    twice.
    """

    def __init__(self, plugins: Iterable[Member] | None = None) -> None:
        members = [as_plugin(plugin) for plugin in plugins or ()]
        super().__init__(members)
        self._layouts = LayoutMemory()
        self._block_frames: dict[int, int] = {}
        self._keep()

    # Pedalboard's C++ list stays the order of truth. It is read in one go, ``list(self)``, since its iterator
    # would not survive that another thread changes it. Python objects in it are only kept whole
    # while Python holds them: a change holds the new one until all present members are taken hold of.

    def append(self, plugin: Member) -> None:
        """Append ``plugin``."""
        made = self._fit(plugin)
        super().append(made)
        self._keep()

    def insert(self, index: int, plugin: Member) -> None:
        """Insert ``plugin`` before ``index``."""
        made = self._fit(plugin)
        super().insert(index, made)
        self._keep()

    def remove(self, plugin: pedalboard.Plugin) -> None:
        """Remove ``plugin``; raises ValueError if it is not here."""
        super().remove(plugin)
        self._keep()

    def __setitem__(self, index: int, plugin: Member) -> None:
        made = self._fit(plugin)
        super().__setitem__(index, made)
        self._keep()

    def __delitem__(self, index: int) -> None:
        super().__delitem__(index)
        self._keep()

    def __del__(self) -> None:
        # A native container may hold the C++ list longer than anybody this object, and would run
        # it without what the class overrides.
        if "_members" in vars(self) and self.is_overridden():
            for plugin in tripwire():
                super().append(plugin)

    def _fit(self, plugin: Member) -> pedalboard.Plugin:
        made = as_plugin(plugin)
        if any(inner is self for inner, _ in inside([made])):
            raise ValueError("a board cannot hold itself")
        return made

    def _keep(self) -> None:
        self._members = list(self)

    def run(self, audio: Audio, sample_rate: float, buffer_size: int, reset: bool) -> Audio:
        """Process ``audio`` ``(channels, frames)``, whatever its shape; arguments are checked already."""
        check_members(self)
        if not self.needs_python():
            plugins = [plugin for plugin in list(self) if plugin is not None]
            return run_native(plugins, audio, sample_rate, buffer_size, reset)
        stems = 1
        for in_python, group in groupby(self._flat(), key=runs_in_python):
            if not in_python:
                plugins = list(group)
                size = self._steady(plugins[0], min(buffer_size, audio.shape[1]), reset)
                # Separators take whole signals only, so behind them nothing is kept from call to call.
                if stems > 1:
                    audio = run_native_stems(plugins, audio, sample_rate, size, stems)
                else:
                    audio = run_native(plugins, audio, sample_rate, size, reset)
                continue
            for plugin in group:
                parts = np.split(audio, stems) if getattr(plugin, "by_stem", False) else [audio]
                most = getattr(plugin, "most_channels", None)
                if len(parts) > 1 and most is not None and most < len(audio):
                    say_by_stem(plugin, audio)
                made = [run_python(plugin, part, sample_rate, buffer_size, reset) for part in parts]
                before, audio = len(audio), np.concatenate(made)
                if getattr(plugin, "gives_stems", False) and len(audio) % before == 0:
                    stems *= len(audio) // before
                elif len(audio) != before:
                    stems = 1
        return audio

    def needs_python(self) -> bool:
        """Whether a native container would not do the same as this board."""
        return self.is_overridden() or any(
            runs_in_python(plugin) for plugin in list(self) if plugin is not None
        )

    def reset(self) -> None:
        """Reset every plug-in, and forget the array layout of earlier calls."""
        self._layouts.forget()
        self._block_frames.clear()
        for plugin in list(self):
            if plugin is not None:
                plugin.reset()

    def save(self, path: str | os.PathLike[str], title: str = "", **fields: Any) -> None:
        """Save as a preset file, which :func:`~plugin_bridge.load_preset` reads.

        ``title`` is the file's name where it is empty; ``fields`` are those of
        :func:`~plugin_bridge.save_preset`. Raises :class:`~plugin_bridge.errors.PresetError` for Python code
        in the board, and if the file cannot be written.
        """
        # By its name, as the package's front door does: presets know boards, not the other way around.
        save_preset = import_module("plugin_bridge.presets.preset").save_preset
        save_preset(self, path, title or Path(path).stem, **fields)

    def __reduce__(self) -> tuple[Any, ...]:
        kept = {key: value for key, value in vars(self).items() if key not in _OWN}
        return _board, (type(self), list(self), kept)

    def _flat(self) -> Iterator[pedalboard.Plugin]:
        """The members; instead of boards that hold Python plug-ins, and override nothing, theirs."""
        for plugin in list(self):
            if isinstance(plugin, Board) and plugin.needs_python() and not plugin.is_overridden():
                yield from plugin._flat()
            elif plugin is not None:
                yield plugin

    def _steady(self, first: pedalboard.Plugin, frames: int, reset: bool) -> int:
        """The buffer size for the run of native plug-ins that begins with ``first``.

        Pedalboard clears a plug-in that gets a longer block than ever before. What stands in front may
        hold frames back, so that blocks of one length come as blocks of changing length.
        """
        if reset or not self._block_frames.get(id(first)):
            self._block_frames[id(first)] = frames
        return min(frames, self._block_frames[id(first)]) or 1


_OWN = ("_layouts", "_block_frames", "_members")


def _board(cls: type[Board], members: list[pedalboard.Plugin], kept: dict[str, Any]) -> Board:
    """What a pickle of a board makes: the object with its attributes, without calling its constructor."""
    made = cls.__new__(cls)
    Board.__init__(made, members)
    vars(made).update(kept)
    return made


def as_board(chain: Member | Sequence[Member] | None) -> Board:
    """A chain as a board: a board itself, one plug-in, a list of them; None: an empty one."""
    if isinstance(chain, Board):
        return chain
    if isinstance(chain, pedalboard.Pedalboard) and not runs_in_python(chain):  # only a list
        return Board(list(chain))
    if isinstance(chain, pedalboard.Plugin | Separator):
        return Board([chain])
    return Board() if chain is None else Board(list(chain))


def as_plugin(member: Member) -> pedalboard.Plugin:
    """``member`` as what stands in a board's list; raises TypeError."""
    if member is None or isinstance(member, pedalboard.Plugin):  # Pedalboard skips None in a list
        return member
    if isinstance(member, Separator):
        return SeparatorPlugin(member)
    raise TypeError(f"a board takes plug-ins and separators, not {type(member).__name__}: {member!r}")
