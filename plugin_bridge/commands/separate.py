"""``stembridge separate``, ``process`` and ``watch``: audio files into stems, or through chains."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from plugin_bridge.audio.formats import readable
from plugin_bridge.commands import options
from plugin_bridge.commands.group import Command
from plugin_bridge.commands.running import report, run, run_call
from plugin_bridge.errors import JobError
from plugin_bridge.terminal import say

if TYPE_CHECKING:
    from plugin_bridge.presets.preset import Preset


READ = "\b\nAudio that is read, told by its content:\n" + readable()


@click.command(cls=Command, epilog=READ)
@click.argument("paths", type=options.EXISTING, nargs=-1, required=True, metavar="FILE|FOLDER...")
@options.preset_option
@options.out_option
@options.format_options
@options.stem_options
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
    events: bool,
    **chosen: Any,
) -> int:
    """Separate audio files, and all audio files in folders, into stems.

    The results of a folder keep its tree. What is done already, from the same samples with the same
    preset, is not done again.
    """
    import plugin_bridge

    parameters = options.parameters(preset, assignments, one_shots, score, align, device)
    call = partial(plugin_bridge.separate, paths, preset, out, parameters=parameters, device=device, **chosen)
    return run_call(call, out, jobs=jobs, dry_run=dry_run, quiet=quiet, as_json=as_json, events=events)


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
    events: bool,
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
        return run_call(call, out, jobs=jobs, dry_run=dry_run, quiet=quiet, as_json=as_json, events=events)
    except PresetError as error:
        raise click.BadParameter(str(error)) from None


@click.command(cls=Command, epilog=READ)
@click.argument("folder", type=options.EXISTING_FOLDER)
@options.preset_option
@options.out_option
@options.format_options
@options.stem_options
@options.device_option
@options.work_options
@click.option(
    "--interval",
    type=click.FloatRange(min=0.1),
    default=2.0,
    show_default=True,
    help="Seconds between looks.",
)
def watch(
    folder: Path,
    preset: Preset,
    out: Path,
    device: str | None,
    jobs: int,
    cluster: str | None,
    memory: str | None,
    quiet: bool,
    interval: float,
    **chosen: Any,
) -> int:
    """Separate every audio file that comes into FOLDER, or run it through a chain, until Ctrl-C.

    A file is taken when it has not changed from one look to the next, so that copying it may take its
    time; a file that changes later is separated again.
    """
    from plugin_bridge.engine.contract import Workers
    from plugin_bridge.jobs.contract import Results
    from plugin_bridge.jobs.job import Settings
    from plugin_bridge.jobs.plan import file_jobs, files_in, label_of, preset_text

    options.parameters(preset, device=device)
    who = Workers.chosen(jobs, cluster, memory)
    text, settings = preset_text(preset), Settings.chosen(preset.output, **chosen)
    text = text if device is None else text.on_device(device)
    say(f"Watching {folder}; Ctrl-C ends it.", err=True)
    seen: dict[Path, tuple[int, int]] = {}
    taken: dict[Path, tuple[int, int]] = {}
    failed: set[Path] = set()
    while True:
        inputs = files_in(folder, out)
        looked_at = [*(path for path, _ in inputs.files), *inputs.left_out]
        before, seen = seen, {path: _signature(path) for path in looked_at}
        if before.keys() - seen.keys():  # what is gone may have stood in the way of others
            for path in failed:
                taken.pop(path, None)
        settled = {path for path, sign in seen.items() if before.get(path) == sign != taken.get(path)}
        if settled:
            taken.update((path, seen[path]) for path in settled)
            new = {label_of(path) for path in settled}
            try:
                # All files are planned, those done already first, whose results keep their names.
                planned = sorted(file_jobs([folder], out, text, settings), key=lambda job: job.label in new)
                results = Results(run(planned, only=new, workers=who, quiet=quiet))
                report(results, out, quiet=quiet)
                not_done = {result.job for result in results.failed}
                failed = {path for path in failed | settled if label_of(path) in not_done} | (
                    failed - settled
                )
            except JobError as error:
                say(f"failed: {error}", err=True)
                failed |= settled
        time.sleep(interval)


def _signature(path: Path) -> tuple[int, int]:
    """Size and time of change; zeros for a file that is gone by now."""
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return (status.st_size, status.st_mtime_ns)
