"""Lists of plug-ins: walking through them, what must not stand in them, and running native ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TypeGuard

import numpy as np
import pedalboard

from plugin_bridge.plugins.python_plugin import PythonPlugin, RunsInPython, is_tripwire, runs_in_python
from separators import Audio
from separators.remarks import remark


def inside(
    plugins: Iterable[pedalboard.Plugin | None], container: pedalboard.Plugin | None = None
) -> Iterator[tuple[pedalboard.Plugin, pedalboard.Plugin | None]]:
    """Every plug-in and the container that holds it, depth first."""
    pending = [(plugin, container) for plugin in reversed(list(plugins)) if plugin is not None]
    entered = {}  # holds what it has entered, so that ids stay theirs and loops end
    while pending:
        plugin, holder = pending.pop()
        yield plugin, holder
        held = list(plugin) if is_container(plugin) else []
        if isinstance(plugin, PythonPlugin):
            held = list(plugin.held_plugins)
        if held and id(plugin) not in entered:
            entered[id(plugin)] = plugin
            pending += [(child, plugin) for child in reversed(held) if child is not None]


def is_container(plugin: pedalboard.Plugin) -> TypeGuard[pedalboard.Chain]:
    """Whether ``plugin`` is a list of plug-ins: a Chain, Pedalboard, Board or Mix."""
    return isinstance(plugin, pedalboard.PluginContainer) and not isinstance(plugin, PythonPlugin)


def check_members(plugins: Iterable[pedalboard.Plugin | None]) -> None:
    """Raise RuntimeError where a plug-in is used twice, or a Python one sits in a native container."""
    seen: set[int] = set()
    kept = []  # while a member is held, its id is its own
    for plugin, container in inside(plugins):
        kept.append(plugin)
        if reason := python_in_native(plugin, container):
            raise RuntimeError(reason)
        if id(plugin) in seen:
            which = type(plugin).__name__ if is_container(plugin) else repr(plugin)  # it may hold itself
            raise RuntimeError(
                f"the same plugin instance is used twice in one board: {which}; make one for each place"
            )
        seen.add(id(plugin))


def python_in_native(plugin: pedalboard.Plugin, container: pedalboard.Plugin | None) -> str | None:
    """The error message if ``plugin`` runs in Python and ``container``, which holds it, does not."""
    if is_tripwire(plugin):  # all that is left of a Python plug-in that nobody held
        who, where = "a separator or another plug-in in Python", "Pedalboard, Chain or Mix"
    elif container is None or isinstance(container, RunsInPython) or runs_in_python(container):
        return None
    elif runs_in_python(plugin):
        who, where = type(plugin).__name__, type(container).__name__
    else:
        return None
    return f"{who} cannot run inside a native {where}, which would skip it; put it into a Board"


class ChannelsError(ValueError):
    """A native plug-in does not take so many channels."""


def run_native_stems(
    plugins: Sequence[pedalboard.Plugin], audio: Audio, sample_rate: float, buffer_size: int, stems: int
) -> Audio:
    """:func:`run_native` on ``stems`` stems, one behind the other, of a whole signal.

    A plug-in that takes fewer channels than all of them have gets stem by stem, and that is said.
    """
    with suppress(ChannelsError):
        return run_native(plugins, audio, sample_rate, buffer_size, True)
    for plugin in plugins:
        try:
            audio = run_native([plugin], audio, sample_rate, buffer_size, True)
        except ChannelsError:
            parts = np.split(audio, stems)
            made = [run_native([plugin], part, sample_rate, buffer_size, True) for part in parts]
            say_by_stem(plugin, audio)
            audio = np.concatenate(made)
    return audio


def say_by_stem(plugin: pedalboard.Plugin, audio: Audio) -> None:
    """Say that ``plugin`` takes fewer channels than ``audio`` has."""
    name = getattr(plugin, "name", "") or type(plugin).__name__
    remark(f"{name} takes fewer channels than the {len(audio)} of all stems, and gets stem by stem")


def run_native(
    plugins: Sequence[pedalboard.Plugin], audio: Audio, sample_rate: float, buffer_size: int, reset: bool
) -> Audio:
    """Run ``audio`` ``(channels, frames)`` through native ``plugins``, whatever its shape.

    Raises :class:`ChannelsError`, naming the plug-in, where one cannot take that many channels.
    """
    channels, frames = audio.shape
    if frames == 0:
        return audio.copy()
    for plugin, _ in inside(plugins):
        if isinstance(plugin, pedalboard.MP3Compressor) and channels > 2:
            raise ChannelsError(
                f"MP3Compressor takes 1 or 2 channels, not {channels}; "
                "stems behind a separator go through it one by one if both stand in one Board"
            )
    native = pedalboard.Chain([])
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
        raise ChannelsError(
            f"{error} The chain carries {channels} channels here; wrap the plug-in in a HostedPlugin, "
            "which adapts mono and stereo, or put it into the chain of a stem"
        ) from None
