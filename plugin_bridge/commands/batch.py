"""``stembridge batch``: a job file, whole."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from plugin_bridge.commands import options
from plugin_bridge.commands.group import FAILED, Command
from plugin_bridge.commands.running import run_call
from plugin_bridge.terminal import say, say_json, table

if TYPE_CHECKING:
    from plugin_bridge.batches.estimates import Estimate
    from plugin_bridge.jobs.contract import Result


@click.command(cls=Command)
@click.argument("job_file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="JOBS.toml")
@options.work_options
@options.dry_run_option
@options.events_option
def batch(
    job_file: Path,
    jobs: int,
    cluster: str | None,
    memory: str | None,
    force: bool,
    strict: bool,
    quiet: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Do all that a job file says: many inputs, presets by pattern.

    The file is checked whole before any work, and nothing is begun that the disk cannot hold. Started again,
    the command does what is not done yet.
    """
    import plugin_bridge

    call = partial(plugin_bridge.batch, job_file, force=force, strict=strict)
    if dry_run:
        return _show(job_file, jobs, force, as_json)
    return run_call(
        call,
        None,
        dry_run=False,
        quiet=quiet,
        as_json=as_json,
        jobs=jobs,
        cluster=cluster,
        memory=memory,
    )


def _show(job_file: Path, workers: int, force: bool, as_json: bool) -> int:
    """The plan and what it will take; status 1 if something stands against it."""
    from plugin_bridge.batches.estimates import estimate
    from plugin_bridge.batches.job_file import JobFile
    from plugin_bridge.batches.planning import plan_of
    from plugin_bridge.calls import planned_result

    made = plan_of(JobFile.read(job_file, force=force))
    found = estimate(made.plan, made.outs, workers)
    results = [planned_result(one) for one in made.plan]
    failed = any(result.status == "failed" for result in results) or bool(found.short)
    if as_json:
        say_json({"jobs": [_plain(result) for result in results], "estimate": _figures(found)})
    else:
        for result in results:
            say(f"{result.job}: {result.error or '; '.join(result.warnings) or _outputs(result)}")
        say("", *_text(found, workers))
    return FAILED if failed else 0


def _plain(result: Result) -> dict[str, object]:
    outputs = [str(path) for path in result.outputs]
    return {"job": result.job, "status": result.status, "outputs": outputs, "error": result.error}


def _outputs(result: Result) -> str:
    """Where a planned job's files go."""
    if not result.outputs:
        return "cannot be planned, since its input cannot be opened or does not suit the preset"
    folder = os.path.commonpath([path.parent for path in result.outputs])
    return f"{len(result.outputs)} files in {folder}{os.sep}"


def _figures(found: Estimate) -> dict[str, object]:
    return {
        "jobs": found.jobs,
        "up_to_date": found.up_to_date,
        "seconds": found.seconds,
        "bytes": found.size,
        "temporary_bytes": found.temporary,
        "free_bytes": found.free,
        "enough_space": not found.short,
        "presets": [
            {
                "preset": one.preset,
                "jobs": one.jobs,
                "audio_seconds": one.audio_seconds,
                "work_seconds": one.work_seconds,
                "measured_here": one.measured_here,
            }
            for one in found.presets
        ],
    }


def _text(found: Estimate, workers: int) -> list[str]:
    from plugin_bridge.batches.estimates import amount
    from plugin_bridge.jobs.pace import clock

    rows = [
        (
            one.preset,
            one.jobs,
            clock(one.audio_seconds),
            "unknown" if one.work_seconds is None else clock(one.work_seconds),
            "earlier runs" if one.measured_here else "" if one.work_seconds is None else "table",
        )
        for one in found.presets
    ]
    lines = table(("preset", "jobs", "audio", "work", "known by"), rows) if rows else []
    lines += [f"{found.jobs} to do, {found.up_to_date} seem up to date"]
    if found.jobs:
        many = f"{workers} workers" if workers > 1 else "1 worker"
        time = "of unknown length" if found.seconds is None else f"about {clock(found.seconds)}"
        lines.append(f"{time} with {many}")
        lines.append(
            f"about {amount(found.size)} of results and {amount(found.temporary)} beside them meanwhile; "
            f"{amount(found.free)} are free"
        )
    for folder, needed, free in found.short:
        lines.append(f"not enough space for {folder}: {amount(needed)} needed, {amount(free)} free")
    return lines
