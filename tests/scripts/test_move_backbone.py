"""scripts/move_backbone.py, in a process of its own as its users run it, and by its parts."""

import subprocess
import sys
from pathlib import Path

import torch

from scripts.listen_twice import listening_twice
from scripts.move_backbone import moved
from separators.neural import weights
from separators.neural.network import Architecture, Network

SMALL = {"channels": 24, "dilations": (1, 2), "attention": ()}
SCRIPT = Path(__file__).parents[2] / "scripts" / "move_backbone.py"
HALF_PRECISION = 3e-3
"""Weights files hold half-precision numbers, of which three are added."""


def saved(path, seed, head):
    torch.manual_seed(seed)
    made = Network(Architecture(**SMALL, head=head))
    weights.save(made, path, {"seed": seed})
    return made.state_dict()


def test_the_backbone_moves_by_the_difference_and_the_outputs_stay(tmp_path):
    files = [tmp_path / f"{name}.safetensors" for name in ("own", "before", "after")]
    heads = ("embeddings", "masks", "masks")
    own, before, after = (
        saved(file, seed, head) for seed, (file, head) in enumerate(zip(files, heads, strict=True))
    )
    command = [sys.executable, SCRIPT, *files, "--out", tmp_path / "moved.safetensors"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    found = weights.load(tmp_path / "moved.safetensors").state_dict()
    assert found.keys() == own.keys()
    for name, value in found.items():
        moved = own[name] if name.startswith("outputs.") else own[name] + after[name] - before[name]
        torch.testing.assert_close(value, moved, atol=HALF_PRECISION, rtol=HALF_PRECISION)


def test_a_second_pass_that_has_learned_nothing_changes_nothing(tmp_path):
    torch.manual_seed(0)
    own, before = (Network(Architecture(**SMALL, head=head)).eval() for head in ("embeddings", "masks"))
    found = moved(own, before, listening_twice(before))
    assert found.architecture.passes == 2
    audio = torch.randn(1, 16_000)
    torch.testing.assert_close(found(audio), own(audio), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.first(audio), before(audio))
