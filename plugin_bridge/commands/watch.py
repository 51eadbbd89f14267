"""``stembridge watch``: a folder whose files and sessions are separated as they come."""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from plugin_bridge.audio.formats import readable
from plugin_bridge.commands import options
from plugin_bridge.commands.group import Command
from plugin_bridge.commands.running import report, say_faults, shown
from plugin_bridge.terminal import say

if TYPE_CHECKING:
    from plugin_bridge.batches.watching import Watched
    from plugin_bridge.engine.contract import Workers
    from plugin_bridge.presets.preset import Preset

RESCAN_SECONDS = 30.0
"""Folders are looked at so often without any notice: those on other machines give none."""
LOCKED_SECONDS = 1.0
"""Between two tries to write where another run is at work."""


@click.command(cls=Command, epilog="\b\nAudio that is read, told by its content:\n" + readable())
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
    help="Seconds without a change after which a file or session is taken.",
)
@click.option("--poll", is_flag=True, help="Look every interval: for folders whose system says no changes.")
@options.events_option
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
    poll: bool,
    as_json: bool,
    **chosen: Any,
) -> int:
    """Separate all audio files and sessions that come into FOLDER, or run them through a chain.

    What comes is taken when it has stopped changing, so that copying may take its time; what changes later
    is separated again. A folder with a DAW project in it is one session. What came while nobody watched is
    found at the next start. Ctrl-C ends it.
    """
    from plugin_bridge.batches.moments import moments
    from plugin_bridge.batches.watching import Watched
    from plugin_bridge.engine.contract import Workers
    from plugin_bridge.jobs.job import Settings
    from plugin_bridge.jobs.plan import files_in, preset_text

    files_in(folder, out)  # refuses results among the inputs
    options.parameters(preset, device=device)
    text = preset_text(preset) if device is None else preset_text(preset).on_device(device)
    watched = Watched(folder, out, text, Settings.chosen(preset.output, **chosen), interval)
    workers = Workers.chosen(jobs, cluster, memory)
    say(f"Watching {folder}; Ctrl-C ends it.", err=True)
    looked = -RESCAN_SECONDS
    for noticed in moments(folder, interval, lambda: watched.pause, poll):
        now = time.monotonic()
        if noticed or watched.waiting or now - looked > RESCAN_SECONDS:
            looked = now
            _look(watched, workers, quiet, as_json)
    return 0


def _look(watched: Watched, workers: Workers, quiet: bool, as_json: bool) -> None:
    """Do what is due, and what comes meanwhile."""
    from plugin_bridge.batches.watching import Feed
    from plugin_bridge.engine.batch import run_plan
    from plugin_bridge.errors import BridgeError
    from plugin_bridge.jobs.contract import Results
    from plugin_bridge.jobs.folder_lock import FolderTakenError, locked

    try:
        plan = watched.due()
    except BridgeError as error:  # the folder itself cannot be read now
        say(f"failed: {error}", err=True)
        return
    told = False
    while plan:
        try:
            with locked(watched.out), shown(quiet, as_json) as progress:
                # Above the bars, if there are any.
                faults = say_faults if quiet or as_json else partial(say_faults, write=progress.say)
                feed = Feed(watched, faults)
                done = run_plan(plan, progress, workers, feed)
                results = Results(done, projects=feed.projects)
        except FolderTakenError as error:
            if not told:
                say(f"waiting: {error}", err=True)
                told = True
            time.sleep(LOCKED_SECONDS)
            continue
        report(results, watched.out, quiet=quiet, as_json=as_json, faults_said=True)
        sys.stdout.flush()
        return
