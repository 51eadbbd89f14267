"""Boards as the tables of a preset file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any

from plugin_bridge.errors import PluginError
from plugin_bridge.presets.chains import PluginEntry
from plugin_bridge.presets.separating import tables_of

if TYPE_CHECKING:
    import pedalboard

    from plugin_bridge.plugins.automated import Automated
    from plugin_bridge.plugins.automation import Curve, Follower
    from plugin_bridge.plugins.rack import StemRack


def entries_of(plugins: Sequence[pedalboard.Plugin | None]) -> list[PluginEntry]:
    """The entries from which :meth:`PluginEntry.create` makes equals of ``plugins``."""
    return [entry_of(plugin) for plugin in plugins if plugin is not None]


def entry_of(plugin: pedalboard.Plugin | None) -> PluginEntry:
    """The entry of one plug-in; raises :class:`PluginError` if a preset cannot hold it."""
    import pedalboard

    from plugin_bridge.plugins import convolution
    from plugin_bridge.plugins.automated import Automated
    from plugin_bridge.plugins.board import Board
    from plugin_bridge.plugins.built_ins import built_in_of
    from plugin_bridge.plugins.hosting import HostedPlugin
    from plugin_bridge.plugins.mix import StemMix
    from plugin_bridge.plugins.processor import SeparatorPlugin
    from plugin_bridge.plugins.rack import StemRack

    if plugin is None:  # inside a Mix: the dry signal
        return PluginEntry(plugin="Chain", plugins=[])
    refuse_python(plugin, (HostedPlugin, Board, StemMix, Automated, SeparatorPlugin, StemRack))
    if isinstance(plugin, HostedPlugin):
        class_id = plugin.class_id if plugin.is_one_of_several else None
        return PluginEntry(
            external=plugin.name, class_id=class_id, parameters=plugin.values, state=plugin.state
        )
    if isinstance(plugin, Automated):
        return _automated(plugin)
    if isinstance(plugin, SeparatorPlugin):
        table, separate = tables_of(plugin.separator)
        return PluginEntry(separator=table, separate=separate)
    if isinstance(plugin, StemRack):
        table, separate = tables_of(plugin.separator)
        # Without a chain and a remix a rack is its separator.
        stems = stems_of(plugin) or ({} if plugin.remix else {name: [] for name in plugin.chains})
        return PluginEntry(separator=table, separate=separate, stems=stems, remix=plugin.remix)
    if isinstance(plugin, StemMix):
        return PluginEntry(plugin="StemMix", plugins=[entry_of(path) for path in plugin.paths])
    if isinstance(plugin, pedalboard.Mix):
        return PluginEntry(plugin="Mix", plugins=[entry_of(child) for child in plugin])
    if isinstance(plugin, pedalboard.ExternalPlugin):
        raise PluginError(
            "a preset keeps third-party plug-ins by name; put a HostedPlugin in the chain "
            f"instead of the loaded file {plugin!r}"
        )
    if isinstance(plugin, pedalboard.Chain):
        return PluginEntry(plugin="Chain", plugins=entries_of(list(plugin)))
    if type(plugin) is pedalboard.Convolution:
        return PluginEntry(plugin="Convolution", **convolution.values_of(plugin))
    row = built_in_of(plugin)
    changed: dict[str, Any] = {
        key: value for key, value in row.values(plugin).items() if value != row.defaults[key]
    }
    return PluginEntry(plugin=row.name, **changed)


def refuse_python(plugin: pedalboard.Plugin, kinds: tuple[type, ...]) -> None:
    """Raise :class:`PluginError` for Python code: what runs in Python and is none of ``kinds``."""
    from plugin_bridge.plugins.python_plugin import RunsInPython, runs_in_python

    if isinstance(plugin, RunsInPython):
        refused = plugin.is_overridden() or not isinstance(plugin, kinds)
    else:
        refused = runs_in_python(plugin)
    if refused:
        raise PluginError(
            f"a chain of a preset holds Pedalboard's and third-party plug-ins, not a {type(plugin).__name__}"
        )


def stems_of(rack: StemRack) -> dict[str, list[PluginEntry]]:
    """The chains of a rack, but for those that do nothing."""
    return {
        name: entries_of([chain] if chain.is_overridden() else list(chain))
        for name, chain in rack.chains.items()
        if len(chain) or chain.is_overridden()
    }


def _automated(plugin: Automated) -> PluginEntry:
    from plugin_bridge.plugins.automated import STEP_FRAMES

    entry = entry_of(plugin.plugin)
    values = entry.model_dump(exclude_none=True, exclude_defaults=True)
    for name in plugin.curves:  # what they are set to is the last value of the last signal
        values.pop(name, None)
        values.get("parameters", {}).pop(name, None)
    values["automate"] = {name: _table(curve) for name, curve in plugin.curves.items()}
    if plugin.step_frames != STEP_FRAMES:
        values["step_frames"] = plugin.step_frames
    return PluginEntry.model_validate(values)


def _table(curve: Curve | Follower) -> dict[str, Any]:
    """What differs from the defaults."""
    made = {}
    for field in fields(curve):
        value = getattr(curve, field.name)
        if field.default is MISSING or value != field.default:
            made[field.name] = list(value) if isinstance(value, tuple) else value
    return made
