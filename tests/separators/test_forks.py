"""A network in the fork of a process that has run one says so instead of hanging."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Each in a process of its own, which is stopped if it hangs all the same.
PROGRAM = """
import os, sys
import numpy as np
import torch
from separators import NMF, PIT, WaveUNet
from separators.errors import ForkError

torch.set_num_threads(2)
audio = 0.1 * np.random.default_rng(0).standard_normal((1, 12000)).astype(np.float32)

def run(make):
    return make().separate(audio, 8000).array

def in_fork(call):
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            print(call() if callable(call) else None)
        except ForkError as error:
            print("ForkError:", error)
        sys.stdout.flush()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0

def single():
    torch.set_num_threads(1)
    return run(PIT).shape

in_fork(lambda: run(PIT).shape)         # nothing has run yet
run(PIT)
in_fork(lambda: run(PIT))
in_fork(lambda: run(WaveUNet))          # another one, which would have to be loaded
in_fork(single)                         # one thread waits for no other
in_fork(lambda: run(lambda: NMF(stems=2, components=4, iterations=2)).shape)
print(run(PIT).shape)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore")
def test_a_network_does_not_hang_in_a_fork():
    program = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert program.returncode == 0, program.stderr
    first, same, other, single, nmf, parent = program.stdout.splitlines()
    assert first == single == nmf == parent == "(2, 1, 12000)"
    for line in (same, other):
        assert line.startswith("ForkError: ")
        assert 'get_context("spawn")' in line
