"""``stembridge render``, ``bounce`` and ``inspect``: what can be done with a DAW session."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from plugin_bridge.commands import options
from plugin_bridge.commands.group import FAILED, Command
from plugin_bridge.commands.running import run_call
from plugin_bridge.terminal import say, say_json, table

if TYPE_CHECKING:
    from plugin_bridge.presets.preset import Preset
    from plugin_bridge.sessions import Session, Track

project_argument = click.argument("project", type=options.EXISTING)
post_fader_option = click.option(
    "--post-fader", is_flag=True, help="With the tracks' volume, pan, polarity, mute and solo."
)


@click.command(cls=Command)
@project_argument
@options.preset_option
@options.out_option
@options.track_options
@post_fader_option
@options.processing_options
@options.format_options
@options.stem_options
@click.option(
    "--together",
    "groups",
    multiple=True,
    metavar="PATTERN",
    help="Take the tracks whose name fits, with * and ?, as the microphones of one recording, and give each "
    "its own source; may be repeated for several recordings.",
)
@click.option("--no-together", is_flag=True, help="Each track on its own, whatever the preset says.")
@options.parameter_options
@options.align_option
@options.device_option
@options.plots_option
@options.report_option
@options.run_options
def render(
    project: Path,
    preset: Preset,
    out: Path,
    assignments: dict[str, str],
    one_shots: Path | None,
    align: bool,
    device: str | None,
    tracks: tuple[str, ...],
    groups: tuple[str, ...],
    no_together: bool,
    jobs: int,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
    events: bool,
    **chosen: Any,
) -> int:
    """Separate the tracks of a DAW session into stems.

    PROJECT is a REAPER project (.rpp), a folder that holds one, or a folder of audio files as every
    DAW exports them. It is never changed. Beside the stems lies a REAPER project with the original
    tracks muted and the stems under them.
    """
    import plugin_bridge

    if groups and (tracks or no_together):
        raise click.UsageError("--together names its tracks itself; leave out --tracks and --no-together")
    call = partial(
        plugin_bridge.render,
        project,
        preset,
        out,
        tracks=tracks,
        together=groups or (False if no_together else None),
        parameters=options.parameters(preset, assignments, one_shots, align=align, device=device),
        device=device,
        **chosen,
    )
    return run_call(call, out, jobs=jobs, dry_run=dry_run, quiet=quiet, as_json=as_json, events=events)


@click.command(cls=Command)
@project_argument
@options.out_option
@options.track_options
@post_fader_option
@options.processing_options
@click.option("--mix", is_flag=True, help="The whole mix through all faders instead of the tracks.")
@click.option(
    "--from",
    "start",
    metavar="PLACE",
    help="Render from here on: seconds (90.5, 1:30), a bar ('bar 17', 'bar 17.3') or a marker's name.",
)
@click.option(
    "--to",
    "end",
    metavar="PLACE",
    help="Render up to here; by default to the end of the region that --from names, or of the session.",
)
@click.option(
    "--midi", is_flag=True, help="Also the session's notes, tempo map and markers, as one MIDI file."
)
@click.option(
    "--preset",
    "-p",
    metavar="FILE",
    help="A preset with a [[chain]] of plug-ins that each file goes through.",
)
@options.plugin_path_option
@options.format_options
@click.option(
    "--name",
    default="{track}",
    show_default=True,
    callback=options.template,
    metavar="TEMPLATE",
    help="Names of the results, with {track} {index} {parent}.",
)
@click.option(
    "--renderer",
    type=click.Choice(["own", "daw"]),
    default="own",
    show_default=True,
    help="daw: the project's own DAW renders (Ardour, LMMS, REAPER), with all instruments and effects.",
)
@click.option(
    "--time-limit",
    type=click.FloatRange(min=1),
    default=600,
    show_default=True,
    help="Seconds for each run of the DAW.",
)
@options.jobs_option
@click.option("--strict", is_flag=True, help="Fail where something cannot be honoured.")
@options.quiet_option
@options.dry_run_option
@options.json_option
@options.events_option
def bounce(
    project: Path,
    out: Path,
    tracks: tuple[str, ...],
    mix: bool,
    jobs: int,
    quiet: bool,
    dry_run: bool,
    as_json: bool,
    events: bool,
    **chosen: Any,
) -> int:
    """Write the tracks of a DAW session, or its mix, without separating them.

    All files begin at the session's start and are equally long. Tracks, folders and buses are taken before
    their faders and effects, unless asked otherwise, with what other tracks send to them.
    """
    import plugin_bridge

    if mix and tracks:
        raise click.UsageError("--mix is all tracks; leave out --tracks")
    call = partial(plugin_bridge.bounce, project, out, tracks=tracks, mix=mix, **chosen)
    return run_call(call, out, jobs=jobs, dry_run=dry_run, quiet=quiet, as_json=as_json, events=events)


@click.command(cls=Command)
@project_argument
@options.media_root_option
@click.option("--strict", is_flag=True, help="Exit with status 1 if anything cannot be honoured.")
@options.json_option
def inspect(project: Path, media_roots: tuple[Path, ...], strict: bool, as_json: bool) -> int:
    """Show what is in a DAW session, and what of it rendering will not reproduce."""
    from plugin_bridge.sessions import open_session

    session = open_session(project, media_roots=media_roots)
    if as_json:
        say_json(_plain(session))
    else:
        say(*_text(session))
    return FAILED if strict and session.not_honoured else 0


def _plain(session: Session) -> dict[str, Any]:
    """The session as JSON can hold it."""
    values: dict[str, Any] = json.loads(json.dumps(asdict(session), default=_plain_value))
    return {"name": session.name, "end": session.end, **values}


def _plain_value(value: Any) -> Any:
    return getattr(value, "value", None) or str(value)


def _text(session: Session) -> list[str]:
    first = session.tempo[0]
    tempo = f"{first.bpm:g} bpm, {first.numerator}/{first.denominator}"
    if len(session.tempo) > 1:
        tempo += f", {len(session.tempo) - 1} changes"
    lines = [
        f"{session.name} ({session.format}): {session.sample_rate} Hz, {session.end:.3f} s, {tempo}",
        "",
        *table(
            ("", "track", "clips", "from", "to", "notes", "strip"),
            [_row(number, track, depth) for number, (track, depth) in enumerate(_nested(session.tracks), 1)],
        ),
    ]
    if session.start:
        lines.insert(1, f"starts at {session.start:.3f} s of the DAW's clock")
    if session.markers:
        places = ", ".join(f"{marker.name or 'unnamed'} {marker.seconds:.3f} s" for marker in session.markers)
        lines += ["", f"Markers: {places}"]
    if session.notes:
        lines += ["", *session.notes]
    if session.not_honoured:
        lines += ["", f"Not honoured ({len(session.not_honoured)}):"]
        lines += [f"  {line}" for line in session.not_honoured]
    return lines


def _nested(tracks: Sequence[Track], depth: int = 0) -> list[tuple[Track, int]]:
    rows = []
    for track in tracks:
        rows += [(track, depth), *_nested(track.children, depth + 1)]
    return rows


def _row(number: int, track: Track, depth: int) -> tuple[Any, ...]:
    starts = [clip.position for clip in track.clips]
    ends = [clip.position + clip.length for clip in track.clips]
    strip = [word for word in ("muted", "soloed", "inverted") if getattr(track, word)]
    if track.volume != 1:
        strip.append(f"volume {track.volume:.3g}")
    if track.pan:
        strip.append(f"pan {track.pan:+.2g}")
    strip += track.plugins
    return (
        number,
        "  " * depth + track.name,
        len(track.clips),
        f"{min(starts):.3f}" if starts else "",
        f"{max(ends):.3f}" if ends else "",
        len(track.notes) or "",
        ", ".join(strip),
    )
