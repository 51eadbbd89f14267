"""Boards that mix Pedalboard's plug-ins with separators, and racks with a chain per stem.

board = Board([
    pedalboard.HighpassFilter(30),
    StemRack(NMF(mode="drums"), chains={"kick": [pedalboard.Compressor(-20, 4)]}, remix=True),
    pedalboard.Limiter(-1),
])
out = board(audio, sample_rate)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, TypeGuard

import numpy as np
import pedalboard

from plugin_bridge.plugins.array_contract import ArrayLayout, check_call
from plugin_bridge.plugins.processor import (
    SeparatorPlugin,
    describe,
    possible_stems,
    refuse_streaming,
    refuse_unknown_stems,
)
from plugin_bridge.plugins.python_plugin import PythonPlugin, runs_in_python
from separators import Audio, Separator

Member = pedalboard.Plugin | Separator
"""What a board takes: plug-ins, boards, and separators, which it wraps."""


class Board(pedalboard.Pedalboard):
    """A :class:`pedalboard.Pedalboard` that also runs separators, racks and other boards.

    Runs of native plug-ins are executed natively, so that a board of native plug-ins gives the
    same bits as Pedalboard's own. The channel count may grow on the way. Raises RuntimeError where
    a Python plug-in sits in a native container, or one instance is used twice.
    """

    def __init__(self, plugins: Iterable[Member] | None = None) -> None:
        members = [_as_plugin(plugin) for plugin in plugins or ()]
        super().__init__(members)
        self._layout = ArrayLayout()
        self._keep()

    # Pedalboard's C++ list stays the order of truth. Python objects in it are only kept whole
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

    def _fit(self, plugin: Member) -> pedalboard.Plugin:
        made = _as_plugin(plugin)
        if any(inner is self for inner, _ in inside([made])):
            raise ValueError("a board cannot hold itself")
        return made

    def _keep(self) -> None:
        self._members = list(self)

    def process(
        self, input_array: Audio, sample_rate: float, buffer_size: int = 8192, reset: bool = True
    ) -> Audio:
        """Run audio through the board; arrays and errors: :mod:`plugin_bridge.plugins.array_contract`."""
        rate, size = check_call(sample_rate, buffer_size)
        audio = self._layout.to_channels_first(input_array)
        output = self.run(audio, rate, size, bool(reset))
        return self._layout.to_layout_of(input_array, output, mono_to_1d=True)

    def __call__(
        self, input_array: Audio, sample_rate: float, buffer_size: int = 8192, reset: bool = True
    ) -> Audio:
        """Alias of :meth:`process`."""
        return self.process(input_array, sample_rate, buffer_size, reset)

    def run(self, audio: Audio, sample_rate: float, buffer_size: int, reset: bool) -> Audio:
        """Process ``audio`` ``(channels, frames)``, whatever its shape; arguments are checked already."""
        check_members(self)
        members = [plugin for plugin in self if plugin is not None]
        for in_python, group in groupby(members, key=_needs_python):
            if not in_python:
                audio = run_native(list(group), audio, sample_rate, buffer_size, reset)
                continue
            for plugin in group:
                own = type(plugin).process not in (PythonPlugin.process, Board.process)
                if isinstance(plugin, PythonPlugin | Board) and not own:
                    audio = plugin.run(audio, sample_rate, buffer_size, reset)
                else:
                    audio = plugin.process(audio, sample_rate, buffer_size, reset)
        return audio

    def reset(self) -> None:
        """Reset every plug-in, and forget the array layout of earlier calls."""
        self._layout.forget()
        for plugin in self:
            if plugin is not None:
                plugin.reset()

    def save(self, path: str | os.PathLike[str], title: str, **fields: Any) -> None:
        """Write the board as a preset file that :func:`~plugin_bridge.load_preset` reads.

        ``fields``: ``description``, ``purpose``, ``output``, ... of
        :class:`~plugin_bridge.presets.preset.Preset`. Raises :class:`~plugin_bridge.errors.PresetError`
        for a board that a preset cannot hold.
        """
        from plugin_bridge.presets.preset import Preset

        Preset.from_board(self, title, **fields).save(path)


class StemRack(PythonPlugin):
    """A separator with a chain of plug-ins for each stem.

    ``chains`` maps stem names to lists of plug-ins; stems without a chain stay as they are.
    With ``remix`` the result has the input's channels: the input, in which every stem with a chain
    is replaced by what its chain makes of it. So an empty rack returns its input, bit by bit.
    Without ``remix`` all stems are passed on as ``(stems * channels, frames)``.
    """

    def __init__(
        self,
        separator: Separator | SeparatorPlugin,
        chains: Mapping[str, Sequence[Member] | pedalboard.Chain] | None = None,
        remix: bool = False,
    ) -> None:
        super().__init__()
        self.plugin = separator if isinstance(separator, SeparatorPlugin) else SeparatorPlugin(separator)
        self.chains = {name: _as_board(chain) for name, chain in (chains or {}).items()}
        self.remix = remix
        self.mono_to_1d = remix
        if self.chains:
            refuse_unknown_stems(self.separator, self.chains, possible_stems(self.separator))

    @property
    def separator(self) -> Separator:
        """The separator."""
        return self.plugin.separator

    def stem_names(self, channels: int) -> tuple[str, ...]:
        """The names of the stems for a mixture of ``channels`` channels."""
        return self.separator.stem_names(channels)

    def run(self, audio: Audio, sample_rate: float, buffer_size: int, reset: bool) -> Audio:
        """Separate and run the chains; raises ValueError as the separator does, and for wrong stem names."""
        refuse_streaming(self, reset)
        channels, frames = audio.shape
        refuse_unknown_stems(self.separator, self.chains, self.stem_names(channels))
        chains = {name: chain for name, chain in self.chains.items() if len(chain)}
        if self.remix and not chains:
            return audio.copy()
        stems = self.separator.separate(audio, sample_rate)
        made = {
            name: chain.run(stems[name], sample_rate, buffer_size, True) for name, chain in chains.items()
        }
        for name, processed in made.items():
            if processed.shape != (channels, frames):
                raise ValueError(
                    f"the chain of stem {name!r} turned {(channels, frames)} into {processed.shape}; "
                    "a stem keeps its channels and frames"
                )
        if not self.remix:
            return np.concatenate([made.get(name, stems[name]) for name in stems])
        mixed = audio.astype(np.float64)
        for name, processed in made.items():
            mixed += processed
            mixed -= stems[name]
        return mixed.astype(np.float32)

    def reset(self) -> None:
        """Reset every chain."""
        super().reset()
        for chain in self.chains.values():
            chain.reset()

    def __repr__(self) -> str:
        chains = ", ".join(f"{name}: {list(chain)}" for name, chain in self.chains.items())
        return (
            f"<plugin_bridge.StemRack {describe(self.separator)} remix={self.remix} "
            f"chains={{{chains}}} at {id(self):#x}>"
        )


def run_native(
    plugins: Sequence[pedalboard.Plugin], audio: Audio, sample_rate: float, buffer_size: int, reset: bool
) -> Audio:
    """Run ``audio`` ``(channels, frames)`` through native ``plugins``, whatever its shape.

    Raises ValueError, naming the plug-in, where one cannot take that many channels.
    """
    channels, frames = audio.shape
    if frames == 0:
        return audio.copy()
    for plugin, _ in inside(plugins):
        if isinstance(plugin, pedalboard.MP3Compressor) and channels > 2:
            raise ValueError(
                f"MP3Compressor takes 1 or 2 channels, not {channels}; "
                "behind a separator, put it into the chain of a stem"
            )
    native = pedalboard.Pedalboard([])
    if frames <= channels:
        # A new container takes the smaller dimension for channels, but remembers the last call.
        native.process(np.zeros((channels, channels + 1), np.float32), sample_rate)
    for plugin in plugins:
        native.append(plugin)
    try:
        return native.process(audio, sample_rate, buffer_size, reset)
    except ValueError as error:
        if "channel" not in str(error):
            raise
        raise ValueError(
            f"{error} The chain carries {channels} channels here; wrap the plug-in in a HostedPlugin, "
            "which adapts mono and stereo, or put it into the chain of a stem"
        ) from None


def check_members(plugins: Iterable[pedalboard.Plugin | None]) -> None:
    """Raise RuntimeError where a plug-in is used twice, or a Python one sits in a native container."""
    seen: set[int] = set()
    kept = []  # while a member is held, its id is its own
    for plugin, container in inside(plugins):
        kept.append(plugin)
        if id(plugin) in seen:
            raise RuntimeError(
                f"the same plugin instance is used twice in one board: {plugin!r}; make one for each place"
            )
        seen.add(id(plugin))
        if container is not None and not runs_in_python(container) and runs_in_python(plugin):
            raise RuntimeError(
                f"{type(plugin).__name__} cannot run inside a native {type(container).__name__}, "
                "which would skip it; put it into a Board"
            )


def inside(
    plugins: Iterable[pedalboard.Plugin | None], container: pedalboard.Plugin | None = None
) -> Iterator[tuple[pedalboard.Plugin, pedalboard.Plugin | None]]:
    """Every plug-in and the container that holds it, depth first."""
    pending = [(plugin, container) for plugin in reversed(list(plugins)) if plugin is not None]
    entered = {}  # holds what it has entered, so that ids stay theirs and loops end
    while pending:
        plugin, holder = pending.pop()
        yield plugin, holder
        if is_container(plugin) and id(plugin) not in entered:
            entered[id(plugin)] = plugin
            pending += [(child, plugin) for child in reversed(list(plugin)) if child is not None]


def is_container(plugin: pedalboard.Plugin) -> TypeGuard[pedalboard.Chain]:
    """Whether ``plugin`` is a list of plug-ins: a Chain, Pedalboard, Board or Mix."""
    return isinstance(plugin, pedalboard.PluginContainer) and not isinstance(plugin, PythonPlugin)


def _needs_python(plugin: pedalboard.Plugin) -> bool:
    """Whether the native engine cannot run ``plugin``: a Board of native plug-ins only it can."""
    if isinstance(plugin, Board) and type(plugin).process is Board.process:
        return any(_needs_python(child) for child in plugin if child is not None)
    return runs_in_python(plugin)


def _as_plugin(member: Member) -> pedalboard.Plugin:
    if member is None or isinstance(member, pedalboard.Plugin):  # Pedalboard skips None in a list
        return member
    if isinstance(member, Separator):
        return SeparatorPlugin(member)
    raise TypeError(f"a board takes plug-ins and separators, not {type(member).__name__}: {member!r}")


def _as_board(chain: Sequence[Member] | pedalboard.Chain) -> Board:
    if isinstance(chain, Board):
        return chain
    if isinstance(chain, pedalboard.Plugin | Separator) and not isinstance(chain, pedalboard.Pedalboard):
        return Board([chain])
    return Board(list(chain))
