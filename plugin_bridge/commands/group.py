"""How every command behaves: errors are one line, ``--debug`` shows tracebacks, exit statuses mean something.

0: all done. 1: something failed. 2: wrong usage, nothing was done. 130: stopped by Ctrl-C, SIGTERM or
SIGHUP.
"""

from __future__ import annotations

import sys
import traceback
from typing import Any

import click

from plugin_bridge.commands.surroundings import take_over
from plugin_bridge.terminal import one_line, say

DEBUG = "stembridge.debug"
FAILED, STOPPED = 1, 130
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def debugging() -> bool:
    """Whether ``--debug`` was given."""
    context = click.get_current_context(silent=True)
    return bool(context and context.find_root().meta.get(DEBUG))


def _set_debug(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        context.find_root().meta[DEBUG] = True


class Command(click.Command):
    """A command that knows ``--debug`` and turns errors into one line."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.context_settings = {**CONTEXT, **self.context_settings}
        self.params.append(
            click.Option(
                ["--debug"],
                is_flag=True,
                expose_value=False,
                is_eager=True,
                callback=_set_debug,
                help="Show the traceback of an error.",
            )
        )

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; raises :class:`click.ClickException` for whatever goes wrong."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):
            raise
        except Exception as error:
            from plugin_bridge.jobs.contract import describe

            if debugging():
                traceback.print_exc()
            raise click.ClickException(describe(error)) from error


class Group(click.Group):
    """A group of such commands and groups; what a command returns is the exit status."""

    command_class = Command
    group_class = type

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.context_settings = {**CONTEXT, **self.context_settings}

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Run the command line; exits unless ``standalone_mode`` is off."""
        if not standalone_mode:
            return super().main(*args, standalone_mode=False, **extra)  # type: ignore[call-overload]
        if sys.stdout is sys.__stdout__ and sys.stderr is sys.__stderr__:  # nobody has put others there
            take_over(debug="--debug" in sys.argv)
        try:
            status = super().main(*args, standalone_mode=False, **extra)  # type: ignore[call-overload]
        except click.Abort:
            say("Stopped.", err=True)
            # Where Ctrl-C met text that Python was running, as when dataclasses are made, ``python -m`` ends
            # by the signal whatever the status is, unless text has been run since.
            exec("")  # noqa: S102
            sys.exit(STOPPED)
        except click.ClickException as error:
            error.message = one_line(error.message)  # type: ignore[misc]  # final to those who only read it
            error.show()
            sys.exit(error.exit_code)
        sys.exit(status if isinstance(status, int) else 0)
