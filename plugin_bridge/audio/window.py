"""A stretch of a file, for decoders that read whole files."""

from __future__ import annotations

import io
from typing import BinaryIO


class Window(io.RawIOBase):
    """The bytes ``start`` to ``end`` of a file as a file of their own; places outside are its ends."""

    def __init__(self, file: BinaryIO, start: int, end: int) -> None:
        self.file, self.start, self.end = file, start, end
        self.position = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place, as far as there is one."""
        base = (0, self.position, self.end - self.start)[whence]
        self.position = min(max(0, base + offset), self.end - self.start)
        return self.position

    def tell(self) -> int:
        """The place."""
        return self.position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read on."""
        self.file.seek(self.start + self.position)
        content = self.file.read(min(len(buffer), self.end - self.start - self.position))
        buffer[: len(content)] = content
        self.position += len(content)
        return len(content)
