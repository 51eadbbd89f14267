"""Tells when a stem sounds at all: a network that separates leaves a little of what is not there.

A small convolution network hears the mixture and what was taken for the stem, each as levels in mel bands,
six seconds around every moment. A stem that it is sure about not to be there is silenced. Singing is told
from instruments like that (after Schlueter, Grill 2015); what a stem was taken for helps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from separators.base import Audio
from separators.neural import limits, mel
from separators.neural import weights as files
from separators.neural.network import power

FORMAT = "stembridge-presence-2"
NAME = "wave-u-net-presence"
STEMS = ("vocals", "drums")
SAMPLE_RATE = 44_100
WINDOW = 4096
HOP = 2048
BANDS = 64
LOWEST_HERTZ, HIGHEST_HERTZ = 40.0, 16_000.0
MOMENT = 4
"""Hops from one answer to the next: 0.19 s."""
SPAN = 7
"""Moments to each side, 1.3 s, in which a stem must be absent too: nobody's first syllable is cut off."""
SURE = {"vocals": (0.08, 0.25), "drums": (0.3, 0.5)}
"""At most this sure that a stem sounds, it is silenced; from here on it is left as it is."""
DILATIONS = (1, 2, 4, 8, 16)
"""Of the convolutions over moments, which hear 31 of them to each side."""
DROPOUT = 0.2
"""Of what these convolutions hear, in training."""
PIECE = 64
"""Hops whose spectra are worked out at once, 3 s."""
FLOOR_DB = -60.0
"""Bands this far below the mixture's level are as if silent."""


class Presence(nn.Module):
    """How sure it is that a stem sounds, moment by moment."""

    def __init__(self, channels: int = 96) -> None:
        super().__init__()
        self.channels = channels
        few = channels // 4
        self.first = nn.Conv2d(2 + len(STEMS), few, 3, padding=1)
        self.second = nn.Conv2d(few, 2 * few, 3, padding=1)
        self.third = nn.Conv2d(2 * few, channels, (BANDS // 16, 3), padding=(0, 1))
        self.later = nn.ModuleList(
            nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation) for dilation in DILATIONS
        )
        self.output = nn.Conv1d(channels, 1, 1)

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.output.weight.device

    def forward(self, levels: Tensor, stem: Tensor) -> Tensor:
        """Logits ``(batch, moments)`` for ``levels`` ``(batch, 2, bands, hops)`` of the mixture and the stem.

        ``stem`` ``(batch,)`` are numbers in :data:`STEMS`.
        """
        which = functional.one_hot(stem, len(STEMS)).to(levels.dtype)[:, :, None, None]
        heard = torch.cat([levels, which.expand(-1, -1, *levels.shape[2:])], 1)
        heard = functional.max_pool2d(functional.leaky_relu(self.first(heard), 0.1), (4, 2))
        heard = functional.max_pool2d(functional.leaky_relu(self.second(heard), 0.1), (4, 2))
        hidden = functional.leaky_relu(self.third(heard), 0.1)[:, :, 0]
        for convolution in self.later:
            kept = functional.dropout(functional.leaky_relu(hidden, 0.1), DROPOUT, self.training)
            hidden = hidden + convolution(kept)
        return self.output(hidden)[:, 0]  # type: ignore[no-any-return]


def level_db(sample: Audio) -> float:
    """Level of the mixture ``(channels, frames)``, which :func:`levels` are relative to."""
    return 10 * math.log10(float(np.square(sample, dtype=np.float64).mean()) + 1e-12)


def levels(audio: Tensor, level: float) -> Tensor:
    """Mel levels ``(bands, hops)`` of ``(channels, frames)``, around 0, none far below a mixture's ``level``.

    In units of 20 dB.
    """
    window, filters = torch.hann_window(WINDOW, device=audio.device), mel_filters().to(audio.device)
    frames = functional.pad(audio, (WINDOW // 2, WINDOW // 2)).unfold(-1, WINDOW, HOP)
    # Piece by piece: the spectra of a whole block would take more memory than the Wave-U-Net.
    pieces = torch.split(frames, PIECE, 1)
    bands = [power(torch.fft.rfft(piece * window)).mean(0) @ filters.T for piece in pieces]
    found = 10 * torch.log10(torch.cat(bands).T + 1e-20) - level
    return found.clamp_min(FLOOR_DB) / 20


@cache
def mel_filters() -> Tensor:
    """Triangular filters ``(bands, bins)``, which add up to the power between lowest and highest."""
    made = mel.triangles(SAMPLE_RATE, WINDOW, BANDS, LOWEST_HERTZ, HIGHEST_HERTZ)
    return torch.from_numpy((made / (WINDOW * 0.375 * WINDOW / 2)).astype(np.float32))


class Mixture:
    """A mixture ``(channels, frames)`` at :data:`SAMPLE_RATE`: its levels are worked out once for all."""

    def __init__(self, audio: Audio) -> None:
        self._audio = audio
        self._level = level_db(audio)
        self._levels: dict[torch.device, Tensor] = {}

    def levels_beside(self, stem: Audio, device: torch.device) -> Tensor:
        """Levels ``(2, bands, hops)`` of the mixture and of ``stem``."""
        if device not in self._levels:
            self._levels[device] = self._heard(self._audio, device)
        return torch.stack([self._levels[device], self._heard(stem, device)])

    def _heard(self, audio: Audio, device: torch.device) -> Tensor:
        return levels(torch.from_numpy(np.array(audio)).to(device), self._level)


def gains(network: Presence, mixture: Mixture, stem: Audio, name: str) -> Audio:
    """What to multiply the frames of ``stem`` ``(channels, frames)`` of ``mixture`` with: 0 where it is none.

    ``name`` is in :data:`STEMS`.
    """
    device = network.device
    with torch.inference_mode():
        both = mixture.levels_beside(stem, device)
        both = functional.pad(both, (0, -both.shape[-1] % MOMENT), value=FLOOR_DB / 20)
        sure = network(both[None], torch.tensor([STEMS.index(name)]).to(device)).sigmoid()
        near = functional.max_pool1d(sure[None], 2 * SPAN + 1, 1, SPAN)[0, 0].cpu().numpy()
    absent, present = SURE[name]
    found = np.clip((near - absent) / (present - absent), 0, 1)
    middles = (np.arange(len(found)) + 0.5) * (MOMENT * HOP) - HOP / 2
    return np.interp(np.arange(stem.shape[-1]), middles, found).astype(np.float32)


def load(path: Path) -> Presence:
    """The network in the weights file ``path``."""

    def build(values: Mapping[str, Any]) -> Presence:
        limits.whole("channels", values["channels"], 4, 1024)
        return Presence(values["channels"])

    return files.read(path, FORMAT, build)


def save(network: Presence, path: Path, notes: Mapping[str, Any]) -> None:
    """Write ``network`` to a weights file with ``notes`` in its metadata."""
    files.write(network, path, FORMAT, {"channels": network.channels}, notes)
