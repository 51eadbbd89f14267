"""scripts/listen_twice.py, in a process of its own as its users run it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from separators.neural import weights
from separators.neural.network import Architecture, Network

SCRIPT = Path(__file__).parents[2] / "scripts" / "listen_twice.py"
SAME = 1e-5
SMALL = {"channels": 12, "dilations": (1, 2), "attention": (1,), "background": True}


@pytest.mark.parametrize("windows", [{}, {"long_window": 0, "short_window": 0}])
def test_the_second_pass_begins_with_the_masks_of_the_first(tmp_path, windows):
    torch.manual_seed(0)
    first = Network(Architecture(**SMALL, **windows))
    with torch.no_grad():
        first.feature_mean.normal_()
    weights.save(first, tmp_path / "pit.safetensors", {"history": [{"steps": 7}]})
    command = [sys.executable, SCRIPT, tmp_path / "pit.safetensors", "--out", tmp_path / "twice.safetensors"]
    subprocess.run(command, check=True, timeout=120)
    once, twice = (weights.load(tmp_path / f"{name}.safetensors") for name in ("pit", "twice"))
    assert twice.architecture.passes == 2
    assert weights.notes(tmp_path / "twice.safetensors") == {"history": [{"steps": 7}]}
    audio = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 9000), np.float32))
    assert torch.allclose(twice(audio), once(audio), atol=SAME)
    assert torch.equal(twice.first(audio), once(audio))
