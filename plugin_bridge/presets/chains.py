"""The chains of a preset file: tables of plug-ins, and plug-ins made from them and back.

[[before]]
plugin = "Compressor"            # one of Pedalboard's built-ins, its parameters beside it
threshold_db = -20

[[before]]
plugin = "Mix"                   # or "Chain": plug-ins side by side, or one after the other
plugins = [{plugin = "Gain", gain_db = -6}, {plugin = "Reverb"}]

[[before]]
external = "ZamCompX2"           # a third-party plug-in by its name, never by a path
parameters = {threshold = -20}
state = "VlNU..."                # its own state, base64
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, model_validator

from plugin_bridge.errors import PluginError

if TYPE_CHECKING:
    import pedalboard

CONTAINERS = ("Chain", "Mix")


class PluginEntry(BaseModel):
    """One plug-in of a chain; a built-in's parameters are further keys."""

    model_config = ConfigDict(extra="allow", strict=True)

    plugin: str | None = None
    external: str | None = None
    plugins: list[PluginEntry] | None = None
    parameters: dict[str, bool | int | float | str] | None = None
    state: str | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> PluginEntry:
        extra = ", ".join(self.model_extra or {})
        if (self.plugin is None) == (self.external is None):
            raise ValueError(
                'must hold either plugin = "NAME" (one of Pedalboard\'s) or external = "NAME" (third-party)'
            )
        if self.external is not None and (self.plugins is not None or extra):
            raise ValueError(
                "a third-party plug-in's own parameters stand under parameters = {...}, "
                f"not beside its name: {extra or 'plugins'}"
            )
        if self.plugin is not None and (self.parameters is not None or self.state is not None):
            raise ValueError("a built-in's parameters stand beside its name, not under parameters or state")
        if (self.plugin in CONTAINERS) != (self.plugins is not None):
            raise ValueError("plugins = [...] belongs to Mix and Chain, and to them only")
        if self.plugins is not None and extra:
            raise ValueError(f"{self.plugin} has no parameter {extra}")
        return self

    @property
    def holds_external(self) -> bool:
        """Whether this is or holds a third-party plug-in."""
        return self.external is not None or any(entry.holds_external for entry in self.plugins or ())

    def check(self) -> None:
        """Check names and ranges of built-ins by making them; raises :class:`PluginError`."""
        if self.plugins is not None:
            for entry in self.plugins:
                if self.plugin == "Mix" and entry.holds_external:
                    raise PluginError(
                        "a third-party plug-in cannot stand inside a Mix, which is run natively"
                    )
                entry.check()
        elif self.plugin is not None:
            from plugin_bridge.plugins import built_ins as table

            table.get(self.plugin).create(self.model_extra or {})

    def create(self, plugin_paths: Sequence[Path] = ()) -> pedalboard.Plugin:
        """A new plug-in; raises :class:`PluginError`.

        Third-party plug-ins are looked for in the system's folders and in ``plugin_paths``.
        """
        import pedalboard

        from plugin_bridge.plugins import built_ins as table
        from plugin_bridge.plugins.board import Board

        if self.plugins is not None:
            made = [entry.create(plugin_paths) for entry in self.plugins]
            if self.plugin == "Mix":
                return pedalboard.Mix(made)
            return Board(made) if self.holds_external else pedalboard.Chain(made)
        if self.plugin is not None:
            return table.get(self.plugin).create(self.model_extra or {})
        from plugin_bridge.plugins.hosting import HostedPlugin

        assert self.external is not None
        return HostedPlugin(
            self.external, parameters=self.parameters or {}, state=self.state, plugin_paths=plugin_paths
        )


def entries_of(plugins: Sequence[pedalboard.Plugin | None]) -> list[PluginEntry]:
    """The entries from which :meth:`PluginEntry.create` makes equals of ``plugins``."""
    return [entry_of(plugin) for plugin in plugins if plugin is not None]


def entry_of(plugin: pedalboard.Plugin | None) -> PluginEntry:
    """The entry of one plug-in; raises :class:`PluginError` if a preset cannot hold it."""
    import pedalboard

    from plugin_bridge.plugins import built_ins as table
    from plugin_bridge.plugins.board import Board
    from plugin_bridge.plugins.hosting import HostedPlugin
    from plugin_bridge.plugins.python_plugin import RunsInPython, runs_in_python

    if isinstance(plugin, RunsInPython):
        python_code = plugin.is_overridden() or not isinstance(plugin, HostedPlugin | Board)
    else:
        python_code = plugin is not None and runs_in_python(plugin)
    if python_code:
        raise PluginError(
            f"a chain of a preset holds Pedalboard's and third-party plug-ins, not a {type(plugin).__name__}"
        )
    if isinstance(plugin, HostedPlugin):
        return PluginEntry(external=plugin.name, parameters=plugin.values, state=plugin.state)
    if plugin is None:  # inside a Mix: the dry signal
        return PluginEntry(plugin="Chain", plugins=[])
    if isinstance(plugin, pedalboard.Mix):
        return PluginEntry(plugin="Mix", plugins=[entry_of(child) for child in plugin])
    if isinstance(plugin, pedalboard.ExternalPlugin):
        raise PluginError(
            "a preset keeps third-party plug-ins by name; put a HostedPlugin in the chain "
            f"instead of the loaded file {plugin!r}"
        )
    if isinstance(plugin, pedalboard.Chain):
        return PluginEntry(plugin="Chain", plugins=entries_of(list(plugin)))
    row = table.built_in_of(plugin)
    changed: dict[str, Any] = {
        key: value for key, value in row.values(plugin).items() if value != row.defaults[key]
    }
    return PluginEntry(plugin=row.name, **changed)
