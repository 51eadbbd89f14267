"""Runs jobs for a command and says how they ended."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plugin_bridge.commands.group import FAILED, debugging
from plugin_bridge.terminal import say, say_json

if TYPE_CHECKING:
    from plugin_bridge.jobs.contract import Job, Result, Results


def run_call(
    call: Callable[..., Results], out: Path, *, jobs: int, dry_run: bool, quiet: bool, as_json: bool
) -> int:
    """Make one of the calls of :mod:`plugin_bridge.api` and report; returns the exit status."""
    from plugin_bridge.errors import JobsFailedError
    from plugin_bridge.jobs.progress import reporter

    if dry_run:
        _show_plan(call(dry_run=True).jobs, as_json)
        return 0
    with reporter(quiet) as progress:
        try:
            results = call(jobs=jobs, progress=progress)
        except JobsFailedError as error:
            results = error.results
    return report(results, out, quiet=quiet, as_json=as_json)


def run(
    jobs: Sequence[Job], *, workers: int = 1, only: Collection[str] | None = None, quiet: bool = False
) -> list[Result]:
    """Check the plan and run it, or the jobs labelled ``only``, with progress on standard error."""
    from plugin_bridge.jobs.batch import run_jobs
    from plugin_bridge.jobs.plan import checked
    from plugin_bridge.jobs.progress import reporter

    chosen = [job for job, _ in checked(jobs) if only is None or job.label in only]
    with reporter(quiet) as progress:
        return run_jobs(chosen, progress, workers)


def _show_plan(planned: Sequence[Result], as_json: bool) -> None:
    if as_json:
        plan = [{"job": result.job, "outputs": [str(path) for path in result.outputs]} for result in planned]
        say_json({"jobs": plan})
        return
    for result in planned:
        say(f"{result.job}:")
        for path in result.outputs:
            say(f"  {path}")
        for line in [result.error, *result.warnings]:
            if line:
                say(f"  {line}")
        if result.status == "planned" and not result.outputs:
            say("  cannot be planned, since its input cannot be opened or does not suit the preset")


def report(
    results: Results,
    out: Path,
    *,
    quiet: bool,
    as_json: bool = False,
    **more: Any,
) -> int:
    """Print what was done, what was not honoured and, last, what failed; returns the exit status.

    ``more`` goes into the JSON.
    """
    if as_json:
        say_json(
            {
                "status": "failed" if results.failed else "done",
                "jobs": [result.as_json() for result in results.jobs],
                "notes": results.notes,
                "further_outputs": [str(path) for path in (results.project, results.page) if path],
                **more,
            }
        )
    elif not quiet:
        _summarise(results, out)
    for result in results.jobs:
        for line in result.warnings:
            say(f"warning: {result.job}: {line}", err=True)
    for result in results.failed:
        say(f"failed: {result.job}: {result.error}", err=True)
        if result.details and debugging():
            say(*result.details.splitlines(), err=True)
    return FAILED if results.failed else 0


def _summarise(results: Results, out: Path) -> None:
    for line in results.notes:
        say(line)
    for result in results.jobs:
        for line in result.notes:
            say(f"{result.job}: {line}")
    lines = dict.fromkeys(line for result in results.jobs for line in result.not_honoured)
    if lines:
        say(f"Not honoured ({len(lines)}):")
        for line in lines:
            say(f"  {line}")
    counts: Counter[str] = Counter(result.status for result in results.jobs)
    words = {"done": "done", "skipped": "up to date", "left out": "left out", "failed": "failed"}
    said = ", ".join(f"{counts[status]} {word}" for status, word in words.items() if counts[status])
    say(f"{said or 'nothing to do'}; results are in {out}{os.sep}")
    if results.project:
        say(f"Open in REAPER: {results.project}")
    if results.page:
        say(f"Listen in a browser: {results.page.resolve().as_uri()}")
