"""Runs jobs for a command and says how they ended."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plugin_bridge.commands.group import FAILED, STOPPED, debugging
from plugin_bridge.terminal import say, say_json

if TYPE_CHECKING:
    from plugin_bridge.engine.contract import Workers
    from plugin_bridge.jobs.contract import Job, Result, Results
    from plugin_bridge.jobs.progress import Reporter


def run_call(
    call: Callable[..., Results],
    out: Path | None,
    *,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
    **workers: Any,
) -> int:
    """Make one of the calls of :mod:`plugin_bridge.api` and report; returns the exit status."""
    from plugin_bridge.errors import JobsFailedError

    if dry_run:
        _show_plan(call(dry_run=True).jobs, as_json)
        return 0
    with shown(quiet, as_json) as progress:
        try:
            results = call(progress=progress, **workers)
        except JobsFailedError as error:
            results = error.results
    return report(results, out, quiet=quiet, as_json=as_json)


@contextmanager
def shown(quiet: bool, as_json: bool) -> Iterator[Reporter]:
    """How far the jobs are, on standard error or as events; within, Ctrl-C ends the program soon."""
    from plugin_bridge.engine.events import EventReporter
    from plugin_bridge.engine.stopping import prompt_stop
    from plugin_bridge.jobs.contract import describe
    from plugin_bridge.jobs.progress import reporter

    events = EventReporter(sys.stdout)
    progress = events if as_json and not quiet else reporter(quiet)

    def stopped() -> None:
        if as_json:
            events.write("end", status="stopped")

    def last_words() -> None:
        stopped()
        say("Stopped.", err=True)

    with prompt_stop(STOPPED, last_words), progress:
        try:
            yield progress
        except KeyboardInterrupt:
            stopped()
            raise
        except Exception as error:  # none of the jobs', which are results
            if as_json:
                events.write("end", status="failed", error=describe(error))
            raise


def run(jobs: Sequence[Job], *, workers: Workers, quiet: bool, as_json: bool) -> list[Result]:
    """Check the plan and run it, with progress on standard error or as events."""
    from plugin_bridge.engine.batch import run_plan
    from plugin_bridge.jobs.plan import checked

    with shown(quiet, as_json) as progress:
        return run_plan(checked(jobs), progress, workers)


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
    out: Path | None,
    *,
    quiet: bool,
    as_json: bool,
    faults_said: bool = False,
    **more: Any,
) -> int:
    """Print what was done, what was not honoured and, last, what failed; returns the exit status.

    ``faults_said``: :func:`say_faults` has printed it already. ``more`` goes into the JSON.
    """
    if as_json:
        _say_end(results, more)
    elif not quiet:
        _summarise(results, out)
    if not faults_said:
        for result in (*(one for one in results.jobs if one.status != "failed"), *results.failed):
            say_faults(result)
    return FAILED if results.failed else 0


def say_faults(result: Result, write: Callable[[str], None] | None = None) -> None:
    """Print what speaks against a result: its warnings, and why it failed."""
    write = write or partial(say, err=True)
    for line in result.warnings:
        write(f"warning: {result.job}: {line}")
    if result.status == "failed":
        write(f"failed: {result.job}: {result.error}")
        for line in result.details.splitlines() if debugging() else ():
            write(line)


def _projects(results: Results) -> list[Path]:
    return [*([results.project] if results.project else []), *results.projects]


def _say_end(results: Results, more: Mapping[str, Any]) -> None:
    """The last event: how all of it ended, whole, for those who read no other."""
    from plugin_bridge.engine.events import EventReporter

    counts = Counter(result.status for result in results.jobs)
    EventReporter(sys.stdout).write(
        "end",
        status="failed" if results.failed else "done",
        done=counts["done"],
        skipped=counts["skipped"],
        left_out=counts["left out"],
        failed=[{"job": result.job, "error": result.error} for result in results.failed],
        jobs=[result.as_json() for result in results.jobs],
        notes=results.notes,
        further_outputs=[str(path) for path in (*_projects(results), results.page) if path],
        **more,
    )


def _summarise(results: Results, out: Path | None) -> None:
    from plugin_bridge.sessions.formats import format_of

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
    where = f"; results are in {out}{os.sep}" if out and (counts["done"] or counts["skipped"]) else ""
    say(f"{said or 'nothing to do'}{where}")
    for project in _projects(results):
        row = format_of(project)
        say(f"Open in {row.opens_in if row else 'your DAW'}: {project}")
    if results.page:
        say(f"Listen in a browser: {results.page.resolve().as_uri()}")
