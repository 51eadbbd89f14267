"""Pedalboard's built-in plug-ins by name, with their parameters: a table read off Pedalboard itself.

The parameters are those that a plug-in's constructor takes and its properties give back, so a
newer Pedalboard's plug-ins and parameters are there without a line changed here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any

import numpy as np
import pedalboard

from plugin_bridge.errors import PluginError
from separators.near import did_you_mean

Value = bool | int | float | str

NOT_IN_TABLE = {
    "Convolution": "its impulse response is a file or an array, which a preset does not hold",
}
"""Built-ins that a preset cannot hold, with the reason."""

LARGEST = 1e6
RANGES = {("Resample", "target_sample_rate"): (100.0, LARGEST)}
"""Numbers beyond these make Pedalboard hang, or ask for all memory (Phaser's rate, Resample)."""


@dataclass(frozen=True)
class BuiltIn:
    """One built-in plug-in: its class and the default of each parameter."""

    name: str
    cls: type[pedalboard.Plugin]
    defaults: Mapping[str, Value]
    choices: Mapping[str, type[Any]]
    """The enumerations of parameters that are chosen by name, such as ``LadderFilter``'s mode."""

    def create(self, values: Mapping[str, Any]) -> pedalboard.Plugin:
        """A new instance with ``values``; raises :class:`PluginError` on a wrong name, type or range."""
        arguments = {key: self._argument(key, value) for key, value in values.items()}
        for key, argument in arguments.items():
            try:
                self.cls(**{key: argument})
            except (ValueError, RuntimeError, TypeError, IndexError) as error:
                said = str(error).strip().splitlines()[0]
                raise PluginError(f"{self.name}: {key} cannot be {values[key]!r}: {said}") from None
        return self.cls(**arguments)

    def set(self, plugin: pedalboard.Plugin, values: Mapping[str, Any]) -> None:
        """Set parameters of ``plugin``; raises :class:`PluginError` on a wrong name, type or range."""
        for key, value in values.items():
            setattr(plugin, key, self._argument(key, value))

    def values(self, plugin: pedalboard.Plugin) -> dict[str, Value]:
        """The present values of ``plugin``'s parameters, such that :meth:`create` gives its equal."""
        return {key: _plain(getattr(plugin, key)) for key in self.defaults}

    def _argument(self, key: str, value: Any) -> Any:
        if key not in self.defaults:
            known = ", ".join(self.defaults) or "none"
            raise PluginError(
                f"{self.name} has no parameter {key!r}{did_you_mean(key, self.defaults)}; it has: {known}"
            )
        default = self.defaults[key]
        if isinstance(value, np.generic):
            value = value.item()
        if key in self.choices:
            members = {str(m.name): m for m in self.choices[key].__members__.values()}
            if value not in members:
                raise PluginError(f"{self.name}: {key} must be one of {', '.join(members)}, not {value!r}")
            return members[value]
        if isinstance(default, bool):
            if not isinstance(value, bool):
                raise PluginError(f"{self.name}: {key} must be true or false, not {value!r}")
            return value
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise PluginError(f"{self.name}: {key} must be a number, not {value!r}")
        low, high = RANGES.get((self.name, key), (-LARGEST, LARGEST))
        if not low <= value <= high:
            raise PluginError(f"{self.name}: {key} must be a number from {low:g} to {high:g}, not {value!r}")
        return float(value)


@cache
def built_ins() -> dict[str, BuiltIn]:
    """All built-in effects that can be made from numbers and names, by class name."""
    table = {}
    for name, cls in sorted(vars(pedalboard).items()):
        if not (isinstance(cls, type) and issubclass(cls, pedalboard.Plugin)) or name.startswith("_"):
            continue
        if issubclass(cls, pedalboard.PluginContainer | pedalboard.ExternalPlugin):
            continue
        try:
            example = cls()
        except (TypeError, RuntimeError):  # abstract, or in need of a file
            continue
        now = {
            key: getattr(example, key)
            for base in reversed(cls.__mro__)
            for key, member in vars(base).items()
            if isinstance(member, property) and member.fset is not None
        }
        choices = {key: type(value) for key, value in now.items() if hasattr(type(value), "__members__")}
        table[name] = BuiltIn(name, cls, {key: _plain(value) for key, value in now.items()}, choices)
    return table


def get(name: str) -> BuiltIn:
    """The built-in called ``name``; raises :class:`PluginError` with the nearest name."""
    if name in NOT_IN_TABLE:
        raise PluginError(f"{name} cannot be used here: {NOT_IN_TABLE[name]}")
    try:
        return built_ins()[name]
    except KeyError:
        raise PluginError(
            f"Pedalboard has no plug-in {name!r}{did_you_mean(name, built_ins())}; "
            f"it has: {', '.join(built_ins())}"
        ) from None


def built_in_of(plugin: pedalboard.Plugin) -> BuiltIn:
    """The table row of ``plugin``; raises :class:`PluginError` if it is not a built-in of the table."""
    row = built_ins().get(type(plugin).__name__)
    if row is None or row.cls is not type(plugin):
        return get(type(plugin).__name__)
    return row


def _plain(value: Any) -> Value:
    """The value as TOML has it: a choice's name, the shortest decimal that gives the same float32."""
    if isinstance(value, Enum) or hasattr(type(value), "__members__"):
        return str(value.name)
    if isinstance(value, float):
        short = float(str(np.float32(value)))
        return (
            short if np.float32(short) == np.float32(value) and float(np.float32(value)) == value else value
        )
    return value  # type: ignore[no-any-return]
