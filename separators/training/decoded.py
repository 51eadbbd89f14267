"""Decoded copies of training recordings: 16-bit samples in a file of the cache folder, that processes share.

A copy is of the very files it was made from. One that is made anew, since some of them have changed, leaves
the older ones where they are: another run may be reading them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from separators.atomic import whole_file, write_atomically


class Listed(Protocol):
    """A recording of a corpus, a dataclass of plain values."""

    @property
    def path(self) -> str:
        """Where it lies in its folder."""


def decoded(
    kind: str,
    folder: Path,
    listed: Sequence[Listed],
    cache: Path,
    decode: Callable[[BinaryIO], Sequence[Any]],
    report: Callable[[str], None],
) -> tuple[list[dict[str, Any]], NDArray[np.int16]]:
    """Rows, one for each recording, and samples of the copy in ``cache`` of what is ``listed`` in ``folder``.

    Where there is none, ``decode`` writes all samples to the file it gets and returns the recordings that
    could be read. Other copies that lie there are told of, since they are large.
    """
    files = [(str(folder.resolve()), recording, _stamp(folder / recording.path)) for recording in listed]
    name = f"{kind}-{hashlib.sha256(repr(files).encode()).hexdigest()[:16]}"
    index, data = (cache / f"{name}{end}" for end in (".json", ".int16"))
    if not index.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        others = [path.stat().st_size for path in cache.glob("*.int16") if path != data]
        if others:
            report(
                f"decoded copies of other or older recordings in {cache}: {len(others)}, "
                f"{sum(others) / 1e9:.1f} GB; delete what no run needs"
            )
        with whole_file(data) as out:
            kept = decode(out)
        write_atomically(index, json.dumps([asdict(recording) for recording in kept]).encode())
    return json.loads(index.read_text()), np.memmap(data, np.int16, "r")


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return (status.st_size, status.st_mtime_ns)
