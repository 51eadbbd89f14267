"""``stembridge doctor``: what this machine has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from plugin_bridge.commands import options
from plugin_bridge.commands.group import FAILED, Command
from plugin_bridge.terminal import say, say_json


@click.command(cls=Command)
@options.json_option
def doctor(as_json: bool) -> int:
    """Show what this machine has: what a report of a fault needs.

    Versions, the processor and its features, GPUs and whether they work, models and where they were looked
    for, plug-in folders, formats, free disk space. Nothing is sent anywhere. Status 1 if something could not
    be found out.
    """
    from plugin_bridge.diagnosis.machine import machine

    found = machine()
    if as_json:
        say_json(found)
    else:
        for name, section in found.items():
            say(f"{name}:", *(f"  {line}" for line in _lines(section)))
    return FAILED if any("error" in section for section in found.values()) else 0


def _lines(section: Mapping[str, Any]) -> Iterator[str]:
    if not section:
        yield "none"
    for key, value in section.items():
        if isinstance(value, Mapping):
            yield f"{key}:"
            yield from (f"  {line}" for line in _lines(value))
        else:
            yield f"{key}: {_plain(value)}"


def _plain(value: Any) -> str:
    if value is None:
        return "not there"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value) or "none"
