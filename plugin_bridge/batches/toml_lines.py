"""In which line of a TOML text each key and each item of a list stands, for messages.

The standard library's reader checks a text and forgets its lines. Here the text, which it has taken, is
cut into its statements: each of them is TOML by itself.
"""

from __future__ import annotations

import tomllib
from typing import Any

Place = tuple[str | int, ...]
"""The way to a value: ``("job", 0, "inputs", 2)``."""


def lines_of(text: str) -> dict[Place, int]:
    r"""The line, from 1, of every key and table of a TOML ``text``.

    >>> lines_of('out = "a"\n\n[[job]]\ninputs = [\n  "b",\n  "c"\n]\n')[("job", 0, "inputs", 1)]
    6
    """
    found: dict[Place, int] = {}
    counts: dict[Place, int] = {}
    table: Place = ()
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        line = lines[number].strip()
        if not line or line.startswith("#"):
            number += 1
        elif line.startswith("["):
            table = _table(line, counts)
            found.setdefault(table, number + 1)
            number += 1
        else:
            end = number + 1
            while (statement := _parsed("\n".join(lines[number:end]))) is None and end < len(lines):
                end += 1
            _note(table, statement or {}, lines[number:end], number + 1, found)
            number = end
    return found


def line_of(place: Place, lines: dict[Place, int]) -> int | None:
    """The line of the value at ``place``, or of what holds it."""
    while place:
        if place in lines:
            return lines[place]
        place = place[:-1]
    return None


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _table(line: str, counts: dict[Place, int]) -> Place:
    """The place that a header names; in a list of tables it means the last one."""
    inner: Any = _parsed(line) or {}
    place: Place = ()
    is_list = line.startswith("[[")
    while isinstance(inner, dict) and inner:
        ((key, inner),) = inner.items()
        place = (*place, key)
        last = isinstance(inner, list) or not inner
        if last and is_list:
            counts[place] = counts.get(place, -1) + 1
            return (*place, counts[place])
        if place in counts:
            place = (*place, counts[place])
    return place


def _note(place: Place, value: Any, lines: list[str], first: int, found: dict[Place, int]) -> None:
    """Note where ``value`` and what it holds stand in ``lines``, the statement that says it."""
    found.setdefault(place, first)
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    at = 0
    for key, inner in items:
        word = str(inner) if isinstance(value, list) else str(key)
        at = next((index for index in range(at, len(lines)) if word in lines[index]), at)
        found.setdefault((*place, key), first + at)
        _note((*place, key), inner, lines[at:], first + at, found)
