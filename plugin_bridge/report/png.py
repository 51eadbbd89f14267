"""PNG pictures of 256 colours, by the format's own description (ISO/IEC 15948): no library is needed."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
EIGHT_BITS, PALETTE = 8, 3


def palette_png(pixels: NDArray[np.uint8], palette: NDArray[np.uint8]) -> bytes:
    """``pixels`` ``(rows, columns)`` as a PNG file in the colours of ``palette`` ``(256, 3)``."""
    rows, columns = pixels.shape
    no_filter = np.zeros((rows, 1), np.uint8)
    return b"".join(
        [
            SIGNATURE,
            _chunk(b"IHDR", struct.pack(">IIBBBBB", columns, rows, EIGHT_BITS, PALETTE, 0, 0, 0)),
            _chunk(b"PLTE", palette.tobytes()),
            _chunk(b"IDAT", zlib.compress(np.hstack([no_filter, pixels]).tobytes(), 9)),
            _chunk(b"IEND", b""),
        ]
    )


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
