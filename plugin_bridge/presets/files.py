"""Where preset files lie, and reading one that anybody may have written."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

from plugin_bridge.errors import PresetError
from separators import regular_files
from separators.near import did_you_mean

MAXIMUM_BYTES = 8_000_000
"""Longest preset file; the states of third-party plug-ins are its largest part."""
MAXIMUM_DEPTH = 32
"""Tables and lists inside each other; a chain inside a chain is two of them."""
MOST_SUGGESTED = 6
_SPEAKING = ("title", "task", "purpose", "description")
MAXIMUM_STRUCTURE = 131_072
"""Longest preset without its texts and comments. A table costs a kilobyte of memory, a key of parts the
square of their number."""
_TEXTS = re.compile(
    r'"""(?:[^"\\]++|\\.|"(?!""))*+"""'
    r"|'''(?:[^']++|'(?!''))*+'''"
    r'|"(?:[^"\\\n]++|\\.)*+"'
    r"|'[^'\n]*+'"
    r"|#[^\n]*+",
    re.DOTALL,
)
"""Texts and comments in TOML; what is not closed stays, for the parser to refuse."""
_TOO_DEEP = re.compile(rf"(?<![\w\-\s.])(?:[\w\-]*+[ \t]*+\.[ \t]*+){{{MAXIMUM_DEPTH + 1}}}")
_PACKAGE = Path(__file__).parents[1]


def folder() -> Path:
    """The folder of the presets that come with Stembridge (in a wheel, or in a checkout)."""
    in_wheel = _PACKAGE / "shipped_presets"
    return in_wheel if in_wheel.is_dir() else _PACKAGE.parent / "presets"


def names() -> list[str]:
    """The names of the presets that come with Stembridge, sorted."""
    return sorted(path.stem for path in folder().glob("*.toml"))


def find(name_or_path: str | os.PathLike[str]) -> Path:
    """The file of a shipped preset's name, or the path itself; raises :class:`PresetError`."""
    text = os.fspath(name_or_path)
    if isinstance(name_or_path, Path) or text.endswith(".toml") or "/" in text or os.sep in text:
        return Path(text)
    if text not in (known := names()):
        others = _suggestions(text) or f"there are: {', '.join(known)}"
        raise PresetError(
            f"no preset {text!r}{did_you_mean(text, known)}; {others}; "
            "a file of your own is given by its path, ending in .toml"
        )
    return folder() / f"{text}.toml"


def _suggestions(wanted: str) -> str:
    """The presets whose file speaks of ``wanted``: those that make such a stem first, then by their names."""
    word = wanted.casefold().strip()
    found: list[tuple[int, str, str]] = []
    for name in names() if len(word) > 2 else ():
        values = tables(read_text(folder() / f"{name}.toml"), name)
        places = (values.get("gives", []), [name], [values[key] for key in _SPEAKING if key in values])
        for rank, texts in enumerate(places):
            if any(word in str(text).casefold() for text in texts):
                found.append((rank, name, str(values.get("title", ""))))
                break
    shown = ", ".join(f"{name} ({title})" for _, name, title in sorted(found)[:MOST_SUGGESTED])
    return f"for {wanted} there are: {shown}; all: stembridge presets list" if shown else ""


def read_text(path: Path) -> str:
    """The text of a preset file; raises :class:`PresetError`."""
    try:
        size = regular_files.check(path).st_size
        if size > MAXIMUM_BYTES:
            raise PresetError(f"{path}: {size} bytes are too long for a preset; at most {MAXIMUM_BYTES}")
        return regular_files.read(path, MAXIMUM_BYTES).decode("utf-8-sig")  # Windows' editors mark it
    except (FileNotFoundError, IsADirectoryError):
        raise PresetError(
            f"{path}: there is no such file; give a preset's name or the path of a .toml file"
        ) from None
    except OSError as error:
        raise PresetError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise PresetError(f"{path}: not TOML: it is not UTF-8 text") from None


def tables(text: str, source: str) -> dict[str, Any]:
    """The tables of TOML ``text``; raises :class:`PresetError` with ``source``."""
    structure = _TEXTS.sub("", text)
    if len(structure) > MAXIMUM_STRUCTURE:
        raise PresetError(
            f"{source}: {len(structure)} characters beside its texts are too many for a preset; "
            f"at most {MAXIMUM_STRUCTURE}"
        )
    too_deep = PresetError(f"{source}: nested more than {MAXIMUM_DEPTH} deep; put chains side by side")
    if _TOO_DEEP.search(structure):
        raise too_deep
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also numbers of thousands of digits
        raise PresetError(f"{source}: not TOML: {str(error).partition(';')[0]}") from None
    if _is_deeper(values, MAXIMUM_DEPTH):
        raise too_deep
    return values


def _is_deeper(values: dict[str, Any], depth: int) -> bool:
    level: list[Any] = [values]
    for _ in range(depth):
        tables = [value.values() if isinstance(value, dict) else value for value in level]
        level = [inner for table in tables for inner in table if isinstance(inner, dict | list)]
    return bool(level)
