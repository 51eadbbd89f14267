"""Preset files: everything a job needs, in one TOML file.

    title = "Drum loop"
    description = "Splits a drum loop into kick, snare and hi-hat."
    purpose = "Loops and drum stems without voices."

    [separator]
    name = "nmf"                     # its parameters stand beside its name
    mode = "drums"

    [separate.bass]                  # a stem separated again, by another separator
    name = "nmf"

    [[before]]                       # plug-ins on the mixture, in order
    plugin = "HighpassFilter"
    cutoff_frequency_hz = 30

    [[stems.kick]]                   # plug-ins on one stem
    plugin = "Compressor"
    threshold_db = -20

    [output]
    format = "flac"
    bit_depth = 24

With ``remix = true`` the stems are summed back after their chains, and ``[[after]]`` is a chain on
the sum. With ``together = true`` the tracks of a session (or the files of one call, or the channels of a
single one) are the channels of one mixture. The stems of a stem separated again take its place, under
names like ``drums/kick``; ``[separate."drums/kick"]`` goes on from there.

:meth:`Preset.read` looks at the file's form only; :meth:`Preset.load` also checks every name and
range, which imports the separator. Names of stems and third-party plug-ins are checked when
:meth:`Preset.board` makes them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tomli_w
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

import separators
from plugin_bridge.atomic import write_atomically
from plugin_bridge.audio.outputs import BitDepth, OutputFormat
from plugin_bridge.errors import JobError, PluginError, PresetError
from plugin_bridge.naming import DEFAULT_TEMPLATE, Template, printable
from plugin_bridge.presets import files as preset_files
from plugin_bridge.presets.chains import PluginEntry, entries_of
from separators.near import did_you_mean
from separators.parameters import Content

if TYPE_CHECKING:
    import pedalboard

    from plugin_bridge.plugins.board import Board

TRACK_STEMS = ("direct", "bleed")
"""The stems of each track where tracks are separated together; see :mod:`plugin_bridge.jobs.together`."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, validate_assignment=True)


class SeparatorTable(BaseModel):
    """``[separator]``: its registered name, and its parameters beside it."""

    model_config = ConfigDict(extra="allow", strict=True)

    name: str

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters that the preset sets."""
        return dict(self.model_extra or {})


class Output(_Table):
    """``[output]``: how results are written. What is left out follows the input or the command line."""

    format: OutputFormat = "wav"
    bit_depth: BitDepth | None = None
    """None: the input's, or better."""
    layout: Literal["files", "multichannel"] = "files"
    name: str = DEFAULT_TEMPLATE
    """The template of the files' names; see :mod:`plugin_bridge.naming`."""
    stems: list[str] | None = None
    """The stems to write; None: all."""

    def changed(self, **values: Any) -> Output:
        """With those of ``values`` that are not None; raises :class:`PresetError`."""
        said = {key: value for key, value in values.items() if value is not None}
        if str(said.get("bit_depth")).isdecimal():
            said["bit_depth"] = int(said["bit_depth"])
        if "stems" in said:
            said["stems"] = list(said["stems"])
        try:
            return Output.model_validate({**self.model_dump(), **said})
        except ValidationError as error:
            raise PresetError(_first_error(error)) from None

    @field_validator("name")
    @classmethod
    def _template(cls, value: str) -> str:
        try:
            Template(value)
        except JobError as error:
            raise ValueError(str(error)) from None
        return value


class Preset(_Table):
    """What a job needs: a separator with its parameters, chains around it, and how to write the result."""

    title: str
    description: str = ""
    purpose: str = ""
    """What it is for: the material that it suits."""
    task: Literal["", "songs", "voices", "drums", "microphones", "loops", "score"] = ""
    """Under which heading it is listed."""
    gives: list[str] = Field(default_factory=list)
    """The stems that it makes, for lists, in words where they depend on the input."""
    caution: str = ""
    """Where it falls short; said once in every run."""
    together: bool = False
    """Whether the tracks of a session are the channels of one mixture."""
    remix: bool = False
    """Whether the stems are summed back after their chains."""
    separator: SeparatorTable
    separate: dict[str, SeparatorTable] = Field(default_factory=dict)
    """Stems that are separated again, and by what."""
    before: list[PluginEntry] = Field(default_factory=list)
    stems: dict[str, list[PluginEntry]] = Field(default_factory=dict)
    after: list[PluginEntry] = Field(default_factory=list)
    output: Output = Field(default_factory=Output)

    _source: str = PrivateAttr(default="preset")

    @model_validator(mode="after")
    def _after_a_remix(self) -> Preset:
        if self.after and not self.remix:
            raise ValueError(
                "after: a chain after the stems needs remix = true; use [[stems.NAME]] for single stems"
            )
        return self

    @model_validator(mode="after")
    def _stems_of_stems(self) -> Preset:
        if self.separate and self.together:
            raise ValueError(
                "separate: with together = true the stems are the tracks'; leave one of them out"
            )
        for stem in self.separate:
            parent = stem.rpartition("/")[0]
            if parent and parent not in self.separate:
                raise ValueError(f"separate.{stem}: {parent} is not separated; add [separate.{parent}]")
        return self

    # -- files -------------------------------------------------------------------------------

    @property
    def source(self) -> str:
        """The file that it was read from, for error messages."""
        return self._source

    @property
    def name(self) -> str:
        """What it is called: its file's name; ``preset`` for one that was made by a program."""
        return printable(Path(self._source).stem)

    @classmethod
    def names(cls) -> list[str]:
        """The names of the presets that come with Stembridge, sorted."""
        return preset_files.names()

    @classmethod
    def read(cls, name_or_path: str | os.PathLike[str]) -> Preset:
        """Read a preset by name, or a file by path, and check its form; imports no separator.

        Raises :class:`PresetError` with the file, the key, what is wrong and what would be right.
        """
        path = preset_files.find(name_or_path)
        return cls.parse(preset_files.read_text(path), str(path))

    @classmethod
    def load(cls, name_or_path: str | os.PathLike[str]) -> Preset:
        """:meth:`read`, and check the separator's and the built-in plug-ins' names and ranges."""
        preset = cls.read(name_or_path)
        preset.check()
        return preset

    @classmethod
    def parse(cls, text: str, source: str = "preset") -> Preset:
        """Read a preset from TOML ``text``; ``source`` names it in errors."""
        try:
            preset = cls.model_validate(preset_files.tables(text, source))
        except ValidationError as error:
            raise PresetError(f"{source}: {_first_error(error)}") from None
        preset._source = source
        return preset

    def dump(self) -> str:
        """The preset as TOML; :meth:`parse` gives an equal preset."""
        return tomli_w.dumps(self.model_dump(exclude_none=True, exclude_defaults=True))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the preset to ``path``, whole or not at all."""
        try:
            write_atomically(Path(path), self.dump().encode())
        except OSError as error:
            raise PresetError(f"{os.fspath(path)}: cannot be written: {error.strerror}") from None

    # -- what it makes -----------------------------------------------------------------------

    def check(self, plugin_paths: Sequence[Path] | None = None) -> None:
        """Check the names and ranges of the separator, its stems and the built-in plug-ins.

        With ``plugin_paths`` (which may be empty) third-party plug-ins are loaded and checked too.
        Raises :class:`PresetError`.
        """
        from plugin_bridge.plugins.processor import possible_stems, refuse_unknown_stems

        separator = self.make_separator()
        if named := [*self.stems, *(self.output.stems or ())]:
            try:
                known = TRACK_STEMS if self.together else possible_stems(separator)
                refuse_unknown_stems(separator, named, known)
            except separators.ScoreError:
                pass  # the job brings the score, and looks then
            except ValueError as error:
                raise PresetError(f"{self._source}: stems: {error}") from None
        for key, entries in self._chains().items():
            for index, entry in enumerate(entries):
                try:
                    entry.check()
                except PluginError as error:
                    raise PresetError(f"{self._source}: {key}[{index}]: {error}") from None
            if plugin_paths is not None:
                self.make_chain(key, plugin_paths)

    @property
    def methods(self) -> list[str]:
        """The names of the separators, each once, the first one first."""
        return list(dict.fromkeys(table.name for table in (self.separator, *self.separate.values())))

    def parameter_type(self, name: str) -> type | None:
        """The type of a parameter of one of the separators; None if none of them has it."""
        for method in self.methods:
            if (row := separators.get(method).parameters.get(name)) is not None:
                return row.type
        return None

    def make_separator(self) -> separators.Separator:
        """The separator with its parameters, a cascade of several; raises :class:`PresetError`."""
        return self._cascade("", self._make("separator", self.separator))

    def _cascade(self, path: str, separator: separators.Separator) -> separators.Separator:
        """``separator``, which makes the stem ``path``'s stems, with those that separate them again."""
        tables = {key: table for key, table in self.separate.items() if key.rpartition("/")[0] == path}
        if not tables:
            return separator
        from plugin_bridge.plugins.processor import possible_stems, refuse_unknown_stems

        further = {}
        for key, table in tables.items():
            stem = key.rpartition("/")[2]
            try:
                refuse_unknown_stems(separator, [stem], possible_stems(separator))
            except separators.ScoreError:
                pass  # the job brings the score, and looks then
            except ValueError as error:
                raise PresetError(f"{self._source}: separate.{key}: {error}") from None
            further[stem] = self._cascade(key, self._make(f"separate.{key}", table))
        return separators.Cascade(separator, further)

    def _make(self, key: str, table: SeparatorTable) -> separators.Separator:
        """The separator of the table ``key``."""
        try:
            cls = separators.get(table.name)
        except separators.ParameterError as error:
            raise PresetError(f"{self._source}: {key}.name: {error}") from None
        for name in table.parameters:
            if name not in cls.parameters:
                known = ", ".join(cls.parameters) or "none"
                near = did_you_mean(name, cls.parameters)
                raise PresetError(
                    f"{self._source}: {key}.{name}: {table.name} has no such parameter{near}; it has: {known}"
                )
        try:
            return cls(**self._with_own_files(cls, table))
        except separators.ParameterError as error:
            raise PresetError(f"{self._source}: {key}: {error}") from None

    def _with_own_files(self, cls: type[separators.Separator], table: SeparatorTable) -> dict[str, Any]:
        """The separator's parameters, files found beside the preset's own, if they lie there."""
        values = dict(table.parameters)
        for key, value in values.items():
            if cls.parameters[key].file and isinstance(value, str) and value:
                beside = Path(self._source).parent / value
                with suppress(
                    OSError, ValueError
                ):  # a name that no file can have is the separator's to refuse
                    values[key] = str(beside) if beside.exists() else value
        return values

    def make_chain(self, key: str, plugin_paths: Sequence[Path] = ()) -> list[pedalboard.Plugin]:
        """New plug-ins of the chain ``before``, ``after`` or ``stems.NAME`` (empty for a stem without one).

        Plug-ins carry state: make a chain for each stream of audio. Raises :class:`PresetError`.
        """
        entries = self._chains().get(key, [])
        made = []
        for index, entry in enumerate(entries):
            try:
                made.append(entry.create(plugin_paths))
            except PluginError as error:
                raise PresetError(f"{self._source}: {key}[{index}]: {error}") from None
        return made

    def board(self, plugin_paths: Sequence[Path] = ()) -> Board:
        """The preset as a :class:`~plugin_bridge.plugins.board.Board`; raises :class:`PresetError`.

        Third-party plug-ins are looked for in the system's folders and in ``plugin_paths``.
        """
        from plugin_bridge.plugins.board import Board
        from plugin_bridge.plugins.processor import SeparatorPlugin
        from plugin_bridge.plugins.rack import StemRack

        if self.together and self.stems:
            raise PresetError(
                f"{self._source}: stems: with together = true these are the stems of each track, "
                "which a job makes and a board does not"
            )
        separator = self.make_separator()
        core: pedalboard.Plugin
        if self.stems or self.remix:
            chains = {name: self.make_chain(f"stems.{name}", plugin_paths) for name in self.stems}
            try:
                core = StemRack(separator, chains, remix=self.remix)
            except ValueError as error:
                raise PresetError(f"{self._source}: stems: {error}") from None
        else:
            core = SeparatorPlugin(separator)
        before, after = self.make_chain("before", plugin_paths), self.make_chain("after", plugin_paths)
        return Board([*before, core, *after])

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The JSON schema of preset files, with every separator's and built-in plug-in's parameters."""
        from plugin_bridge.presets.schema import with_tables

        return with_tables(super().model_json_schema(*args, **kwargs))

    @classmethod
    def from_board(cls, board: pedalboard.Chain, title: str, **fields: Any) -> Preset:
        """The preset whose :meth:`board` gives the same audio as ``board``.

        ``board`` holds plug-ins, then one separator or :class:`StemRack`, then (after a rack that
        remixes) plug-ins. ``fields`` are further fields: ``description``, ``purpose``, ``output``.
        Raises :class:`PresetError` for a board of another shape.
        """
        from plugin_bridge.plugins.processor import SeparatorPlugin
        from plugin_bridge.plugins.python_plugin import RunsInPython
        from plugin_bridge.plugins.rack import StemRack

        parts = [plugin for plugin in board if plugin is not None]
        cores = [plugin for plugin in parts if isinstance(plugin, StemRack | SeparatorPlugin)]
        if len(cores) != 1:
            raise PresetError(
                f"a preset holds exactly one separator or StemRack, this board holds {len(cores)} "
                "at its top level; make one board, and one preset, for each separator"
            )
        core = cores[0]
        for plugin in (board, core, *([core.plugin] if isinstance(core, StemRack) else [])):
            if isinstance(plugin, RunsInPython) and plugin.is_overridden():
                raise PresetError(
                    f"a preset holds no Python code, and {type(plugin).__name__} overrides how it processes"
                )
        place = parts.index(core)
        stems, remix = {}, False
        try:
            if isinstance(core, StemRack):
                remix = core.remix
                stems = {
                    name: entries_of([chain] if chain.is_overridden() else list(chain))
                    for name, chain in core.chains.items()
                    if len(chain) or chain.is_overridden()
                }
            before, after = entries_of(parts[:place]), entries_of(parts[place + 1 :])
        except PluginError as error:
            raise PresetError(f"this board does not fit into a preset: {error}") from None
        first, *further = _tables("", core.separator)
        try:
            return cls(
                title=title,
                remix=remix,
                separator=first[1],
                separate=dict(further),
                before=before,
                stems=stems,
                after=after,
                **fields,
            )
        except ValidationError as error:
            raise PresetError(f"this board does not fit into a preset: {_first_error(error)}") from None

    def _chains(self) -> dict[str, list[PluginEntry]]:
        stems = {f"stems.{name}": entries for name, entries in self.stems.items()}
        return {"before": self.before, **stems, "after": self.after}


def _tables(stem: str, separator: separators.Separator) -> list[tuple[str, SeparatorTable]]:
    """The table of ``separator``, which separates ``stem``, and behind it those of the stems' of its own."""
    if isinstance(separator, separators.Cascade):
        tables = _tables(stem, separator.first)
        for name, again in separator.further.items():
            tables += _tables(f"{stem}/{name}" if stem else name, again)
        return tables
    if separator.name not in separators.names() or separators.get(separator.name) is not type(separator):
        raise PresetError(
            f"a preset names its separator, and {separator.name!r} is not registered as "
            f"{type(separator).__name__}; see the entry-point group stembridge.separators"
        )
    changed = {k: v for k, v in separator.values.items() if v != separator.parameters[k].default}
    for key, value in changed.items():
        if isinstance(value, Content):
            changed[key] = str(value)
            if not changed[key]:
                raise PresetError(f"a preset names files, and {key} was made by a program: {value!r}")
    return [(stem, SeparatorTable(name=separator.name, **changed))]


def load_preset(name_or_path: str | os.PathLike[str], plugin_paths: Sequence[Path] = ()) -> Board:
    """The board of the preset called ``name_or_path``, or of the file at that path.

    Raises :class:`PresetError` with the file, the key, what is wrong and what would be right.
    """
    return Preset.load(name_or_path).board(plugin_paths)


def save_preset(board: pedalboard.Chain, path: str | os.PathLike[str], title: str, **fields: Any) -> None:
    """Save ``board`` as a preset file at ``path``, whole or not at all; loaded, it gives the same audio.

    ``board`` holds plug-ins, then one separator or :class:`StemRack`, then (after a rack that remixes)
    plug-ins. ``fields`` are further ones of the file: ``description``, ``purpose``, ``output``. Raises
    :class:`PresetError` for a board of another shape, and if the file cannot be written.
    """
    Preset.from_board(board, title, **fields).save(path)


def _on_one_line(key: str) -> str:
    """A key as it is, or as Python writes it if it holds line breaks and the like."""
    return key if key.isprintable() else repr(key)[1:-1]


def _first_error(error: ValidationError) -> str:
    """``key: what is wrong; what would be right`` of the first thing pydantic found."""
    first = error.errors(include_url=False)[0]
    key = "".join(
        f"[{part}]" if isinstance(part, int) else f".{_on_one_line(part)}" for part in first["loc"]
    ).lstrip(".")
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        message = "is missing"
    if first["type"] == "extra_forbidden":
        parent = Output if first["loc"][0] == "output" else Preset
        known = list(parent.model_fields)
        message = f"no such key{did_you_mean(str(first['loc'][-1]), known)}; there are: {', '.join(known)}"
    elif first["type"] != "value_error" and isinstance(first.get("input"), bool | int | float | str):
        message = f"{message[:1].lower()}{message[1:]}, not {first['input']!r}"
    return f"{key}: {message}" if key else message
