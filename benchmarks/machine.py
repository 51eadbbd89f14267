"""One line about the machine for the head of every benchmark's table."""

from __future__ import annotations

import platform
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np


def describe(*packages: str) -> str:
    """The processor, its matrix-multiply rate with one thread, and versions of ``packages``.

    Call it with the number of threads limited to one.
    """
    versions = ", ".join(f"{package} {version(package)}" for package in ("numpy", *packages))
    return f"{processor()}, float32 matrix product {matrix_rate():.0f} GFLOP/s, {versions}"


def processor() -> str:
    """The processor's name as Linux knows it, else what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def matrix_rate(size: int = 1024) -> float:
    """GFLOP/s of a float32 matrix product, the best of five."""
    matrix = np.random.default_rng(0).standard_normal((size, size)).astype(np.float32)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        matrix @ matrix
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds) / 1e9
