"""The chains of a preset file: tables of plug-ins, and plug-ins made from them.

[[before]]
plugin = "Compressor"            # one of Pedalboard's built-ins, its parameters beside it
threshold_db = -20

[[before]]
plugin = "Mix"                   # or "Chain": anything side by side, or one after the other
plugins = [{plugin = "Gain", gain_db = -6}, {external = "ZamCompX2"}]

[[before]]
plugin = "Convolution"           # its file is looked for beside the preset first
impulse_response_filename = "hall.wav"

[[before]]
external = "ZamCompX2"           # a third-party plug-in by its name, never by a path
parameters = {threshold = -20}
state = "VlNU..."                # its own state, base64; or a file beside the preset:
                                 # state_file = "warm.vstpreset" (or .fxp)
class_id = "5653..."             # which one it is, where a file holds several

[[before]]
plugin = "Gain"                  # a parameter over time, or by the level of a signal
automate.gain_db = {times_seconds = [0, 10], values = [0, -12]}

[[before]]                       # a separator or rack inside a chain, with the tables of a preset
separator = {name = "nmf", mode = "drums"}
stems.kick = [{plugin = "Reverb"}]
remix = true
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from plugin_bridge.errors import PluginError
from plugin_bridge.presets.separating import SeparatorTable, check_parents, make_separator, own_file
from separators.near import did_you_mean

if TYPE_CHECKING:
    import pedalboard

    from plugin_bridge.plugins.automation import Curve, Follower
    from plugin_bridge.plugins.hosting import HostedPlugin
    from separators import Separator

    Hosted = Callable[["PluginEntry"], HostedPlugin]

CONTAINERS = ("Chain", "Mix", "StemMix")
"""A Mix of native plug-ins only is Pedalboard's own, run together with its native neighbours."""
CLASS_ID = "^[0-9A-Fa-f]{32}$"
CONVOLUTION = "Convolution"


class PluginEntry(BaseModel):
    """One plug-in of a chain; a built-in's parameters are further keys."""

    model_config = ConfigDict(extra="allow", strict=True)

    plugin: str | None = None
    external: str | None = None
    class_id: str | None = Field(default=None, pattern=CLASS_ID)
    plugins: list[PluginEntry] | None = None
    parameters: dict[str, bool | int | float | str] | None = None
    state: str | None = None
    state_file: str | None = None
    automate: dict[str, dict[str, Any]] = Field(default_factory=dict)
    step_frames: int | None = None
    separator: SeparatorTable | None = None
    separate: dict[str, SeparatorTable] = Field(default_factory=dict)
    stems: dict[str, list[PluginEntry]] = Field(default_factory=dict)
    remix: bool = False

    @model_validator(mode="after")
    def _one_kind(self) -> PluginEntry:
        extra = ", ".join(self.model_extra or {})
        kinds = [kind for kind in (self.plugin, self.external, self.separator) if kind is not None]
        if len(kinds) != 1:
            raise ValueError(
                'must hold either plugin = "NAME" (one of Pedalboard\'s) or external = "NAME" (third-party) '
                "or separator = {...}"
            )
        if self.external is not None and (self.plugins is not None or extra):
            raise ValueError(
                "a third-party plug-in's own parameters stand under parameters = {...}, "
                f"not beside its name: {extra or 'plugins'}"
            )
        if self.state_file is not None and (self.external is None or self.state is not None):
            raise ValueError('state_file belongs to external = "NAME", in place of state')
        if self.class_id is not None and self.external is None:
            raise ValueError('class_id belongs to external = "NAME"')
        if self.plugin is not None and (self.parameters is not None or self.state is not None):
            raise ValueError("a built-in's parameters stand beside its name, not under parameters or state")
        if (self.plugin in CONTAINERS) != (self.plugins is not None):
            raise ValueError("plugins = [...] belongs to Mix and Chain (and StemMix), and to them only")
        if self.plugins is not None and extra:
            raise ValueError(f"{self.plugin} has no parameter {extra}")
        if self.separator is None and (self.separate or self.stems or self.remix):
            raise ValueError("separate, stems and remix belong beside separator = {...}")
        if self.separator is not None:
            check_parents(self.separate)
            if extra or self.parameters is not None or self.state is not None:
                raise ValueError(f"a separator's parameters stand inside separator = {{...}}: {extra}")
        if self.automate and (self.plugins is not None or self.separator is not None):
            raise ValueError("automate belongs to one plug-in, not to a Mix, Chain or separator")
        if self.step_frames is not None and not self.automate:
            raise ValueError("step_frames belongs to automate = {...}")
        return self

    def inside(self) -> Iterator[PluginEntry]:
        """Itself and all that it holds."""
        yield self
        for entries in (self.plugins or (), *self.stems.values()):
            for entry in entries:
                yield from entry.inside()

    @property
    def runs_in_python(self) -> bool:
        """Whether this is or holds what Pedalboard itself cannot run."""
        return any(
            entry.external is not None
            or entry.separator is not None
            or entry.automate
            or entry.plugin == "StemMix"
            for entry in self.inside()
        )

    def followers(self) -> Iterator[tuple[str, str]]:
        """The kind and name of each signal that it listens to, but for a rack's own stems inside."""
        for curve in self._curves().values():
            key = getattr(curve, "listens_to", None)
            if key is not None:
                yield key
        for entry in self.plugins or ():
            yield from entry.followers()
        for entries in self.stems.values():
            for entry in entries:
                yield from (key for key in entry.followers() if key[0] == "track")

    def files(self, folder: Path) -> Iterator[Path]:
        """The files that decide how this one sounds, and that no separator names."""
        for entry in self.inside():
            name = (entry.model_extra or {}).get("impulse_response_filename")
            if entry.plugin == CONVOLUTION and isinstance(name, str):
                yield Path(own_file(folder, name))
            if entry.state_file is not None:
                yield Path(own_file(folder, entry.state_file))

    def separators(self, folder: Path) -> Iterator[Separator]:
        """The separators in this; raises :class:`PresetError`."""
        for entry in self.inside():
            if entry.separator is not None:
                yield make_separator(entry.separator, entry.separate, folder)

    def check(self, folder: Path, stems: Sequence[str] = ()) -> None:
        """Check names and ranges of built-ins and separators by making them; raises :class:`PluginError`.

        ``stems`` are those that a follower may listen to here.
        """
        for kind, name in self.followers():
            if kind == "stem" and name not in stems:
                known = ", ".join(stems) or "none: only the chain of a stem hears the others"
                raise PluginError(
                    f"there is no stem {name!r} to listen to{did_you_mean(name, stems)}: {known}"
                )
        for entry in self.plugins or ():
            entry.check(folder, stems)
        if self.separator is not None:
            from plugin_bridge.plugins.processor import possible_stems, refuse_unknown_stems

            separator = make_separator(self.separator, self.separate, folder)
            known_stems = possible_stems(separator)
            try:
                refuse_unknown_stems(separator, self.stems, known_stems)
            except ValueError as error:
                raise PluginError(f"stems: {error}") from None
            for entries in self.stems.values():
                for entry in entries:
                    entry.check(folder, known_stems)
        elif self.external is None and self.plugins is None:
            self.create(folder, hosted=lambda entry: entry.host((), folder))
        else:
            self._curves()

    def create(self, folder: Path, hosted: Hosted) -> pedalboard.Plugin:
        """A new plug-in; raises :class:`PluginError`, and :class:`PresetError` for a separator.

        Files are looked for in ``folder``, the preset's, first. ``hosted`` gives the third-party plug-ins:
        :func:`plugin_bridge.presets.loading.loading`.
        """
        if self.plugins is not None:
            return self._container([entry.create(folder, hosted) for entry in self.plugins])
        if self.separator is not None:
            return self._rack(folder, hosted)
        made = hosted(self) if self.external is not None else self._built_in(folder)
        if not self.automate:
            return made
        from plugin_bridge.plugins.automated import STEP_FRAMES, Automated

        step = STEP_FRAMES if self.step_frames is None else self.step_frames
        try:
            return Automated(made, self._curves(), step)
        except (TypeError, ValueError) as error:
            if isinstance(error, PluginError):
                raise
            raise PluginError(f"automate: {error}") from None

    def _container(self, made: list[pedalboard.Plugin]) -> pedalboard.Plugin:
        import pedalboard

        from plugin_bridge.plugins.board import Board
        from plugin_bridge.plugins.mix import StemMix

        if self.plugin == "StemMix" or (self.plugin == "Mix" and self.runs_in_python):
            return StemMix(made)
        if self.plugin == "Mix":
            return pedalboard.Mix(made)
        return Board(made) if self.runs_in_python else pedalboard.Chain(made)

    def host(self, plugin_paths: Sequence[Path], folder: Path) -> HostedPlugin:
        """The third-party plug-in, in a process of its own; raises :class:`PluginError`.

        It is looked for in the system's folders and in ``plugin_paths``.
        """
        from plugin_bridge.plugins.hosting import HostedPlugin

        assert self.external is not None
        plugin = HostedPlugin(
            self.external, state=self.state, plugin_paths=plugin_paths, class_id=self.class_id or ""
        )
        if self.state_file is not None:
            plugin.load_preset(own_file(folder, self.state_file))
        plugin.set(self.parameters or {})
        return plugin

    def _built_in(self, folder: Path) -> pedalboard.Plugin:
        from plugin_bridge.plugins import built_ins as table
        from plugin_bridge.plugins import convolution

        values = dict(self.model_extra or {})
        if self.plugin == CONVOLUTION:
            name = values.get(convolution.FILE)
            if isinstance(name, str):
                values[convolution.FILE] = own_file(folder, name)
            return convolution.create(values)
        assert self.plugin is not None
        return table.get(self.plugin).create(values)

    def _rack(self, folder: Path, hosted: Hosted) -> pedalboard.Plugin:
        from plugin_bridge.plugins.processor import SeparatorPlugin
        from plugin_bridge.plugins.rack import StemRack

        assert self.separator is not None
        separator = make_separator(self.separator, self.separate, folder)
        if not (self.stems or self.remix):
            return SeparatorPlugin(separator)
        chains = {
            name: [entry.create(folder, hosted) for entry in entries] for name, entries in self.stems.items()
        }
        try:
            return StemRack(separator, chains, remix=self.remix)
        except ValueError as error:
            raise PluginError(f"stems: {error}") from None

    def _curves(self) -> dict[str, Curve | Follower]:
        return {name: curve_of(name, table) for name, table in self.automate.items()}


def curve_of(name: str, table: Mapping[str, Any]) -> Curve | Follower:
    """The curve or follower of a table under ``automate``; raises :class:`PluginError`."""
    from dataclasses import fields

    from plugin_bridge.plugins.automation import Curve, Follower

    kind = Follower if "levels_db" in table else Curve
    known = [field.name for field in fields(kind)]
    for key in table:
        if key not in known:
            near = did_you_mean(key, known)
            raise PluginError(f"automate.{name}: no such key {key!r}{near}; there are: {', '.join(known)}")
    try:
        return kind(**table)
    except TypeError:
        raise PluginError(
            f"automate.{name}: needs times_seconds and values, or levels_db and values"
        ) from None
    except ValueError as error:
        raise PluginError(f"automate.{name}: {error}") from None
