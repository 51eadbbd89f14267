"""Reads the state files of Open-Unmix as its authors publish them: one for each stem."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from separators import regular_files
from separators.base import Audio
from separators.models import safe_pickle
from separators.models.files import ModelError, find, reason
from separators.models.open_unmix_network import OpenUnmixNetwork
from separators.models.running import TAKES_REST
from separators.models.wiener import multichannel_wiener
from separators.neural.devices import CPU
from separators.neural.placement import HALVINGS, moved
from separators.spectral import STFT, stems_from_models

TARGETS = ("vocals", "drums", "bass", "other")
SUFFIXES = (".pth", ".safetensors")
SAMPLE_RATE = 44_100
MOST_BINS = 16_385
MOST_OVERLAP = 64
LARGEST_SETTINGS = 1 << 16
"""Bytes."""

SETS = {
    "umx": ("vocals-c8df74a5", "drums-5a48008b", "bass-646024d3", "other-f8e132cc"),
    "umxhq": ("vocals-b62c91ce", "drums-9619578f", "bass-8d85a5bd", "other-b52fbbf7"),
    "umxl": ("vocals-bccbd9aa", "drums-69e0ebd4", "bass-2ca1ce51", "other-c8c5b3e6"),
}
"""The files that the authors have published, by the names that they gave their sets."""


@dataclass(frozen=True)
class OpenUnmixModel:
    """The networks of some stems; the rest of the mixture is modelled too where no stem stands for it."""

    networks: dict[str, OpenUnmixNetwork]
    sample_rate: int
    hop: int
    wiener: bool = True
    level: float = 0.1
    halvings: int = HALVINGS

    @property
    def stems(self) -> tuple[str, ...]:
        """See :class:`separators.models.running.Model`."""
        return tuple(self.networks)

    @property
    def channels(self) -> int:
        """See :class:`separators.models.running.Model`."""
        return next(iter(self.networks.values())).channels

    def __call__(self, audio: Audio, device: torch.device = CPU, parts: int = 1) -> Audio:
        """See :class:`separators.models.running.Model`."""
        frames = audio.shape[-1]
        stft = STFT(2 * (next(iter(self.networks.values())).bins - 1), self.hop)
        spectrum = stft.forward(audio)
        magnitudes = np.ascontiguousarray(np.abs(spectrum))
        length = -(-magnitudes.shape[-1] // parts)
        models = np.empty((len(self.networks), *magnitudes.shape), np.float32)
        with torch.inference_mode():
            for start in range(0, magnitudes.shape[-1], length):
                heard = torch.from_numpy(magnitudes[..., start : start + length]).to(device)
                for network, model in zip(self.networks.values(), models, strict=True):
                    model[..., start : start + length] = moved(network, device)(heard).cpu().numpy()
        if not set(TAKES_REST) & set(self.networks):
            models = np.concatenate([models, np.maximum(magnitudes - models.sum(0), 0)[np.newaxis]])
        if self.wiener:
            stems = stft.inverse(multichannel_wiener(spectrum, models), frames)
        else:
            stems = stems_from_models(spectrum, models, stft, frames)
        return stems[: len(self.networks)]


def files_of(checkpoint: str) -> list[Path]:
    """The files that ``checkpoint`` stands for: one, those of a folder, or a published set."""
    if checkpoint in SETS and not Path(checkpoint).exists():
        return [
            find("open-unmix", name, [f"{{}}{suffix}" for suffix in SUFFIXES]) for name in SETS[checkpoint]
        ]
    path = find("open-unmix", checkpoint)
    if path.is_file():
        return [path]
    found = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
    if not found:
        raise ModelError(f"open-unmix: {path} holds no state file ({' or '.join(SUFFIXES)})")
    return [*found, *(file for file in [path / "separator.json"] if file.is_file())]


def load(*files: Path) -> OpenUnmixModel:
    """The model of these state files; raises :class:`ModelError`."""
    networks: dict[str, OpenUnmixNetwork] = {}
    sample_rate, hop = SAMPLE_RATE, 0
    for file in files:
        if file.suffix == ".json":
            sample_rate, hop = _settings(file)
            continue
        stem = file.stem.partition("-")[0]
        if stem in networks:
            raise ModelError(
                f"open-unmix: {file.parent} holds two files for {stem}; give each set its own folder"
            )
        networks[stem] = _network(file)
    sizes = {(network.channels, network.bins) for network in networks.values()}
    if len(sizes) != 1:
        raise ModelError(f"open-unmix: the files in {files[0].parent} do not have the same channels and bins")
    bins = sizes.pop()[1]
    hop = hop or (bins - 1) // 2
    if not 0 < hop < bins:
        raise ModelError(f"open-unmix: a hop of {hop} does not fit {bins} bins; it must be below that")
    if bins > MOST_BINS or MOST_OVERLAP * hop < 2 * (bins - 1):
        raise ModelError(
            f"open-unmix: {bins} bins at a hop of {hop} are too many; at most {MOST_BINS} bins, and windows "
            f"that overlap {MOST_OVERLAP} times, are taken"
        )
    ordered = sorted(networks, key=lambda name: TARGETS.index(name) if name in TARGETS else len(TARGETS))
    return OpenUnmixModel({name: networks[name] for name in ordered}, sample_rate, hop)


def _network(file: Path) -> OpenUnmixNetwork:
    try:
        regular_files.check(file)
        state = load_file(file) if file.suffix == ".safetensors" else safe_pickle.read(file)
        if not all(isinstance(value, Tensor) for value in state.values()):
            raise ValueError("it holds more than tensors")
        return OpenUnmixNetwork.from_state(state)
    except (
        OSError,
        SafetensorError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
        RuntimeError,
    ) as error:
        raise ModelError(f"{file} is no state file of Open-Unmix: {reason(error)}") from error


def _settings(file: Path) -> tuple[int, int]:
    """Sample rate and hop."""
    try:
        table = json.loads(regular_files.read(file, LARGEST_SETTINGS))
        sample_rate, hop = int(table["sample_rate"]), int(table["nhop"])
    except (OSError, ValueError, OverflowError, LookupError, TypeError, RecursionError) as error:
        raise ModelError(f"{file} does not say sample_rate and nhop as whole numbers") from error
    if not 1000 <= sample_rate <= 400_000:
        raise ModelError(f"{file}: sample_rate must be from 1000 to 400000, not {sample_rate}")
    return sample_rate, hop
