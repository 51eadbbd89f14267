"""``stembridge dictionary``: how the parts of a session sound, for the separator ``nmf``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from plugin_bridge.commands import options
from plugin_bridge.commands.group import Group
from plugin_bridge.terminal import say, say_json, table

if TYPE_CHECKING:
    from separators.nmf.dictionary import Dictionary

MOST_SHOWN = 4
"""Names of files in a table; the JSON has all."""


@click.group(cls=Group)
def dictionary() -> None:
    """Dictionaries: how the parts of a session sound, learned from recordings of each part alone."""


def _parts(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, list[Path]]:
    parts: dict[str, list[Path]] = {}
    for value in values:
        name, equals, path = value.partition("=")
        if not (name and equals and path):
            raise click.BadParameter(f"{value!r} is not of the form NAME=FILE or NAME=FOLDER")
        if not Path(path).exists():
            raise click.BadParameter(f"there is no file or folder {path!r}")
        parts.setdefault(name, []).append(Path(path))
    return parts


@dictionary.command("learn")
@click.argument("parts", nargs=-1, required=True, callback=_parts, metavar="NAME=FILE|FOLDER...")
@click.option(
    "--out", "-o", type=click.Path(dir_okay=False, path_type=Path), help="The file to write, *.safetensors."
)
@click.option("--name", help="Keep it under this name, by which presets then find it, instead of --out.")
@click.option(
    "--templates",
    type=click.IntRange(1, 512),
    help="Spectral templates for each part: 16 if this does not say it.",
)
@options.quiet_option
@options.json_option
def learn(
    parts: dict[str, list[Path]],
    out: Path | None,
    name: str | None,
    templates: int | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Learn a dictionary from solo takes, other tracks, loops or one-shots.

    Each NAME becomes a stem of that name; give it again for more files of the same part. All audio files in
    a FOLDER count. Use the dictionary in a preset: separator nmf, mode supervised, dictionary = "FILE".
    """
    from plugin_bridge.learning.dictionaries import learn_from_files, target

    def said(part: str) -> None:
        if not quiet:
            say(f"Learning {part} ...", err=True)

    path = target(out, name)
    made = learn_from_files(parts, path, templates, said)
    if as_json:
        say_json(_described(path, made))
    elif not quiet:
        say(*_table(made), f"{path}: {path.stat().st_size} bytes")


@dictionary.command("show")
@click.argument("dictionary", metavar="NAME|FILE")
@options.json_option
def show(dictionary: str, as_json: bool) -> None:
    """Show the parts of a dictionary and what they were learned from."""
    from separators.nmf.dictionary import find, load

    found = load(dictionary)
    if as_json:
        say_json(_described(find(dictionary), found))
        return
    heading = f"{find(dictionary)}: {found.sample_rate} Hz, windows of {found.fft_size} samples"
    say(heading, "", *_table(found))


@dictionary.command("list")
@options.json_option
def list_dictionaries(as_json: bool) -> None:
    """List the dictionaries that presets find by name."""
    from separators.nmf.dictionary import find, load, names

    found = {name: load(name) for name in names()}
    if as_json:
        rows = [{"name": name, **_described(find(name), one)} for name, one in found.items()]
        say_json(rows)
        return
    say(*table(("dictionary", "stems"), [(name, ", ".join(one.names)) for name, one in found.items()]))


def _described(path: Path, dictionary: Dictionary) -> dict[str, Any]:
    parts = [
        {"name": name, "templates": len(part.found_by), **dictionary.sources.get(name, {})}
        for name, part in dictionary.parts.items()
    ]
    return {
        "path": str(path),
        "sample_rate": dictionary.sample_rate,
        "fft_size": dictionary.fft_size,
        "parts": parts,
    }


def _table(dictionary: Dictionary) -> list[str]:
    rows = []
    for name, part in dictionary.parts.items():
        sources = dictionary.sources.get(name, {})
        files = ", ".join(sources.get("files", [])[:MOST_SHOWN]) or "unknown"
        if (more := len(sources.get("files", [])) - MOST_SHOWN) > 0:
            files += f" and {more} more"
        rows.append((name, len(part.found_by), sources.get("seconds", "unknown"), files))
    return table(("part", "templates", "seconds", "learned from"), rows)
