"""How many threads libraries use in a worker: its share of the machine, unless the user says otherwise."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
"""Read by the libraries when they are loaded."""

_environment = threading.Lock()


def share_of(workers: int) -> dict[str, str]:
    """The variables for one of so many workers, without those that the user has set."""
    share = str(max(1, (os.cpu_count() or 1) // workers))
    return {name: share for name in THREAD_VARIABLES if name not in os.environ}


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """These variables for the processes that are started meanwhile."""
    with _environment:
        before = {name: os.environ.get(name) for name in variables}
        os.environ.update(variables)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def apply() -> None:
    """What the variables say now, for libraries that were loaded when they said something else."""
    from threadpoolctl import ThreadpoolController

    blas = _said("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
    ThreadpoolController().limit(limits=blas, user_api="blas")
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(_said("OMP_NUM_THREADS", "MKL_NUM_THREADS"))


def _said(*names: str) -> int:
    cores = os.cpu_count() or 1
    for name in names:
        if match := re.match(r"\s*([1-9][0-9]*)", os.environ.get(name, "")):
            return min(int(match[1]), cores)
    return cores
