"""``stembridge report``: a page to listen to stems that were made before."""

from __future__ import annotations

from pathlib import Path

import click

from plugin_bridge.commands import options
from plugin_bridge.commands.group import Command
from plugin_bridge.terminal import say


@click.command(cls=Command)
@click.argument("results", type=options.EXISTING_FOLDER, metavar="DIR")
@click.option(
    "--to",
    type=options.FOLDER,
    help="The page's folder; made if it is missing. [default: DIR/report]",
)
@options.quiet_option
def report(results: Path, to: Path | None, quiet: bool) -> None:
    """Make a page to listen to the stems in DIR.

    DIR is what render, separate or demo wrote. The page is a folder that opens in a browser from disk,
    without a server and without the internet: a mixer for each track with mute, solo and volume, the
    original and the difference to it, waveforms and spectrograms, loops, and the presets of a track side
    by side. Made again, it makes anew only what has changed.
    """
    from plugin_bridge.jobs.listening import page_of
    from plugin_bridge.jobs.progress import reporter

    with reporter(quiet) as progress:
        page = page_of(results, progress, to)
    say(str(page) if quiet else f"Listen in a browser: {page.resolve().as_uri()}")
