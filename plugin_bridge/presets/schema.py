"""The JSON schema of preset files, with the tables of all separators and built-in plug-ins in it.

An editor that reads it completes the names and marks wrong ones and wrong ranges.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import separators
from plugin_bridge.plugins import built_ins, convolution
from plugin_bridge.presets.chains import CLASS_ID, CONTAINERS
from separators.parameters import Content, Parameter

_NUMBERS = {"type": "array", "items": {"type": "number"}}
_CURVES = {
    "oneOf": [
        {
            "type": "object",
            "description": "A parameter over time.",
            "properties": {
                "times_seconds": _NUMBERS,
                "values": {"type": "array", "items": {"type": ["boolean", "number", "string"]}},
                "shape": {"enum": ["linear", "hold"], "default": "linear"},
            },
            "required": ["times_seconds", "values"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "description": "A parameter by the level of a signal.",
            "properties": {
                "levels_db": _NUMBERS,
                "values": _NUMBERS,
                "stem": {"type": "string"},
                "track": {"type": "string"},
                **{
                    key: {"type": "number", "minimum": 0}
                    for key in ("attack_seconds", "release_seconds", "low_hz", "high_hz")
                },
            },
            "required": ["levels_db", "values"],
            "additionalProperties": False,
        },
    ]
}
_AUTOMATE = {
    "automate": {"type": "object", "additionalProperties": _CURVES},
    "step_frames": {"type": "integer", "minimum": 1},
}

TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}


def with_tables(schema: dict[str, Any]) -> dict[str, Any]:
    """``schema`` of the form of preset files, with what may stand in ``[separator]`` and in chains."""
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    definitions = schema["$defs"]
    definitions["SeparatorTable"] = {
        "description": definitions["SeparatorTable"]["description"],
        "oneOf": [_separator(separators.get(name)) for name in separators.names()],
    }
    definitions["PluginEntry"] = {
        "description": definitions["PluginEntry"]["description"],
        "oneOf": [
            *(_built_in(row) for row in built_ins.built_ins().values()),
            *(_container(name) for name in CONTAINERS),
            _convolution(),
            _external(),
            _rack(),
        ],
    }
    return schema


def _object(key: str, name: Mapping[str, Any], properties: Mapping[str, Any], help: str) -> dict[str, Any]:
    return {
        "type": "object",
        "description": help,
        "properties": {key: name, **properties},
        "required": [key],
        "additionalProperties": False,
    }


def _separator(cls: type[separators.Separator]) -> dict[str, Any]:
    rows = {key: _parameter(row) for key, row in cls.parameters.items()}
    return _object("name", {"const": cls.name}, rows, cls.summary)


def _parameter(row: Parameter) -> dict[str, Any]:
    unit = f" ({row.unit})" if row.unit else ""
    made: dict[str, Any] = {
        "type": TYPES.get(row.type, "string"),
        "default": str(row.default) if isinstance(row.default, Content) else row.default,
        "description": f"{row.meaning}{unit}",
    }
    if row.choices:
        made["enum"] = list(row.choices)
    if row.minimum is not None:
        made["minimum"] = row.minimum
    if row.maximum is not None:
        made["maximum"] = row.maximum
    if row.form:
        made["pattern"] = f"^({row.form.pattern})$"
    if row.words:
        made |= {"type": [made["type"], "string"], "pattern": f"^({'|'.join(row.words)})$"}
    return made


def _built_in(row: built_ins.BuiltIn) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, default in row.defaults.items():
        values[key] = {"type": TYPES[type(default)], "default": default}
        if key in row.choices:
            values[key]["enum"] = list(row.choices[key].__members__)
    text = (row.cls.__doc__ or row.name).strip().splitlines()[0]
    return _object("plugin", {"const": row.name}, {**values, **_AUTOMATE}, text)


def _convolution() -> dict[str, Any]:
    values = {key: {"type": TYPES[type(default)]} for key, default in convolution.KEYS.items()}
    text = "Its impulse response by a file's name, or as base64 of interleaved float32."
    return _object("plugin", {"const": "Convolution"}, {**values, **_AUTOMATE}, text)


def _rack() -> dict[str, Any]:
    entries = {"type": "array", "items": {"$ref": "#/$defs/PluginEntry"}}
    table = {"$ref": "#/$defs/SeparatorTable"}
    return _object(
        "separator",
        table,
        {
            "separate": {"type": "object", "additionalProperties": table},
            "stems": {"type": "object", "additionalProperties": entries},
            "remix": {"type": "boolean", "default": False},
        },
        "A separator inside a chain, with chains for its stems.",
    )


def _container(name: str) -> dict[str, Any]:
    entries = {"type": "array", "items": {"$ref": "#/$defs/PluginEntry"}}
    made = _object("plugin", {"const": name}, {"plugins": entries}, "Plug-ins side by side, or in a row.")
    return {**made, "required": ["plugin", "plugins"]}


def _external() -> dict[str, Any]:
    value = {"type": ["boolean", "number", "string"]}
    return _object(
        "external",
        {"type": "string"},
        {
            "parameters": {"type": "object", "additionalProperties": value},
            "state": {"type": "string", "contentEncoding": "base64"},
            "state_file": {"type": "string"},
            "class_id": {"type": "string", "pattern": CLASS_ID, "description": "Where a file holds several."},
            **_AUTOMATE,
        },
        "A third-party plug-in by its name.",
    )
