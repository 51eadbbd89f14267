"""Keeps freed memory in the process.

glibc gives large blocks back to the kernel as soon as they are freed and gets them again, page by page
and zeroed, for the next operation. Training frees and asks for the same large tensors all the time.
"""

from __future__ import annotations

import ctypes
import platform

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Names and numbers of glibc's malloc.h."""
MOST = 2**31 - 1


def keep_freed_memory() -> None:
    """From now on freed memory stays for the next use; does nothing without glibc."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, MOST)
