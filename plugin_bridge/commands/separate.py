"""``stembridge separate`` and ``process``: audio files into stems, or through chains."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from plugin_bridge.audio.formats import readable
from plugin_bridge.commands import options
from plugin_bridge.commands.group import Command
from plugin_bridge.commands.running import run_call

if TYPE_CHECKING:
    from plugin_bridge.presets.preset import Preset


READ = "\b\nAudio that is read, told by its content:\n" + readable()


@click.command(cls=Command, epilog=READ)
@click.argument("paths", type=options.EXISTING, nargs=-1, required=True, metavar="FILE|FOLDER...")
@options.preset_option
@options.out_option
@options.format_options
@options.stem_options
@options.tail_option
@options.together_option
@options.parameter_options
@options.score_option
@options.align_option
@options.device_option
@options.plots_option
@options.report_option
@options.run_options
def separate(
    paths: tuple[Path, ...],
    preset: Preset,
    out: Path,
    assignments: dict[str, str],
    one_shots: Path | None,
    score: Path | None,
    align: bool,
    device: str | None,
    jobs: int,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
    **chosen: Any,
) -> int:
    """Separate audio files, and all audio files in folders, into stems.

    The results of a folder keep its tree. What is done already, from the same samples with the same
    preset, is not done again.
    """
    import plugin_bridge

    parameters = options.parameters(preset, assignments, one_shots, score, align, device)
    call = partial(plugin_bridge.separate, paths, preset, out, parameters=parameters, device=device, **chosen)
    return run_call(call, out, jobs=jobs, dry_run=dry_run, quiet=quiet, as_json=as_json)


@click.command(cls=Command, epilog=READ)
@click.argument("paths", type=options.EXISTING, nargs=-1, required=True, metavar="FILE|FOLDER...")
@options.preset_option
@options.processed_option
@options.tail_option
@options.format_options
@options.name_option
@options.plugin_path_option
@options.plots_option
@options.report_option
@options.run_options
def process(
    paths: tuple[Path, ...],
    preset: Preset,
    out: Path,
    jobs: int,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
    **chosen: Any,
) -> int:
    """Run audio files, and all audio files in folders, through a chain of plug-ins.

    The preset holds a [[chain]] instead of a separator. The results of a folder keep its tree. What is done
    already, from the same samples with the same preset, is not done again.
    """
    import plugin_bridge
    from plugin_bridge.errors import PresetError

    try:
        call = partial(plugin_bridge.process, paths, preset, out, **chosen)
        return run_call(call, out, jobs=jobs, dry_run=dry_run, quiet=quiet, as_json=as_json)
    except PresetError as error:
        raise click.BadParameter(str(error)) from None
