"""Weights files come from anywhere: what they say is checked before it costs anything."""

from __future__ import annotations

import json
import os
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from separators import PIT, DeepClustering, WaveUNet
from separators.neural import wave_u_net, weights
from separators.neural.network import Architecture, Network
from separators.neural.wave_u_net_architecture import Architecture as WaveArchitecture
from separators.neural.wave_u_net_network import build

VOICES = Architecture(channels=12, dilations=(1, 2), attention=(1,), long_window=0, short_window=0)
SONGS = WaveArchitecture(
    channels=(4, 8), strides=(64, 1, 2), kernels=(256, 3), resolution=8, bottom_dilations=(1,)
)
NOISE = np.random.default_rng(0).standard_normal((1, 8000)).astype(np.float32)


@pytest.fixture
def voices(tmp_path):
    path = tmp_path / "voices.safetensors"
    weights.save(Network(VOICES), path, {})
    return path


@pytest.fixture
def songs(tmp_path):
    path = tmp_path / "songs.safetensors"
    wave_u_net.save(build(SONGS), path, {})
    return path


def rewrite(path, format, architecture, tensors=None):
    save_file(
        {**load_file(path), **(tensors or {})},
        path,
        {"format": format, "architecture": json.dumps(architecture)},
    )


def error_of(load, path):
    started = time.monotonic()
    with pytest.raises(weights.WeightsError, match=path.name) as caught:
        load(path)
    said = str(caught.value)
    assert "\n" not in said
    assert "state_dict" not in said  # nothing that torch says
    assert time.monotonic() - started < 10
    return said


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"channels": 30_000}, "channels must be a whole number from 1 to 8192, not 30000"),
        ({"channels": 6000}, "its description means 18000"),
        ({"channels": "many"}, "channels must be a whole number"),
        ({"channels": 13}, "channels must be a multiple of 6"),
        ({"dilations": [1, 10**9]}, "dilations must be a whole number from 1 to 1024"),
        ({"dilations": [1] * 10_000}, "dilations must be a list of at most 64 numbers"),
        ({"dilations": [1, 2, 4]}, "is missing, its description means"),
        ({"dilations": 3}, "dilations must be a list"),
        ({"head": "tail"}, "head must be one of masks, embeddings, not 'tail'"),
        ({"long_window": 10**12}, "long_window must be"),
        ({"stride": 0}, "stride must be"),
        ({"speakers": True}, "speakers must be"),
    ],
)
def test_voices_that_are_described_wrongly_are_refused(voices, change, words):
    rewrite(voices, weights.FORMAT, {**VOICES.to_dict(), **change})
    resource = pytest.importorskip("resource")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert words in error_of(weights.load, voices)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kilobytes


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"resolution": 0}, "resolution must be a whole number from 1"),
        ({"layout": "spiral"}, "layout must be one of fourier, paper"),
        ({"stems": []}, "stems must be 2 to 16 names"),
        ({"stems": [1, 2, 3, 4]}, "stems must be 2 to 16 names"),
        ({"channels": [4, 8000]}, "its description means"),
        ({"channels": [4]}, "do not fit the layout fourier"),
        ({"strides": [64, 0, 2]}, "strides must be a whole number"),
        ({"strides": [8192, 8192, 8192]}, "make no network"),
        ({"kernels": [256]}, "make no network"),
        ({"kernels": [100, 3]}, "do not fit the layout fourier"),
        ({"kernels": [256, 4]}, "do not fit the layout fourier"),
        ({"sample_rate": 0}, "sample_rate must be"),
        ({"layout": "paper"}, "do not fit the layout paper"),
        (3, "its description is missing or damaged"),
    ],
)
def test_songs_that_are_described_wrongly_are_refused(songs, change, words):
    rewrite(songs, wave_u_net.FORMAT, {**SONGS.to_dict(), **change} if isinstance(change, dict) else change)
    assert words in error_of(wave_u_net.load, songs)


def test_what_the_networks_save_is_loaded(voices, songs, tmp_path):
    assert weights.load(voices).architecture == VOICES
    assert wave_u_net.load(songs).architecture == SONGS
    paper = tmp_path / "paper.safetensors"
    wave_u_net.save(build(WaveArchitecture.paper(levels=4, growth=6)), paper, {})
    assert wave_u_net.load(paper).architecture.layout == "paper"


def test_numbers_that_are_none_are_refused(voices):
    bias = torch.full((12,), float("nan"), dtype=torch.float16)
    rewrite(voices, weights.FORMAT, VOICES.to_dict(), {"inputs.bias": bias})
    assert "its tensor inputs.bias holds NaN or infinity" in error_of(weights.load, voices)


def test_deep_descriptions_and_damage_are_refused(voices):
    save_file(load_file(voices), voices, {"format": weights.FORMAT, "architecture": "[" * 100_000})
    assert "its description is missing or damaged" in error_of(weights.load, voices)
    save_file({"x": torch.zeros(1)}, voices, {"format": weights.FORMAT})
    assert "its description is missing or damaged" in error_of(weights.load, voices)
    voices.write_bytes(voices.read_bytes()[:-1])
    assert "it is damaged, or no safetensors file" in error_of(weights.load, voices)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_holds_no_weights(tmp_path):
    os.mkfifo(tmp_path / "a.safetensors")
    for separator in (PIT, WaveUNet):
        with pytest.raises(weights.WeightsError, match="not a regular file"):
            separator(weights=str(tmp_path / "a.safetensors")).separate(NOISE, 16_000)


def test_networks_of_another_kind_are_refused(voices, tmp_path):
    with pytest.raises(weights.WeightsError, match="embeddings for 2 are needed"):
        DeepClustering(weights=str(voices)).separate(NOISE, 16_000)
    three = tmp_path / "three.safetensors"
    weights.save(Network(Architecture(**{**VOICES.to_dict(), "speakers": 3})), three, {})
    with pytest.raises(weights.WeightsError, match="masks for 3 voices; masks for 2 are needed"):
        PIT(weights=str(three)).separate(NOISE, 16_000)
    duo = tmp_path / "duo.safetensors"
    wave_u_net.save(build(WaveArchitecture(**{**SONGS.to_dict(), "stems": ("piano", "rest")})), duo, {})
    with pytest.raises(weights.WeightsError, match="are of piano, rest; vocals, drums"):
        WaveUNet(weights=str(duo)).separate(NOISE, 16_000)
