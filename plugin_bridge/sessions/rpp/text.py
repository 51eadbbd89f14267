"""The text of REAPER projects: nested ``<NAME ...`` blocks of lines, with the place of each in the file.

Own code instead of the `rpp` package, because writing into a user's project needs the line numbers (a
parser's dump changes quoting), and because a project cut in the middle must be told by its line.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TypeVar

from plugin_bridge.errors import SessionError
from plugin_bridge.sessions.sources import MAX_SECONDS
from separators import regular_files

MAX_BYTES = 256 << 20
"""Larger project files are refused; plug-in states make real ones some tens of megabytes."""
MAX_DEPTH = 64
"""Of blocks inside blocks, and of folders inside folders."""
LARGEST_WHOLE = 2**32 - 1


@dataclass
class Words:
    """A name and the words that follow it on one line."""

    name: str
    values: list[str]
    first_line: int
    """Counted from 0."""

    def text(self, index: int, default: str = "") -> str:
        """The word at ``index``, or ``default`` if there are fewer."""
        return self.values[index] if index < len(self.values) else default

    def number_at(self, index: int, default: float) -> float:
        """The number at ``index``, or ``default`` if there are fewer words."""
        if index >= len(self.values):
            return default
        try:
            value = float(self.values[index])
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            word = f"{self.values[index]!r:.80}"
            raise SessionError(f"line {self.first_line + 1}: {self.name} holds {word} where a number belongs")
        return value

    def whole_at(self, index: int, default: int) -> int:
        """The whole number at ``index``; REAPER's have 32 bits."""
        value = self.number_at(index, default)
        if abs(value) > LARGEST_WHOLE:
            raise SessionError(
                f"line {self.first_line + 1}: {self.name} holds {value:g}; "
                f"it must be a whole number of at most {LARGEST_WHOLE}"
            )
        return int(value)

    def seconds_at(self, index: int, default: float = 0.0) -> float:
        """The time at ``index``; beyond a week it is damage or malice, not music."""
        seconds = self.number_at(index, default)
        if abs(seconds) > MAX_SECONDS:
            raise SessionError(
                f"line {self.first_line + 1}: {self.name} holds {seconds:g} s; "
                f"it must lie within {MAX_SECONDS:.0f} s"
            )
        return seconds


class Line(Words):
    """One line inside a block."""


@dataclass
class Block(Words):
    """One block: its name, the words after it, and what it holds, in order."""

    last_line: int = -1
    content: list[Line | Block] = field(default_factory=list)
    """Complete before anything in it is looked for."""

    def blocks(self, *names: str) -> Iterator[Block]:
        """The blocks directly inside, of these names."""
        return _of_names(self._named[0], names)

    def lines(self, *names: str) -> Iterator[Line]:
        """The lines directly inside, of these names."""
        return _of_names(self._named[1], names)

    def line(self, name: str) -> Line:
        """The first line of this name, or one without values."""
        return next(self.lines(name), Line(name, [], self.first_line))

    @cached_property
    def _named(self) -> tuple[dict[str, list[Block]], dict[str, list[Line]]]:
        """The content by its names: an item of a thousand takes is asked a thousand times for each line."""
        blocks: dict[str, list[Block]] = {}
        lines: dict[str, list[Line]] = {}
        for part in self.content:
            if isinstance(part, Block):
                blocks.setdefault(part.name, []).append(part)
            else:
                lines.setdefault(part.name, []).append(part)
        return blocks, lines


Part = TypeVar("Part", Block, Line)


def _of_names(parts: dict[str, list[Part]], names: tuple[str, ...]) -> Iterator[Part]:
    """In the file's order."""
    found = [parts[name] for name in dict.fromkeys(names) if name in parts]
    if len(found) <= 1:
        return iter(found[0] if found else ())
    return iter(sorted(chain.from_iterable(found), key=lambda part: part.first_line))


def read_text(path: Path) -> str:
    """The project's text; bytes that are not UTF-8 survive a round trip. Line ends are kept."""
    try:
        return regular_files.read(path, MAX_BYTES).decode("utf-8-sig", "surrogateescape")
    except OSError as error:
        raise SessionError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from error


def split_lines(text: str) -> list[str]:
    """The lines with their ends, so that joined they are the text again."""
    lines = [line + "\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def parse(lines: list[str], path: Path) -> Block:
    """The project's tree. Raises :class:`SessionError` if it is no REAPER project or ends too early."""
    if not lines or not lines[0].startswith("<REAPER_PROJECT"):
        raise SessionError(f"{path}: not a REAPER project (it does not begin with <REAPER_PROJECT)")
    open_blocks: list[Block] = []
    root: Block | None = None
    for number, raw in enumerate(lines):
        line = raw.strip()
        if line == ">":
            if not open_blocks:
                break
            block = open_blocks.pop()
            block.last_line = number
            if not open_blocks:
                break
        elif line.startswith("<"):
            words = split_words(line[1:])
            block = Block(words[0] if words else "", words[1:], number)
            if open_blocks:
                open_blocks[-1].content.append(block)
            else:
                root = block
            open_blocks.append(block)
            if len(open_blocks) > MAX_DEPTH:
                raise SessionError(f"{path}: line {number + 1}: blocks nested deeper than {MAX_DEPTH}")
        elif line:
            words = split_words(line)
            open_blocks[-1].content.append(Line(words[0], words[1:], number))
    assert root is not None  # the first line opens it
    if open_blocks:
        innermost = open_blocks[-1]
        raise SessionError(
            f"{path}: cut short, the <{innermost.name} of line {innermost.first_line + 1} is never closed; "
            "restore the project from REAPER's backup (.rpp-bak)"
        )
    return root


def split_words(line: str) -> list[str]:
    r"""The words of a line; a word in ``"``, ``'`` or backticks may hold spaces.

    >>> split_words("NAME \"Lead 'Vox'\" 1 ''")
    ['NAME', "Lead 'Vox'", '1', '']
    """
    words = []
    rest = line.strip()
    while rest:
        quote = rest[0]
        if quote in "\"'`":
            word, closed, rest = rest[1:].partition(quote)
            if not closed:
                rest = ""
        else:
            word, _, rest = rest.partition(" ")
        words.append(word)
        rest = rest.lstrip()
    return words


def quoted(word: str) -> str:
    """``word`` in the quotes that REAPER would use.

    >>> print(quoted('say "hi"'))
    'say "hi"'
    """
    word = "".join(letter for letter in word if letter.isprintable() or "\udc80" <= letter <= "\udcff")
    for quote in "\"'`":
        if quote not in word:
            return quote + word + quote
    return "`" + word.replace("`", "'") + "`"


def displayed(text: str) -> str:
    """Text for people: what was not UTF-8 in the file is taken for Latin-1, an old project's encoding."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape").decode("latin-1")
    return text
