"""The separators of preset files: tables, and separators made from them and back."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

import separators
from plugin_bridge.errors import PresetError
from separators.near import did_you_mean
from separators.parameters import Content


class SeparatorTable(BaseModel):
    """``[separator]``: its registered name, and its parameters beside it."""

    model_config = ConfigDict(extra="allow", strict=True)

    name: str

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters that the preset sets."""
        return dict(self.model_extra or {})


def make_separator(
    table: SeparatorTable, separate: Mapping[str, SeparatorTable], folder: Path
) -> separators.Separator:
    """The separator of ``table``, a cascade where ``separate`` has tables for its stems.

    Files are looked for in ``folder``, the preset's, first. Raises :class:`PresetError` with the key.
    """
    return _cascade("", _make("separator", table, folder), separate, folder)


def tables_of(separator: separators.Separator) -> tuple[SeparatorTable, dict[str, SeparatorTable]]:
    """The tables from which :func:`make_separator` makes an equal of ``separator``."""
    first, *further = _tables("", separator)
    return first[1], dict(further)


def check_parents(separate: Mapping[str, SeparatorTable]) -> None:
    """Raise ValueError for a stem of a stem that is not separated."""
    for stem in separate:
        parent = stem.rpartition("/")[0]
        if parent and parent not in separate:
            raise ValueError(f"separate.{stem}: {parent} is not separated; add [separate.{parent}]")


def own_file(folder: Path, name: str) -> str:
    """The path of a preset's file: ``name`` in ``folder``, if it lies there, else as it is."""
    beside = folder / name
    with suppress(OSError, ValueError):  # a name that no file can have is its reader's to refuse
        if beside.exists():
            return str(beside)
    return name


def _cascade(
    path: str, separator: separators.Separator, separate: Mapping[str, SeparatorTable], folder: Path
) -> separators.Separator:
    """``separator``, which makes the stem ``path``'s stems, with those that separate them again."""
    tables = {key: table for key, table in separate.items() if key.rpartition("/")[0] == path}
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
            raise PresetError(f"separate.{key}: {error}") from None
        further[stem] = _cascade(key, _make(f"separate.{key}", table, folder), separate, folder)
    return separators.Cascade(separator, further)


def _make(key: str, table: SeparatorTable, folder: Path) -> separators.Separator:
    """The separator of the table ``key``."""
    try:
        cls = separators.get(table.name)
    except separators.ParameterError as error:
        raise PresetError(f"{key}.name: {error}") from None
    values = table.parameters
    for name in values:
        if name not in cls.parameters:
            known = ", ".join(cls.parameters) or "none"
            near = did_you_mean(name, cls.parameters)
            raise PresetError(f"{key}.{name}: {table.name} has no such parameter{near}; it has: {known}")
    for name, value in values.items():
        if cls.parameters[name].file and isinstance(value, str) and value:
            values[name] = own_file(folder, value)
    try:
        return cls(**values)
    except separators.ParameterError as error:
        raise PresetError(f"{key}: {error}") from None


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
