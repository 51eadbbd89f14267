"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

TEMPORARY_SUFFIX = ".part"
"""Files under construction are hidden and end in this; one that is left over came from a killed process."""


def temporary_beside(path: Path) -> Path:
    """A name that nothing has yet, in the folder of ``path``."""
    return path.with_name(f".{secrets.token_hex(8)}{TEMPORARY_SUFFIX}")


def put_in_place(temporary: Path, path: Path) -> None:
    """Flush ``temporary`` to disk and give it the name ``path``, which a power cut does not undo."""
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
    # The new name is in the folder; Windows cannot open folders and needs it not.
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which has the name ``path`` once all is written.

    Raises :class:`OSError`; after any error nothing is left behind.
    """
    temporary = temporary_beside(path)
    try:
        with temporary.open("xb") as file:
            yield file
        put_in_place(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes | memoryview) -> None:
    """Write a small file whole. Raises :class:`OSError` and then leaves nothing behind."""
    with whole_file(path) as file:
        file.write(content)
