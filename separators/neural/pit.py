"""Voices apart with a network trained under permutation invariance (Yu et al. 2017, Kolbaek et al. 2017)."""

from __future__ import annotations

from torch import Tensor

from separators.neural.network import Network
from separators.neural.pauses import Masks
from separators.neural.same_voice import join_nobody
from separators.neural.separator import VoiceSeparator
from separators.registry import BUILT_IN


class PIT(VoiceSeparator):
    """Two voices by complex masks, one output of the network per voice; fast, no clustering."""

    name = "pit"
    summary = BUILT_IN[name].summary

    voices = 2

    def masks(self, network: Network) -> Masks:
        """The network's own output, without what it leaves on the stem of somebody who is not there."""
        if not network.architecture.background:
            return network  # which never heard a voice alone, and could not tell

        def masks(audio: Tensor) -> Tensor:
            heard = network.hear(audio)
            return join_nobody(network(audio, heard), heard.spectrum, self.voices)

        return masks
