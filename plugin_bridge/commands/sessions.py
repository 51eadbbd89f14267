"""``stembridge render`` and ``bounce``: what can be done with a DAW session."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from plugin_bridge.commands import options
from plugin_bridge.commands.group import Command
from plugin_bridge.commands.running import run_call

if TYPE_CHECKING:
    from plugin_bridge.presets.preset import Preset

project_argument = click.argument("project", type=options.EXISTING)
post_fader_option = click.option(
    "--post-fader", is_flag=True, help="With the tracks' volume, pan, polarity, mute and solo."
)

renderer_options = options.together(
    click.option(
        "--renderer",
        type=click.Choice(["own", "daw"]),
        default="own",
        show_default=True,
        help="daw: the project's own DAW renders (Ardour, LMMS, REAPER), with all instruments and effects.",
    ),
    click.option(
        "--time-limit",
        type=click.FloatRange(min=1),
        default=600,
        show_default=True,
        help="Seconds for each run of the DAW.",
    ),
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
@options.tail_option
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
@click.option(
    "--session-format",
    type=click.Choice(["rpp", "dawproject", "ardour"]),
    help="The kind of the project beside the stems; by default the session's own, else a REAPER project.",
)
@renderer_options
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
    return run_call(call, out, jobs=jobs, dry_run=dry_run, quiet=quiet, as_json=as_json)


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
    "--play-rate",
    is_flag=True,
    help="At the play rate of a REAPER project, as REAPER renders it. Without, on the project's own time.",
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
@options.tail_option
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
@renderer_options
@options.jobs_option
@click.option("--strict", is_flag=True, help="Fail where something cannot be honoured.")
@options.quiet_option
@options.dry_run_option
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
    return run_call(call, out, jobs=jobs, dry_run=dry_run, quiet=quiet, as_json=as_json)
