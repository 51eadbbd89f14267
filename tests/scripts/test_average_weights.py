"""scripts/average_weights.py, in a process of its own as its users run it."""

import subprocess
import sys
from pathlib import Path

import torch

from separators.neural import weights
from separators.neural.network import Architecture, Network

SCRIPT = Path(__file__).parents[2] / "scripts" / "average_weights.py"
HALF_PRECISION = 1e-3
"""Relative; weights files hold half-precision numbers."""


def saved(path, seed, channels=24):
    torch.manual_seed(seed)
    made = Network(Architecture(channels=channels, dilations=(1, 2), attention=()))
    weights.save(made, path, {"seed": seed})
    return made.state_dict()


def average(*files, out):
    command = [sys.executable, SCRIPT, *files, "--out", out]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_average_is_the_mean_of_all_weights(tmp_path):
    one, other = saved(tmp_path / "a.safetensors", 1), saved(tmp_path / "b.safetensors", 2)
    run = average(tmp_path / "a.safetensors", tmp_path / "b.safetensors", out=tmp_path / "c.safetensors")
    assert run.returncode == 0, run.stderr
    found = weights.load(tmp_path / "c.safetensors").state_dict()
    for name, value in found.items():
        mean = (one[name] + other[name]) / 2
        torch.testing.assert_close(value, mean, atol=HALF_PRECISION, rtol=HALF_PRECISION)
    assert weights.notes(tmp_path / "c.safetensors") == {"seed": 2, "average_of": 2}


def test_different_architectures_are_refused(tmp_path):
    saved(tmp_path / "a.safetensors", 1)
    saved(tmp_path / "b.safetensors", 2, channels=12)
    run = average(tmp_path / "a.safetensors", tmp_path / "b.safetensors", out=tmp_path / "c.safetensors")
    assert run.returncode == 2
    assert "different architectures" in run.stderr
    assert not (tmp_path / "c.safetensors").exists()
