"""Keeps the memory of one block for the next.

glibc gives large pieces of memory back to the kernel as soon as they are freed and gets them again, page by
page and zeroed, for the next operation. That costs a tenth of the time in which voices are separated.
"""

from __future__ import annotations

import ctypes
import platform

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Numbers of glibc's malloc.h."""
LARGEST_PIECE = 32 * 2**20
"""Larger pieces still come from the kernel and go back to it: glibc accepts no more than this."""
MOST_KEPT = 128 * 2**20
"""About what the operations on one block free."""


def keep_block_memory() -> None:
    """From now on this process keeps up to 128 MB of freed memory; does nothing without glibc."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, LARGEST_PIECE)
        libc.mallopt(M_TRIM_THRESHOLD, MOST_KEPT)
