"""scripts/listen_twice.py, in a process of its own as its users run it."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from separators.neural import wave_u_net, wave_u_net_architecture, weights
from separators.neural.network import Architecture, Network
from separators.neural.wave_u_net_network import build

SCRIPT = Path(__file__).parents[2] / "scripts" / "listen_twice.py"
SAME = 1e-5
SONGS = wave_u_net_architecture.Architecture(
    channels=(12, 16), strides=(32, 1, 2), kernels=(128, 3), resolution=8, bottom_dilations=(1,)
)
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


def test_a_second_pass_on_songs_begins_with_the_stems_of_the_first(tmp_path):
    torch.manual_seed(0)
    first = build(SONGS)
    with torch.no_grad():
        for value in first.shares.parameters():
            value.normal_(0, 0.1)
    wave_u_net.save(first, tmp_path / "once.safetensors", {"steps": 7})
    command = [sys.executable, SCRIPT, tmp_path / "once.safetensors", "--out", tmp_path / "twice.safetensors"]
    subprocess.run(command, check=True, timeout=120)
    once, twice = (wave_u_net.load(tmp_path / f"{name}.safetensors") for name in ("once", "twice"))
    assert twice.architecture == replace(SONGS, passes=2)
    assert weights.notes(tmp_path / "twice.safetensors") == {"steps": 7}
    audio = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 2, 9000), np.float32))
    assert torch.allclose(twice(audio), once(audio), atol=SAME)
    assert torch.equal(twice.first(audio), once(audio))


def test_a_second_pass_gets_another_first(tmp_path):
    torch.manual_seed(0)
    first, network = (
        Network(Architecture(**SMALL)),
        Network(Architecture(**SMALL, head="embeddings", dimensions=4, passes=2)),
    )
    second = {name: value for name, value in network.state_dict().items() if not name.startswith("first.")}
    for name, made in (("pit", first), ("danet", network)):
        weights.save(made, tmp_path / f"{name}.safetensors", {"history": [name]})
    command = [
        sys.executable,
        SCRIPT,
        "pit.safetensors",
        "--behind",
        "danet.safetensors",
        "--out",
        "new.safetensors",
    ]
    subprocess.run(command, check=True, timeout=120, cwd=tmp_path)
    new = weights.load(tmp_path / "new.safetensors")
    assert weights.notes(tmp_path / "new.safetensors") == {"history": ["danet"]}
    state = new.state_dict()
    stored = weights.load(tmp_path / "danet.safetensors").state_dict()
    assert all(torch.equal(state[name], stored[name]) for name in second)
    assert all(
        torch.equal(value, weights.load(tmp_path / "pit.safetensors").state_dict()[name])
        for name, value in new.first.state_dict().items()
    )


@pytest.mark.parametrize(
    ("first", "behind", "complaint"),
    [
        ({"passes": 2}, None, "pit.safetensors must listen once"),
        ({"head": "embeddings"}, None, "pit.safetensors must listen once"),
        ({}, {}, "second.safetensors must listen twice"),
        ({}, {"passes": 2, "channels": 24}, "second.safetensors must listen twice"),
    ],
)
def test_weights_that_do_not_fit_are_named(tmp_path, first, behind, complaint):
    weights.save(Network(Architecture(**SMALL | first)), tmp_path / "pit.safetensors", {})
    command = [sys.executable, SCRIPT, "pit.safetensors", "--out", "new.safetensors"]
    if behind is not None:
        weights.save(Network(Architecture(**SMALL | behind)), tmp_path / "second.safetensors", {})
        command += ["--behind", "second.safetensors"]
    done = subprocess.run(command, timeout=120, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert complaint in done.stderr.splitlines()[-1]
    assert not (tmp_path / "new.safetensors").exists()


@pytest.mark.parametrize(
    ("architecture", "options", "complaint"),
    [
        (replace(SONGS, passes=2), (), "songs.safetensors must listen once"),
        (wave_u_net_architecture.Architecture.paper(levels=4, growth=6), (), "in the layout fourier"),
        (SONGS, ("--behind", "second.safetensors"), "--behind is for voices"),
    ],
)
def test_weights_for_songs_that_do_not_fit_are_named(tmp_path, architecture, options, complaint):
    wave_u_net.save(build(architecture), tmp_path / "songs.safetensors", {})
    command = [sys.executable, SCRIPT, "songs.safetensors", "--out", "new.safetensors", *options]
    done = subprocess.run(command, timeout=120, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert complaint in done.stderr.splitlines()[-1]
    assert not (tmp_path / "new.safetensors").exists()
