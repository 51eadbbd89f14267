"""``stembridge inspect``: a session as a picture in text, or as JSON with a published schema."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from plugin_bridge.commands import options
from plugin_bridge.commands.group import FAILED, Command
from plugin_bridge.terminal import one_line, say, say_json, table

if TYPE_CHECKING:
    from plugin_bridge.sessions.picture import ClipPicture, SessionPicture, TrackPicture

NARROWEST, WIDEST = 40, 100
"""Characters of the timeline."""
LONGEST_NAME = 24
LONGEST_IN_TABLE = 60
SOUNDS, MUTED, LEFT_OUT, SILENT, NOTES = "=", "-", "!", " ", "~"
TICKS = 4
"""Parts that the ruler is divided into."""
MOST_CHANGES = 8
"""Of the tempo that are listed."""


def _print_schema(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        from plugin_bridge.sessions.picture import SessionPicture

        say_json(SessionPicture.model_json_schema())
        context.exit()


@click.command(cls=Command)
@click.argument("project", type=options.EXISTING)
@options.media_root_option
@click.option("--strict", is_flag=True, help="Exit with status 1 if anything cannot be honoured.")
@click.option(
    "--schema",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_schema,
    help="Print the JSON schema of what --json prints, and nothing else.",
)
@options.json_option
def inspect(project: Path, media_roots: tuple[Path, ...], strict: bool, as_json: bool) -> int:
    """Show what is in a DAW session, and what of it rendering will not reproduce.

    The timeline shows clips that sound as =, muted ones as -, those that cannot be played as !; MIDI notes
    as ~.
    """
    from plugin_bridge.sessions import open_session
    from plugin_bridge.sessions.picture import picture

    shown = picture(open_session(project, media_roots=media_roots))
    if as_json:
        say_json(shown.model_dump())
    else:
        say(*_text(shown))
    return FAILED if strict and shown.not_honoured else 0


def _text(shown: SessionPicture) -> list[str]:
    first = shown.tempo[0]
    tempo = f"{first.bpm:g} bpm, {first.numerator}/{first.denominator}"
    if len(shown.tempo) > 1:
        tempo += f", {len(shown.tempo) - 1} changes"
    lines = [f"{shown.name} ({shown.format}): {shown.sample_rate} Hz, {shown.end_with_notes:.3f} s, {tempo}"]
    if shown.start:
        lines.append(f"starts at {shown.start:.3f} s of the DAW's clock")
    if master := _master(shown):
        lines.append(f"master: {', '.join(master)}")
    nested = list(_nested(shown.tracks))
    rows = [_row(number, track, depth) for number, (track, depth) in enumerate(nested, 1)]
    lines += ["", *table(("", "track", "clips", "from", "to", "notes", "strip"), rows)]
    if shown.end_with_notes > 0:
        lines += ["", *_timeline(shown, nested)]
    lines += _listed(shown, nested)
    return lines


def _master(shown: SessionPicture) -> list[str]:
    """What the master does to the mix."""
    words = ["muted"] if shown.master_muted else []
    words += ["mono"] if shown.master_mono else []
    words += [f"volume {shown.master_volume:.3g}"] if shown.master_volume != 1 else []
    return words + ([f"pan {shown.master_pan:+.2g}"] if shown.master_pan else [])


def _listed(shown: SessionPicture, nested: Sequence[tuple[TrackPicture, int]]) -> Iterator[str]:
    """Tempo, markers, plug-ins, sends, and what is decided and not honoured."""
    if len(shown.tempo) > 1:
        changes = [f"{one.bpm:g} bpm {one.seconds:.3f} s" for one in shown.tempo[:MOST_CHANGES]]
        more = len(shown.tempo) - MOST_CHANGES
        yield from ("", f"Tempo: {', '.join(changes)}" + (f", and {more} more" if more > 0 else ""))
    if shown.markers:
        places = ", ".join(f"{one.name or 'unnamed'} {one.seconds:.3f} s" for one in shown.markers)
        yield from ("", f"Markers: {places}")
    plugins = [(track.name, plugin) for track, _ in nested for plugin in track.plugins]
    if plugins:
        yield from ("", f"Plug-ins ({len(plugins)}):")
        for name, plugin in plugins:
            what = [
                plugin.format or "plug-in",
                "with its state" if plugin.has_state else "without state",
                *(["bypassed"] if plugin.bypassed else []),
            ]
            yield f"  {name}: {plugin.name} ({', '.join(what)})"
    names = {track.identifier: track.name for track, _ in nested}
    sends = [(track.name, send) for track, _ in nested for send in track.sends]
    if sends:
        yield from ("", "Sends:")
        for name, send in sends:
            yield f"  {name} -> {names.get(send.target, send.target)}: {send.gain:.3g}, {send.tap}"
    for title, found in (("Notes", shown.notes), ("Not honoured", shown.not_honoured)):
        if found:
            yield from ("", f"{title} ({len(found)}):")
            yield from (f"  {line}" for line in found)


def _timeline(shown: SessionPicture, nested: Sequence[tuple[TrackPicture, int]]) -> Iterator[str]:
    """A line of characters for each track with clips or notes, under a ruler in seconds and the markers."""
    column = min(LONGEST_NAME, max(len(one_line(track.name)) for track, _ in nested)) if nested else 0
    width = min(max(shutil.get_terminal_size().columns - column - 3, NARROWEST), WIDEST)

    def place(seconds: float) -> int:
        return min(width - 1, max(0, int(seconds / shown.end_with_notes * width)))

    ruler = [" "] * (width + 12)
    for tick in range(TICKS + 1):
        label = f"{shown.end_with_notes * tick / TICKS:.1f}"
        at = width * tick // TICKS
        ruler[at : at + len(label)] = label
    yield f"{'seconds':{column}}  {''.join(ruler).rstrip()}"
    if shown.markers:
        marks = [" "] * width
        for marker in shown.markers:
            marks[place(marker.seconds)] = "v"
        yield f"{'markers':{column}}  {''.join(marks).rstrip()}"
    for track, _ in nested:
        if track.clips or track.note_spans:
            cells = [SILENT] * width
            for start, end in track.note_spans:
                first, last = place(start), place(end - 1e-9)
                cells[first : last + 1] = NOTES * (last + 1 - first)
            for clip in track.clips:
                for at in range(place(clip.position), place(clip.position + clip.length - 1e-9) + 1):
                    cells[at] = _cell(clip, track, cells[at])
            name = one_line(track.name)
            yield f"{name[:column]:{column}} |{''.join(cells)}|"


def _cell(clip: ClipPicture, track: TrackPicture, before: str) -> str:
    """What is seen where a clip lies: the worst of what is there."""
    cell = LEFT_OUT if clip.problem else MUTED if clip.muted or track.muted else SOUNDS
    return LEFT_OUT if LEFT_OUT in (cell, before) else SOUNDS if SOUNDS in (cell, before) else MUTED


def _nested(tracks: Sequence[TrackPicture], depth: int = 0) -> Iterator[tuple[TrackPicture, int]]:
    for track in tracks:
        yield track, depth
        yield from _nested(track.children, depth + 1)


def _short(name: str) -> str:
    """``name`` as the table shows it, whose columns are as wide as their longest cell."""
    return name if len(name) <= LONGEST_IN_TABLE else name[: LONGEST_IN_TABLE - 3] + "..."


def _row(number: int, track: TrackPicture, depth: int) -> tuple[Any, ...]:
    spans = [(clip.position, clip.position + clip.length) for clip in track.clips] + track.note_spans
    starts, ends = [start for start, _ in spans], [end for _, end in spans]
    strip = [word for word in ("muted", "soloed", "inverted") if getattr(track, word)]
    if track.kind == "bus":
        strip.append("bus")
    if track.volume != 1:
        strip.append(f"volume {track.volume:.3g}")
    if track.pan:
        strip.append(f"pan {track.pan:+.2g}")
    if track.automated:
        strip.append(f"automated {', '.join(dict.fromkeys(track.automated))}")
    strip += [_short(plugin.name) for plugin in track.plugins if not plugin.bypassed]
    return (
        number,
        _short("  " * depth + track.name),
        len(track.clips),
        f"{min(starts):.3f}" if starts else "",
        f"{max(ends):.3f}" if ends else "",
        track.note_count or "",
        ", ".join(strip),
    )
