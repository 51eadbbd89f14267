"""Pedalboard's own plug-ins made picklable, and with that copies and pickles of boards.

They are kept as a preset keeps them, by their parameters: what a plug-in holds of the audio that it
has heard is not copied. Third-party plug-ins loaded by Pedalboard itself stay as they were: unpicklable.
"""

from __future__ import annotations

import copyreg
from collections.abc import Mapping
from typing import Any

import pedalboard

from plugin_bridge.plugins import convolution
from plugin_bridge.plugins.built_ins import built_in_of, get

CONTAINERS = (pedalboard.Pedalboard, pedalboard.Chain, pedalboard.Mix)


def install() -> None:
    """Register all of them with :mod:`copyreg`, which ``pickle`` and ``copy`` ask."""
    for cls in vars(pedalboard).values():
        if isinstance(cls, type) and issubclass(cls, pedalboard.Plugin):
            if issubclass(cls, CONTAINERS):
                copyreg.pickle(cls, _container)
            elif not issubclass(cls, pedalboard.ExternalPlugin) and cls is not pedalboard.Plugin:
                copyreg.pickle(cls, _built_in)


def _container(container: Any) -> tuple[Any, ...]:
    return type(container), (list(container),)


def _built_in(plugin: pedalboard.Plugin) -> tuple[Any, ...]:
    if isinstance(plugin, pedalboard.Convolution):
        return _made, ("Convolution", convolution.values_of(plugin))
    row = built_in_of(plugin)
    return _made, (row.name, row.values(plugin))


def _made(name: str, values: Mapping[str, Any]) -> pedalboard.Plugin:
    return convolution.create(values) if name == "Convolution" else get(name).create(values)
