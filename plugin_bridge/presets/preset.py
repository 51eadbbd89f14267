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

A preset without a separator holds one ``[[chain]]`` of plug-ins; a chain may also hold separators
and racks (:mod:`plugin_bridge.presets.chains`). ``tail_seconds = 2`` or ``"auto"`` makes results longer
than the input, by what reverbs and delays leave behind its end.

:meth:`Preset.read` looks at the file's form only; :meth:`Preset.load` also checks every name and
range, which imports the separator. Names of stems and third-party plug-ins are checked when
:meth:`Preset.board` makes them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tomli_w
from pydantic import (
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)

import separators
from plugin_bridge.errors import PluginError, PresetError
from plugin_bridge.naming import printable
from plugin_bridge.presets import files as preset_files
from plugin_bridge.presets.chains import PluginEntry
from plugin_bridge.presets.entries import entries_of, stems_of
from plugin_bridge.presets.loading import loading
from plugin_bridge.presets.output import Output, Table, first_error
from plugin_bridge.presets.separating import SeparatorTable, check_parents, make_separator, tables_of
from plugin_bridge.presets.unseparated import Unseparated
from separators.atomic import write_atomically

if TYPE_CHECKING:
    import pedalboard

    from plugin_bridge.plugins.board import Board

TRACK_STEMS = ("direct", "bleed")
"""The stems of each track where tracks are separated together; see :mod:`plugin_bridge.jobs.together`."""


class Preset(Table):
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
    separator: SeparatorTable | None = None
    separate: dict[str, SeparatorTable] = Field(default_factory=dict)
    """Stems that are separated again, and by what."""
    before: list[PluginEntry] = Field(default_factory=list)
    stems: dict[str, list[PluginEntry]] = Field(default_factory=dict)
    after: list[PluginEntry] = Field(default_factory=list)
    chain: list[PluginEntry] = Field(default_factory=list)
    """The plug-ins of a preset without a separator."""
    tail_seconds: Annotated[float, Field(ge=0, le=60)] | Literal["auto"] = 0.0
    """How much longer than the input results are, or ``auto``: until the chains' tails are 60 dB down."""
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
    def _one_kind(self) -> Preset:
        if self.separator is None and not self.chain:
            raise ValueError("separator: is missing; add [separator], or [[chain]] for plug-ins alone")
        if self.chain:
            fields = ("separator", "separate", "before", "stems", "after", "remix", "together")
            for name in fields:
                if getattr(self, name):
                    raise ValueError(f"chain: is all that such a preset does; leave out {name}, or the chain")
            if self.output.stems is not None or self.output.layout != "files":
                raise ValueError("output: a chain gives one file, without stems and layout")
        return self

    @model_validator(mode="after")
    def _stems_of_stems(self) -> Preset:
        if self.separate and self.together:
            raise ValueError(
                "separate: with together = true the stems are the tracks'; leave one of them out"
            )
        check_parents(self.separate)
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
            raise PresetError(f"{source}: {first_error(error, Preset)}") from None
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
        known: Sequence[str] = ()
        if named := [*self.stems, *(self.output.stems or ())]:
            try:
                known = TRACK_STEMS if self.together else possible_stems(separator)
                refuse_unknown_stems(separator, named, known)
            except separators.ScoreError:
                pass  # the job brings the score, and looks then
            except ValueError as error:
                raise PresetError(f"{self._source}: stems: {error}") from None
        for key, entries in self._chains().items():
            heard = known if key.startswith("stems.") else ()
            for index, entry in enumerate(entries):
                try:
                    entry.check(self.folder, heard)
                except (PluginError, PresetError) as error:
                    raise PresetError(f"{self._source}: {key}[{index}]: {error}") from None
        if plugin_paths is not None:
            self.make_chains(self.chain_keys, plugin_paths)

    @property
    def is_chain(self) -> bool:
        """Whether it separates nothing."""
        return self.separator is None

    @property
    def folder(self) -> Path:
        """Where its files are looked for first."""
        return Path(self._source).parent

    @property
    def separator_tables(self) -> list[SeparatorTable]:
        """The tables of its separators, but for those inside chains."""
        return [table for table in (self.separator, *self.separate.values()) if table is not None]

    @property
    def first_chain(self) -> str:
        """The key of the chain on what comes in."""
        return "chain" if self.is_chain else "before"

    @property
    def chain_keys(self) -> list[str]:
        """What :meth:`make_chains` takes."""
        return list(self._chains())

    def entries(self) -> list[PluginEntry]:
        """All plug-ins of all chains."""
        return [entry for entries in self._chains().values() for entry in entries]

    def listens_to(self, key: str) -> list[tuple[str, str]]:
        """Each kind and name that the followers of the chain ``key`` listen to, once."""
        heard = (name for entry in self._chains().get(key, ()) for name in entry.followers())
        return list(dict.fromkeys(heard))

    def with_tail(self, tail_seconds: float | str) -> Preset:
        """The preset with this tail instead of its own; raises :class:`PresetError`."""
        if not self.entries():
            raise PresetError(
                f"{self._source}: there is no plug-in in it whose tail could be heard; leave the tail out, "
                "or add one under [[chain]], [[stems.NAME]], [[before]] or [[after]]"
            )
        said = float(tail_seconds) if isinstance(tail_seconds, int) else tail_seconds
        try:
            made = Preset.model_validate({**self.model_dump(exclude_defaults=True), "tail_seconds": said})
        except ValidationError as error:
            raise PresetError(first_error(error, Preset)) from None
        made._source = self._source
        return made

    @property
    def methods(self) -> list[str]:
        """The names of the separators, each once, the first one first."""
        return list(dict.fromkeys(table.name for table in self.separator_tables))

    def parameter_type(self, name: str) -> type | None:
        """The type of a parameter of one of the separators; None if none of them has it."""
        for method in self.methods:
            if (row := separators.get(method).parameters.get(name)) is not None:
                return row.type
        return None

    def make_separator(self) -> separators.Separator:
        """The separator with its parameters, a cascade of several; raises :class:`PresetError`.

        Of a preset without one it gives its input back.
        """
        if self.separator is None:
            return Unseparated()
        try:
            return make_separator(self.separator, self.separate, self.folder)
        except PresetError as error:
            raise PresetError(f"{self._source}: {error}") from None

    def make_chain(self, key: str, plugin_paths: Sequence[Path] = ()) -> list[pedalboard.Plugin]:
        """:meth:`make_chains` of one chain."""
        return self.make_chains([key], plugin_paths)[key]

    def make_chains(
        self, keys: Sequence[str], plugin_paths: Sequence[Path] = ()
    ) -> dict[str, list[pedalboard.Plugin]]:
        """New plug-ins of the chains ``chain``, ``before``, ``after`` or ``stems.NAME`` (empty without one).

        Plug-ins carry state: make chains for each stream of audio. Third-party plug-ins are looked for in the
        system's folders and in ``plugin_paths``, and loaded side by side. Raises :class:`PresetError`.
        """
        chains = {key: self._chains().get(key, []) for key in keys}
        made: dict[str, list[pedalboard.Plugin]] = {key: [] for key in keys}
        entries = [entry for chain in chains.values() for entry in chain]
        with loading(entries, plugin_paths, self.folder) as hosted:
            for key, chain in chains.items():
                for index, entry in enumerate(chain):
                    try:
                        made[key].append(entry.create(self.folder, hosted))
                    except (PluginError, PresetError) as error:
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
        chains = self.make_chains(self.chain_keys, plugin_paths)
        if self.is_chain:
            return Board(chains["chain"])
        core: pedalboard.Plugin
        if self.stems or self.remix:
            try:
                core = StemRack(
                    separator, {name: chains[f"stems.{name}"] for name in self.stems}, remix=self.remix
                )
            except ValueError as error:
                raise PresetError(f"{self._source}: stems: {error}") from None
        else:
            core = SeparatorPlugin(separator)
        return Board([*chains["before"], core, *chains["after"]])

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The JSON schema of preset files, with every separator's and built-in plug-in's parameters."""
        from plugin_bridge.presets.schema import with_tables

        return with_tables(super().model_json_schema(*args, **kwargs))

    @classmethod
    def from_board(cls, board: pedalboard.Chain, title: str, **fields: Any) -> Preset:
        """The preset whose :meth:`board` gives the same audio as ``board``.

        Plug-ins, one separator or :class:`StemRack`, and (after a rack that remixes) plug-ins become
        ``before``, ``separator`` with ``stems``, and ``after``; any other board becomes a ``chain``.
        ``fields`` are further fields: ``description``, ``purpose``, ``output``, ``tail_seconds``. Raises
        :class:`PresetError` for Python code, and for plug-ins that a preset cannot name.
        """
        try:
            return cls(title=title, **_tables_of(board), **fields)
        except PluginError as error:
            raise PresetError(f"this board does not fit into a preset: {error}") from None
        except ValidationError as error:
            raise PresetError(f"this board does not fit into a preset: {first_error(error, cls)}") from None

    def _chains(self) -> dict[str, list[PluginEntry]]:
        stems = {f"stems.{name}": entries for name, entries in self.stems.items()}
        return {"chain": self.chain, "before": self.before, **stems, "after": self.after}


def _tables_of(board: pedalboard.Chain) -> dict[str, Any]:
    """The fields of the preset of ``board``; raises :class:`PluginError`, :class:`PresetError`."""
    from plugin_bridge.plugins.processor import SeparatorPlugin
    from plugin_bridge.plugins.python_plugin import RunsInPython
    from plugin_bridge.plugins.rack import StemRack

    parts = [plugin for plugin in board if plugin is not None]
    cores = [plugin for plugin in parts if isinstance(plugin, StemRack | SeparatorPlugin)]
    plugins = [core.plugin for core in cores if isinstance(core, StemRack)]
    for plugin in (board, *cores, *plugins):
        if isinstance(plugin, RunsInPython) and plugin.is_overridden():
            raise PresetError(
                f"a preset holds no Python code, and {type(plugin).__name__} overrides how it processes"
            )
    remix = len(cores) == 1 and isinstance(cores[0], StemRack) and cores[0].remix
    if len(cores) != 1 or (parts[-1] is not cores[0] and not remix):
        return {"chain": entries_of(parts) or [PluginEntry(plugin="Chain", plugins=[])]}
    core = cores[0]
    place = parts.index(core)
    table, separate = tables_of(core.separator)
    return {
        "remix": remix,
        "separator": table,
        "separate": separate,
        "before": entries_of(parts[:place]),
        "stems": stems_of(core) if isinstance(core, StemRack) else {},
        "after": entries_of(parts[place + 1 :]),
    }


def load_preset(name_or_path: str | os.PathLike[str], plugin_paths: Sequence[Path] = ()) -> Board:
    """The board of the preset called ``name_or_path``, or of the file at that path.

    Raises :class:`PresetError` with the file, the key, what is wrong and what would be right.
    """
    return Preset.load(name_or_path).board(plugin_paths)


def save_preset(board: pedalboard.Chain, path: str | os.PathLike[str], title: str, **fields: Any) -> None:
    """Save ``board`` as a preset file at ``path``, whole or not at all; loaded, it gives the same audio.

    ``board`` holds plug-ins, separators, racks, mixes and boards. ``fields`` are further ones of the file:
    ``description``, ``purpose``, ``output``, ``tail_seconds``. Raises :class:`PresetError` for Python code in
    the board, and if the file cannot be written.
    """
    Preset.from_board(board, title, **fields).save(path)
