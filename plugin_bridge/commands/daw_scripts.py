"""``stembridge daw-scripts``: Stembridge in the menus of DAWs."""

from __future__ import annotations

from pathlib import Path

import click

from plugin_bridge.commands import options
from plugin_bridge.commands.group import FAILED, Command, Group
from plugin_bridge.terminal import say

DAWS = ("reaper", "ardour")


@click.group(cls=Group, name="daw-scripts")
def daw_scripts() -> None:
    """Stembridge inside DAWs: actions for REAPER and Ardour."""


@daw_scripts.command("install", cls=Command)
@click.argument("daws", nargs=-1, type=click.Choice(DAWS))
@click.option("--to", "folder", type=options.FOLDER, help="Into this folder instead.")
def install_scripts(daws: tuple[str, ...], folder: Path | None) -> int:
    """Put the actions for DAWS, or for all that are found, where they look for scripts.

    In REAPER, the action makes stems of the selected items, or of the time selection, as tracks in a
    folder. In Ardour, it makes stems of the selected tracks, as tracks under them.
    """
    from plugin_bridge.daw.installing import WHERE, install

    done = False
    for daw in daws or DAWS:
        for path in install(daw, folder):
            say(f"{path} (then in {daw}: {WHERE[daw]})")
            done = True
    if not done:
        say(
            "no folder of REAPER or Ardour is here; start the DAW once, or name one with --to",
            err=True,
        )
    return 0 if done else FAILED
