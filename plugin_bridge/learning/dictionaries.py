"""Dictionaries from audio files: which files, learned, written whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from plugin_bridge.audio.files import AudioFileSource, find_audio_files
from plugin_bridge.errors import JobError
from separators.atomic import write_atomically
from separators.base import Audio
from separators.nmf.dictionary import SUFFIX, Dictionary, find, is_name
from separators.nmf.dictionary_learning import learn


class _Brief(AudioFileSource):
    """An audio file that is closed once its end was read, so that hundreds of them do not stay open."""

    def read(self, start: int, frames: int) -> Audio:
        audio = super().read(start, frames)
        if start + frames == self.frames:
            self.close()
        return audio


def target(out: Path | None, name: str | None) -> Path:
    """Where a dictionary goes, by its file or its name; raises :class:`JobError` without either."""
    if (out is None) == (name is None):
        raise JobError(f"say where the dictionary goes: either --out FILE{SUFFIX} or --name NAME")
    if out is not None:
        if out.suffix != SUFFIX:
            raise JobError(f"{out}: a dictionary's file ends in {SUFFIX}")
        return out
    assert name is not None
    if not name.strip() or not name.isprintable() or name.startswith(".") or not is_name(name):
        raise JobError(f"{name!r} cannot be a dictionary's name; letters and digits can")
    return find(name)


def learn_from_files(
    parts: Mapping[str, Sequence[Path]],
    path: Path,
    templates: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> Dictionary:
    """Learn a dictionary from files, and all audio files in folders, of each part; write it to ``path``.

    Raises :class:`JobError` for folders without audio and results that would replace an input, and what
    reading and learning raise.
    """
    files = {name: [file for path in paths for file in _files(path)] for name, paths in parts.items()}
    options: dict[str, Any] = {} if templates is None else {"templates": templates}
    with ExitStack() as opened:
        sources = {
            name: [opened.enter_context(_Brief(file)) for file in found] for name, found in files.items()
        }
        labels = {name: [file.name for file in found] for name, found in files.items()}
        dictionary = learn(sources, labels=labels, progress=progress, **options)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, dictionary.to_bytes())
    except OSError as error:
        raise JobError(f"{path}: cannot be written: {error.strerror}") from None
    return dictionary


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    if not (found := find_audio_files(path)):
        raise JobError(f"{path}: there is no audio file in this folder")
    return found
