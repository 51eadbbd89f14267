"""Puts finished sets of stems in place: an earlier set gives way, and none is ever a mixture of two.

A set is what one manifest lists. All bytes of a new one are on the disk when it is put in place, so that only
names change; its manifest comes last. The files of the set that lay there before and that the new one does
not hold are removed first: a kill in between leaves no file that nobody knows of.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from plugin_bridge.jobs.manifest import Manifest, Output, file_hash


@dataclass(frozen=True)
class MadeSet:
    """The finished files of one track, and where they go."""

    folder: Path
    """The output folder: nothing outside it is ever removed."""
    path: Path
    """The manifest's."""
    manifest: Manifest
    moves: Sequence[tuple[Path, Path]]
    """Each file and picture in the temporary folder, and where it goes."""


def put_in_place(work: Path, sets: Sequence[MadeSet]) -> list[str]:
    """Move files and then manifests from ``work`` to where they belong; returns what is to be said of it."""
    lines = []
    for number, made in enumerate(sets):
        made.manifest.write(work / f"{number}.json")
        lines += _make_way(made)
    for made in sets:
        for temporary, final in made.moves:
            final.parent.mkdir(parents=True, exist_ok=True)
            temporary.replace(final)
    for number, made in enumerate(sets):
        made.path.parent.mkdir(parents=True, exist_ok=True)
        (work / f"{number}.json").replace(made.path)
    return list(dict.fromkeys(lines))


def _make_way(made: MadeSet) -> list[str]:
    """Remove the set that ``made`` takes the place of, its manifest last: it would lie from here on."""
    old = Manifest.read(made.path)
    lines = []
    if old is not None:
        finals = _identities(final for _, final in made.moves)
        for name in old.pictures:
            _remove(made.path.parent / name, made, finals)
        removed = [output.path for output in old.outputs if _remove_output(output, made, finals)]
        lines += _replaced(old, made.manifest, removed)
    made.path.unlink(missing_ok=True)
    return lines


def _replaced(old: Manifest, new: Manifest, removed: Sequence[str]) -> list[str]:
    """What is to be said of a set that gave way; nothing, if ``new`` is the same made again."""
    other_input = old.samples != new.samples and not _same(old.input.path, new.input.path)
    if not removed and not other_input and old.preset == new.preset:
        return []
    whose = f" of {old.input.path}" if other_input else ""
    gone = f", of which {', '.join(removed)} had to go" if removed else ""
    return [
        f"replaces the stems that preset {old.preset} made here{whose}{gone}; "
        "--name '{track}/{preset}/{stem}' keeps the sets of several presets"
    ]


def _same(first: str, second: str) -> bool:
    try:
        return Path(first).resolve() == Path(second).resolve()
    except (OSError, ValueError):
        return False


def _identities(paths: Iterable[Path]) -> set[tuple[int, int]]:
    """What tells files apart whose names differ in a way that their file system does not see."""
    found = set()
    for path in paths:
        with suppress(OSError):
            status = path.stat()
            found.add((status.st_dev, status.st_ino))
    return found


def _remove_output(output: Output, made: MadeSet, kept: set[tuple[int, int]]) -> bool:
    """Remove a stem of the earlier set, unless somebody has changed it since."""
    path = made.path.parent / output.path
    try:
        if path.is_symlink() or not path.is_file() or file_hash(path) != output.sha256:
            return False
    except (OSError, ValueError):
        return False
    return _remove(path, made, kept)


def _remove(path: Path, made: MadeSet, kept: set[tuple[int, int]]) -> bool:
    """Remove ``path`` if it lies in the output folder and is none of ``kept``, and folders empty by that."""
    folder = made.folder.resolve()
    try:
        parent = path.parent.resolve()
        if not parent.is_relative_to(folder) or _identities([path]) <= kept:
            return False
        path.unlink()
    except (OSError, ValueError):
        return False
    own = made.path.parent.resolve()
    with suppress(OSError):
        while parent != own and parent.is_relative_to(own):
            parent.rmdir()
            parent = parent.parent
    return True
