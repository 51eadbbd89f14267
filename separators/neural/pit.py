"""Voices apart with a network trained under permutation invariance (Yu et al. 2017, Kolbaek et al. 2017)."""

from __future__ import annotations

from separators.neural.network import Network
from separators.neural.pauses import Masks
from separators.neural.separator import VoiceSeparator
from separators.registry import BUILT_IN


class PIT(VoiceSeparator):
    """Two voices by complex masks, one output of the network per voice; fast, no clustering."""

    name = "pit"
    summary = BUILT_IN[name].summary

    def stem_names(self, channels: int) -> tuple[str, ...]:
        """``voice-1`` and ``voice-2``."""
        return ("voice-1", "voice-2")

    def masks(self, network: Network) -> Masks:
        """The network's own output."""
        return network
