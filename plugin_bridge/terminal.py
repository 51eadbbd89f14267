"""Text for people: the one way that it takes to a terminal, a log or a pipe.

Names come from files that anybody has made. Written as they are, they could move the cursor, change colours,
turn the direction of writing, or begin a line that looks like one of the program's own.
"""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TextIO

import click

UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Categories of Unicode: what controls, what is no character, what ends lines."""
JOINERS = frozenset("\u200c\u200d")
"""Of those, what scripts and emoji need."""


def one_line(text: str) -> str:
    r"""``text`` as one line of visible characters, others as escapes.

    >>> print(one_line("kick\x1b[31m\nfailed: snare"))
    kick\u001b[31m\nfailed: snare
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(json.dumps(one)[1:-1] if _is_unsafe(one) else one for one in text)


def _is_unsafe(character: str) -> bool:
    return unicodedata.category(character) in UNSAFE and character not in JOINERS


def say(*lines: str, err: bool = False) -> None:
    """Print each of ``lines`` as one line; to standard error, where nobody may listen, with ``err``."""
    for line in lines:
        if err:
            write(line, sys.stderr)
        else:
            click.echo(one_line(line))


def say_json(values: Any) -> None:
    """Print ``values`` as JSON."""
    for line in json.dumps(values, indent=2, ensure_ascii=False).split("\n"):
        click.echo(one_line(line))


def write(line: str, stream: TextIO | None) -> None:
    """Write ``line`` to ``stream``; a stream that is closed, or whose reader is gone, stops no work."""
    try:
        click.echo(one_line(line), file=stream, err=stream is None)
    except (OSError, ValueError):
        _give_up(stream)


def _give_up(stream: TextIO | None) -> None:
    """Let what is still to be written end nowhere, else Python would fail at its own end."""
    with suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, (stream or sys.stderr).fileno())
        os.close(nothing)


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """The lines of a table with aligned columns."""
    cells = [[one_line(str(cell)) for cell in row] for row in (header, *rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]
    return [lines[0], "  ".join("-" * width for width in widths), *lines[1:]]
