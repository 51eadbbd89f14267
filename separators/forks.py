"""Networks in forked processes: an error instead of waiting for ever.

A fork copies the thread that forks, and none of those on which a network has run: the next network
waits for them for ever (GNU's OpenMP, which PyTorch uses). Processes that are spawned start anew, and
threads of one process share a network.
"""

from __future__ import annotations

import os

import torch

from separators.errors import ForkError

_ran_in: int | None = None


def refuse_after_fork() -> None:
    """Raise :class:`ForkError` in the fork of a process in which a network has run on several threads."""
    if _ran_in not in (None, os.getpid()) and torch.get_num_threads() > 1:
        raise ForkError(
            "a network cannot run in a process that was forked after one had run: its threads are gone, and "
            'it would wait for them for ever; start processes with multiprocessing.get_context("spawn"), '
            'as in ProcessPoolExecutor(mp_context=get_context("spawn"))'
        )


def network_runs() -> None:
    """To be called before a network runs: :func:`refuse_after_fork`, and remember this process."""
    global _ran_in
    refuse_after_fork()
    if _ran_in is None:
        _ran_in = os.getpid()
