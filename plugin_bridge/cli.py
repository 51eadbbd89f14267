"""The command line: every command is one call into the rooms behind it, imported when it runs."""

from __future__ import annotations

import click

from plugin_bridge.commands.batch import batch
from plugin_bridge.commands.catalogue import presets, separators
from plugin_bridge.commands.daw_scripts import daw_scripts
from plugin_bridge.commands.demo import demo
from plugin_bridge.commands.dictionary import dictionary
from plugin_bridge.commands.doctor import doctor
from plugin_bridge.commands.evaluate import evaluate
from plugin_bridge.commands.group import Group
from plugin_bridge.commands.inspecting import inspect
from plugin_bridge.commands.report import report
from plugin_bridge.commands.separate import process, separate
from plugin_bridge.commands.serve import serve
from plugin_bridge.commands.sessions import bounce, render
from plugin_bridge.commands.train import train
from plugin_bridge.commands.watch import watch
from plugin_bridge.terminal import say


def _version(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        from plugin_bridge.version import program_version

        say(program_version())
        context.exit()


@click.group(cls=Group)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_version,
    help="Show the version and end.",
)
def main() -> None:
    """Turn the tracks of a DAW session, or audio files, into stems.

    Exit status: 0 all done, 1 something failed (listed last), 2 wrong usage, 130 stopped by Ctrl-C,
    SIGTERM or SIGHUP.
    """


for command in (
    demo,
    render,
    bounce,
    separate,
    report,
    serve,
    process,
    inspect,
    presets,
    separators,
    dictionary,
    evaluate,
    train,
    batch,
    watch,
    doctor,
    daw_scripts,
):
    main.add_command(command)
