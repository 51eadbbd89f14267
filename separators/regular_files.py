"""Files that anybody may have made: only regular ones are opened, and none larger than its kind can be.

A pipe waits for ever and ``/dev/zero`` never ends; both pass for files where only ``exists`` is asked.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def check(path: Path, largest: int | None = None) -> os.stat_result:
    """The status of the regular file at ``path``, of at most ``largest`` bytes.

    Raises :class:`OSError`, whose ``strerror`` says what is wrong, for everything else.
    """
    try:
        status = path.stat()
    except ValueError:  # a null byte
        raise OSError(errno.EINVAL, "no file can have such a name", str(path)) from None
    if not stat.S_ISREG(status.st_mode):
        number = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL
        raise OSError(number, "not a regular file", str(path))
    if largest is not None and status.st_size > largest:
        raise OSError(errno.EFBIG, f"larger than {largest} bytes, which no such file is", str(path))
    return status


def read(path: Path, largest: int) -> bytes:
    """What is in the regular file at ``path``; raises :class:`OSError` as :func:`check` does."""
    check(path, largest)
    with path.open("rb") as file:
        return file.read(largest)
