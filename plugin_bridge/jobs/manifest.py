"""The manifest beside the stems: what they were made from, with what, and how well they sum.

It is written last, so that it is there only if everything else is. A job whose manifest has the
same key (program, preset, settings and input samples) and whose files are there is not done again.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from plugin_bridge.audio.pcm import interleaved
from plugin_bridge.naming import printable
from separators import regular_files
from separators.base import Audio, Separator
from separators.cascade import Cascade
from separators.parameters import Content
from separators.streaming import AudioSource, Progress

FORMAT = 2
"""Raised when a field changes its meaning; older manifests then count as out of date."""
MAXIMUM_BYTES = 16_000_000
"""Longest manifest that is read; a job's own, with thousands of warnings, stays far below."""
SETTLED_NANOSECONDS = 2_000_000_000
"""Older than the steps of any file system's clock."""
HASHED_AT_ONCE = 1 << 15
"""Frames read at once for hashing: few enough to stay in the processor's cache."""


@dataclass(frozen=True)
class Output:
    """One file that a job wrote."""

    path: str
    """Relative to the manifest's folder, with forward slashes."""
    stems: list[str]
    """What its channels hold: one stem, or several one after the other."""
    bytes: int
    sha256: str
    """Of the file, as ``sha256sum`` prints it."""
    peak: float
    """The largest sample's magnitude, linear, after ``gain``."""


@dataclass(frozen=True)
class Origin:
    """What was separated."""

    path: str
    """The file, or the session that holds the track."""
    sample_rate: int
    channels: int
    frames: int
    time_reference: int | None = None
    """The first frame's place on the timeline, in samples since midnight."""
    track: str = ""
    """The identifier of a session's track before its fader, whose place the stems can take."""
    signature: list[int] | None = None
    """Size, times of change and number of the file: while it has them, its samples are the same."""


@dataclass
class Manifest:
    """What one track's stems are and where they come from; JSON on disk."""

    key: dict[str, Any]
    """Everything that decides how the result sounds; equal keys give equal results."""
    track: str
    input: Origin
    outputs: list[Output] = field(default_factory=list)
    gain: float = 1.0
    """Linear, the same for all stems; below 1 only where integers were asked for and would have clipped."""
    bit_depth: str = ""
    """Of the files: ``16``, ``24`` or ``float32``."""
    residual_db: float | None = None
    """Energy of what the sum of the files, as they are on the disk, lacks to the mixture that was
    separated, relative to that; None for silence. Large where chains change stems, where only some are
    written, and where a ``gain`` had to be applied."""
    seconds: float = 0.0
    """How long the job took."""
    not_honoured: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    """What speaks against the result."""
    notes: list[str] = field(default_factory=list)
    """What is worth knowing of it and no fault."""
    heard: dict[str, list[list[float]]] = field(default_factory=dict)
    """For each stem the spans ``[start, end]`` in seconds in which it is heard."""
    pictures: list[str] = field(default_factory=list)
    """Paths of what was drawn, relative to the manifest's folder, with forward slashes."""
    format: int = FORMAT

    __pydantic_config__ = ConfigDict(allow_inf_nan=False)

    def write(self, path: Path) -> None:
        """Write the manifest to ``path`` and onto the disk; callers move it into place."""
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False, allow_nan=False)
        with path.open("x", encoding="utf-8") as file:
            file.write(f"{printable(text)}\n")
            file.flush()
            os.fsync(file.fileno())

    @classmethod
    def read(cls, path: Path) -> Manifest | None:
        """The manifest at ``path``, or None if there is none that this version understands."""
        try:
            manifest = _reader().validate_json(regular_files.read(path, MAXIMUM_BYTES), strict=True)
        except (OSError, ValidationError):
            return None
        return manifest if manifest.format == FORMAT else None

    @property
    def preset(self) -> str:
        """The preset's name."""
        return str(self._of_key("preset", "name"))

    @property
    def samples(self) -> str:
        """The hash of the samples that were separated."""
        return str(self._of_key("input", "samples"))

    def _of_key(self, table: str, name: str) -> Any:
        values = self.key.get(table)
        return values.get(name, "") if isinstance(values, dict) else ""

    def pictures_are_there(self, path: Path) -> bool:
        """Whether pictures were drawn and none of them is missing; this manifest lies at ``path``."""
        try:
            return bool(self.pictures) and all((path.parent / name).is_file() for name in self.pictures)
        except (OSError, ValueError):
            return False

    def files_are_there(self, path: Path) -> bool:
        """Whether all outputs of this manifest, which lies at ``path``, still have their size."""
        try:
            return all((path.parent / output.path).stat().st_size == output.bytes for output in self.outputs)
        except (OSError, ValueError):  # a name that no file can have
            return False


def manifests(folder: Path) -> Iterator[Path]:
    """Whatever might be a manifest below ``folder``, in order."""
    for path, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(path, name) for name in sorted(files) if name.endswith(".json"))


@cache
def _reader() -> TypeAdapter[Manifest]:
    return TypeAdapter(Manifest)


def samples_hash(source: AudioSource, progress: Progress | None = None) -> str:
    """BLAKE2b of a source's samples, sample rate and channel count, whatever file they stand in."""
    digest = SamplesHash(source.sample_rate, source.channels)
    for start in range(0, source.frames, HASHED_AT_ONCE):
        if progress is not None:
            progress(start, source.frames)
        digest.update(source.read(start, min(HASHED_AT_ONCE, source.frames - start)))
    return digest.hexdigest()


class SamplesHash:
    """:func:`samples_hash`, block by block; how the audio is cut into blocks makes no difference."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        self._digest = hashlib.blake2b(f"{sample_rate} Hz, {channels} channels".encode(), digest_size=32)

    def update(self, audio: Audio) -> None:
        """Take in a block ``(channels, frames)``."""
        self._digest.update(interleaved(audio).astype("<f4", copy=False).data)

    def hexdigest(self) -> str:
        """The hash of all blocks so far."""
        return self._digest.hexdigest()


def file_signature(path: Path) -> list[int] | None:
    """What changes whenever somebody writes to a file; None while it is too new to be trusted.

    Clocks of file systems are coarse, so that a change just after another one may not show. The time of
    change of the entry (``st_ctime``) cannot be set back, unlike that of the content.
    """
    try:
        status = path.stat()
    except OSError:
        return None
    newest = max(status.st_mtime_ns, status.st_ctime_ns)
    if time.time_ns() - newest < SETTLED_NANOSECONDS:
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


@lru_cache(maxsize=64)
def _known_hash(path: Path, signature: tuple[int, ...]) -> str:
    return file_hash(path)


def model_hash(path: Path) -> str:
    """:func:`file_hash` of a file that many jobs need, read once."""
    signature = file_signature(path)
    return _known_hash(path, tuple(signature)) if signature else file_hash(path)


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_hash(text: str) -> str:
    """BLAKE2b of ``text``."""
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=32).hexdigest()


def separator_key(separator: Separator) -> dict[str, Any]:
    """A separator's name and parameters and the code it comes from, and those of the ones behind it."""
    if isinstance(separator, Cascade):
        again = {stem: separator_key(inner) for stem, inner in separator.further.items()}
        return {**separator_key(separator.first), "separate": again}
    files = [model_hash(path) for path in separator.files()]
    # Of a score its notes, wherever they lie.
    values = {
        key: value.fingerprint if isinstance(value, Content) else value
        for key, value in separator.values.items()
        if separator.parameters[key].decides
    }
    return {"name": separator.name, **values, "files": files, "code": code_hash(type(separator))}


@cache
def code_hash(separator: type[Separator]) -> str:
    """A hash of the package that ``separator`` comes from, so that a changed method makes new stems."""
    module = sys.modules[separator.__module__.partition(".")[0]]
    folders = [Path(folder) for folder in getattr(module, "__path__", [])]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    if not folders and module.__file__:
        files = [Path(module.__file__)]
    kept = sorted(path for path in files if "__pycache__" not in path.parts)
    return text_hash("".join(file_hash(path) for path in kept))
