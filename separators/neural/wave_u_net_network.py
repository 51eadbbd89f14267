"""A Wave-U-Net of any architecture."""

from __future__ import annotations

from separators.neural.wave_u_net_architecture import Architecture, WaveUNet
from separators.neural.wave_u_net_fourier import FourierWaveUNet
from separators.neural.wave_u_net_paper import PaperWaveUNet


def build(architecture: Architecture) -> WaveUNet:
    """A network with random weights."""
    return {"paper": PaperWaveUNet, "fourier": FourierWaveUNet}[architecture.layout](architecture)
