"""Writes docs/reference.md from the code: every command, separator, preset and session format.

``make reference`` runs it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

import separators
from plugin_bridge.audio.formats import readable
from plugin_bridge.cli import main
from plugin_bridge.presets.preset import Preset
from plugin_bridge.sessions.formats import FORMATS, Format

REFERENCE = Path(__file__).parent / "reference.md"


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """Every command below ``command`` with the words that call it."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    for name, child in command.commands.items():
        yield from commands(child, f"{path} {name}")


def command_section(path: str, command: click.Command) -> str:
    """The command's own help."""
    context = command.make_context(path, [], resilient_parsing=True, terminal_width=100)
    return f"### `{path}`\n\n```text\n{command.get_help(context)}\n```\n"


def separator_section(name: str) -> str:
    """The separator's summary, its docstring and its parameter table."""
    found = separators.get(name)
    cells = [
        (f"`{key}`", _code(row.default), row.allowed, row.meaning) for key, row in found.parameters.items()
    ]
    rows = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in cells]
    table = "\n".join(
        ["| parameter | default | allowed | meaning |", "|---|---|---|---|", *(f"| {row} |" for row in rows)]
    )
    return f"### `{name}`\n\n{found.summary[0].upper()}{found.summary[1:]}.\n\n{table}\n"


def _code(value: object) -> str:
    return f"`{value}`" if str(value) else "none"


def preset_row(name: str) -> str:
    """One line of the table of presets."""
    preset = Preset.load(name)
    methods = ", ".join(f"`{method}`" for method in preset.methods)
    stems = ", ".join(preset.gives)
    return f"| `{name}` | {preset.task} | {stems} | {methods} | {preset.purpose or preset.description} |"


def session_row(row: Format) -> str:
    """One line of the table of session formats."""
    suffixes = ", ".join(f"`{suffix}`" for suffix in row.suffixes)
    return f"| {row.project} | {suffixes} | {_how(row)} |"


def _how(row: Format) -> str:
    if row.read:
        return "is read"
    return f"export the tracks: {row.export}" + (f"; or what is read: {row.exchange}" if row.exchange else "")


def reference() -> str:
    """The whole page."""
    parts = [
        "# Reference\n",
        "This page is written by `make reference` from the code; `make test` fails if it is out of date.\n",
        "## Commands\n",
        *(command_section(*item) for item in sorted(commands(main, "stembridge"))),
        "## Separators\n",
        *map(separator_section, separators.names()),
        "## Presets\n",
        "| name | task | stems | separator | for |\n|---|---|---|---|---|\n"
        + "\n".join(map(preset_row, Preset.names()))
        + "\n",
        "## Sessions\n",
        "A folder of audio files, as every DAW exports them, is a session. Projects of these are known:\n",
        "| project | files | |\n|---|---|---|\n" + "\n".join(map(session_row, FORMATS)) + "\n",
        "## Audio files\n",
        "What is read, told by its content; folders are searched for these suffixes:\n",
        "\n".join(f"- {line}" for line in readable().splitlines()),
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    REFERENCE.write_text(reference(), encoding="utf-8")
