"""``stembridge presets`` and ``stembridge separators``: what there is to choose from."""

from __future__ import annotations

import shutil
import textwrap
from itertools import zip_longest
from pathlib import Path

import click

from plugin_bridge.commands import options
from plugin_bridge.commands.group import FAILED, Group
from plugin_bridge.terminal import say, say_json, table

NARROWEST, WIDEST = 60, 110
HEADINGS = {
    "songs": "Songs",
    "voices": "Voices on one microphone",
    "drums": "Drums",
    "microphones": "Microphones that hear each other",
    "loops": "Loops, layers, instruments side by side",
    "score": "With a score (MIDI)",
}


@click.group(cls=Group)
def presets() -> None:
    """The presets: what there is, what is in them, whether a file of your own is right."""


@presets.command("list")
@options.json_option
def list_presets(as_json: bool) -> None:
    """List the presets that come with Stembridge."""
    from plugin_bridge.presets.preset import Preset

    found = {name: Preset.read(name) for name in Preset.names()}
    if as_json:
        keys = ("title", "description", "purpose", "task", "gives", "methods")
        rows = [
            {"name": name, **{key: getattr(preset, key) for key in keys}} for name, preset in found.items()
        ]
        say_json(rows)
        return
    width = min(max(shutil.get_terminal_size().columns, NARROWEST), WIDEST)
    column = max(map(len, found)) + 4
    for task, heading in HEADINGS.items():
        say(heading)
        for name, preset in found.items():
            if preset.task == task:
                stems, purpose = (
                    textwrap.wrap(text, width - column - 2, break_on_hyphens=False)
                    for text in (", ".join(preset.gives), preset.purpose or preset.title)
                )
                for start, line in zip_longest([f"  {name}"], [*stems, *(f"  {line}" for line in purpose)]):
                    say(f"{start or '':{column}}{line}")
        say("")
    say("presets show NAME prints one: a start for one of your own.")


@presets.command("show")
@click.argument("preset", metavar="NAME|FILE")
def show_preset(preset: str) -> None:
    """Print a preset as the TOML file that it is: a start for one of your own."""
    from plugin_bridge.presets.preset import Preset

    say(*Preset.read(preset).dump().rstrip("\n").split("\n"))


@presets.command("check")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--plugin-path",
    "plugin_paths",
    type=options.EXISTING,
    multiple=True,
    help="A folder to look for third-party plug-ins in, besides the system's; may be repeated.",
)
def check_presets(files: tuple[str, ...], plugin_paths: tuple[Path, ...]) -> int:
    """Check preset files: every name, every range, every plug-in."""
    from plugin_bridge.errors import BridgeError
    from plugin_bridge.presets.preset import Preset

    status = 0
    for file in files:
        try:
            Preset.load(file).check(plugin_paths)
        except BridgeError as error:
            say(f"failed: {error}", err=True)
            status = FAILED
        else:
            say(f"{file}: right")
    return status


@presets.command("schema")
def schema() -> None:
    """Print the JSON schema of preset files, for editors that check and complete them."""
    from plugin_bridge.presets.preset import Preset

    say_json(Preset.model_json_schema())


@click.group(cls=Group)
def separators() -> None:
    """The separation algorithms, built in and installed by other packages."""


@separators.command("list")
@options.json_option
def list_separators(as_json: bool) -> None:
    """List all separators."""
    import separators as algorithms

    found = [(name, algorithms.summary(name)) for name in algorithms.names()]
    if as_json:
        rows = [{"name": name, "summary": summary} for name, summary in found]
        say_json(rows)
        return
    say(*table(("separator", "what it does"), found))


@separators.command("show")
@click.argument("name")
@options.json_option
def show_separator(name: str, as_json: bool) -> None:
    """Show a separator's parameters, their ranges and defaults."""
    import separators as algorithms
    from separators.parameters import Content

    found = algorithms.get(name)
    rows = [
        {
            "parameter": key,
            "type": row.type.__name__,
            "unit": row.unit,
            "default": str(row.default) if issubclass(row.type, Content) else row.default,
            "allowed": row.allowed,
            "help": row.meaning,
        }
        for key, row in found.parameters.items()
    ]
    if as_json:
        values = {"name": name, "summary": found.summary, "parameters": rows}
        say_json(values)
        return
    say(
        f"{name}: {found.summary}",
        "",
        *table(
            ("parameter", "default", "allowed", "meaning"),
            [(row["parameter"], row["default"], row["allowed"], row["help"]) for row in rows],
        ),
    )
