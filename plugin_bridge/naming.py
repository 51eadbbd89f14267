"""Where results go: names that are safe on every system, templates, and collisions found before any work.

A template is a relative path with closed fields, such as ``{track}/{stem}``. What goes into a
field is made safe first, so that only the template itself makes folders.
"""

from __future__ import annotations

import os
import string
import unicodedata
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from plugin_bridge.errors import JobError

FIELDS = ("track", "stem", "preset", "separator", "index", "parent")
"""The fields a template may hold: the track's (or file's) name, the stem's, the preset's and the
separator's, the track's number (``01``), and the folder (or group track) that the track lies in."""
DEFAULT_TEMPLATE = "{track}/{stem}"
MAXIMUM_BYTES = 200
"""Longest name in UTF-8; systems allow 255, and suffixes and temporary names need some of it."""

_FORBIDDEN = set('<>:"/\\|?*')
_RESERVED = {"con", "prn", "aux", "nul", "conin$", "conout$"} | {
    f"{device}{digit}" for device in ("com", "lpt") for digit in "0123456789¹²³"
}
"""Windows opens a device under these names, with any suffix and in any case."""


def safe_name(text: str) -> str:
    """One file or folder name that Linux, macOS and Windows take, as near to ``text`` as can be.

    >>> safe_name("AC/DC: live?"), safe_name("con.wav"), safe_name(" Müller... ")
    ('AC_DC_ live_', '_con.wav', 'Müller')
    >>> safe_name("")
    ''
    """
    kept = "".join("_" if _is_forbidden(character) else character for character in text)
    name = _trim(unicodedata.normalize("NFC", kept))
    if name.startswith("."):
        name = "_" + name[1:]  # a leading dot would hide the file
    if name.split(".")[0].rstrip().casefold() in _RESERVED:
        name = "_" + name
    return _trim(name.encode()[:MAXIMUM_BYTES].decode(errors="ignore"))


def _is_forbidden(character: str) -> bool:
    return character in _FORBIDDEN or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")


def _trim(name: str) -> str:
    """Windows drops dots and spaces at the end; spaces at the start are only ever an accident."""
    return name.strip().rstrip(". ")


def printable(text: str) -> str:
    """``text`` with the bytes of file names that are no UTF-8 replaced, so that it can be printed."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def told_apart(text: str) -> str:
    r"""``text`` in UTF-8 like :func:`printable`, but different for different names.

    >>> print(told_apart("a\udcff.wav"))
    a\xff.wav
    """
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def relative_name(path: Path, folder: Path) -> str:
    """How a file in ``folder`` names the file at ``path``: relatively if that is possible."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive
        return str(path)


class Template:
    """A relative path without suffix, with fields in braces.

    >>> Template("{track}/{index} {stem}").path(track="Drums", index=3, stem="kick")
    PurePosixPath('Drums/03 kick')
    """

    def __init__(self, text: str = DEFAULT_TEMPLATE) -> None:
        """Check ``text``; raises :class:`JobError` on unknown fields and paths that lead elsewhere."""
        try:
            pieces = list(string.Formatter().parse(text))
        except ValueError as error:
            raise JobError(f"name template {text!r}: {error}; write {{{{ for a brace") from None
        self.text = text
        self.fields = {field for _, field, _, _ in pieces if field is not None}
        known = ", ".join(f"{{{field}}}" for field in FIELDS)
        for _, field, form, conversion in pieces:
            if field is not None and (field not in FIELDS or form or conversion):
                raise JobError(f"name template {text!r}: no field {{{field}}}; there are {known}")
        if not self.fields & {"track", "index"}:
            raise JobError(f"name template {text!r} must hold {{track}} or {{index}}, to tell tracks apart")
        path = PurePosixPath(text.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
            raise JobError(f"name template {text!r} must be a relative path inside the output folder")

    def path(self, **values: str | int) -> PurePosixPath:
        """The path that ``values`` of the fields give; a part that comes out empty is left out."""
        texts = dict.fromkeys(FIELDS, "")
        for field, value in values.items():
            texts[field] = f"{value:02d}" if isinstance(value, int) else safe_name(value)
        texts["track"] = texts["track"] or "untitled"
        parts = []
        for part in self.text.replace("\\", "/").split("/"):
            if part == "{stem}":  # alone, a stem of a stem lies in a folder
                parts += [safe_name(name) for name in str(values.get("stem", "")).split("/")]
            else:
                parts.append(safe_name(part.format_map(texts)))
        return PurePosixPath(*(part for part in parts if part))


def path_beside(template: Template, name: str, suffix: str, **fields: str | int) -> PurePosixPath:
    """Where what belongs to all stems of a track lies: where a stem called ``name`` would.

    >>> str(path_beside(Template("{track}/{stem}"), "manifest", "json", track="Drums"))
    'Drums/manifest.json'
    >>> str(path_beside(Template("{track}"), "manifest", "json", track="Drums"))
    'Drums.manifest.json'
    """
    path = template.path(**fields, stem=name)
    own = "" if "stem" in template.fields else f".{name}"
    return path.with_name(f"{path.name}{own}.{suffix}")


def collision_key(path: Path | PurePosixPath) -> str:
    """Equal for two paths that some system would take for the same file."""
    return unicodedata.normalize("NFC", str(path)).casefold()


class TakenNames:
    """The file names of several results; no two of them, and no result and input, may share one."""

    def __init__(self, inputs: Iterable[Path] = ()) -> None:
        self._inputs: set[str] = set()
        self._owners: dict[str, str] = {}
        self.keep(inputs)

    def keep(self, inputs: Iterable[Path]) -> None:
        """No result may be called like one of ``inputs``."""
        self._inputs |= {collision_key(path.resolve()) for path in inputs}

    def release(self, owner: str) -> None:
        """Give back the names that ``owner`` took."""
        self._owners = {key: other for key, other in self._owners.items() if other != owner}

    def take(self, paths: Iterable[Path], owner: str) -> None:
        """Take ``paths`` for ``owner``, a word for messages; raises :class:`JobError` and then takes none."""
        taken: dict[str, str] = {}
        for path in paths:
            key = collision_key(path.resolve())
            if key in self._inputs:
                raise JobError(f"{path} would overwrite the input itself; choose another --out or --name")
            if key in taken:  # its stems, or its tracks
                raise JobError(
                    f"{path} would be written for {owner} twice; tell what is in it apart with "
                    "{stem} or {index} in --name"
                )
            if other := self._owners.get(key):
                raise JobError(
                    f"{path} would be written for {other} and {owner}; "
                    "tell them apart with {index} in --name"
                )
            taken[key] = owner
        self._owners |= taken
