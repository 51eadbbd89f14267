"""What all voice separators have in common: trained weights, and one voice per stem of any audio."""

from __future__ import annotations

from abc import abstractmethod
from functools import cache
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from separators.base import Audio, Transform
from separators.neural import identity as identities
from separators.neural.inference import Heard, voices_transform
from separators.neural.network import Network
from separators.neural.pauses import Masks
from separators.neural.pieces import in_pieces
from separators.neural.placement import NetworkSeparator, moved
from separators.neural.precision import bfloat16_is_fast
from separators.neural.talkers import Talkers
from separators.neural.weights import WeightsError, given, network, trained
from separators.parameters import parameter
from separators.streaming import GRID


class VoiceSeparator(NetworkSeparator):
    """Voices by the masks that :meth:`masks` makes of a trained network's output."""

    weights: str = parameter(
        default="", help="Weights file to use instead of the trained ones of this package.", file=True
    )

    background: bool = parameter(
        default=False,
        help="Whether what is no voice, as music and noise, gets a stem of its own; else it stays with them.",
    )

    same_person: bool = parameter(
        default=True,
        help="Whether each phrase goes to the stem of the voice it is most like, and torn voices are joined.",
    )

    fast: bool = parameter(
        default=True,
        help="Compute in bfloat16 where the device can: a third faster, with the same figures.",
    )

    head: ClassVar[str] = "masks"
    """What the network must put out; see :class:`separators.neural.network.Architecture`."""
    fit_seconds = 12.0
    block_seconds = 30.0
    overlap_seconds = 1.0

    def stem_names(self, channels: int) -> tuple[str, ...]:
        """``voice-1``, ``voice-2``, ..., and ``background`` if it has a stem."""
        voices = tuple(f"voice-{number}" for number in range(1, self.voices + 1))
        return (*voices, "background") if self.background else voices

    @property
    @abstractmethod
    def voices(self) -> int:
        """Number of voices."""

    @abstractmethod
    def masks(self, network: Network) -> Masks:
        """New masks from ``network`` for one audio, whose blocks come in order of time."""

    def files(self) -> list[Path]:
        """The weights file, if one is given."""
        return given(self.name, self.weights)

    def fit(self, sample: Audio, sample_rate: int) -> Transform:
        """The sample is heard in front of the first block, so that it holds all voices."""
        separates = network(self.name, self.weights)
        found = separates.architecture
        if found.head != self.head or (found.head == "masks" and found.speakers != self.voices):
            raise WeightsError(
                f"{self.name}: the weights {self.weights} are of a network with {found.head} for "
                f"{found.speakers} voices; {self.head} for {self.voices} are needed, "
                "as `stembridge train` makes"
            )
        if self.background and not found.background:
            raise WeightsError(
                f"{self.name}: the weights {self.weights} know of no background; "
                "train newer ones, or leave background false"
            )
        placement, heard = self.placement(), Heard()
        # A network that knows of no background never heard a voice alone, and tears it.
        identity = (
            trained(identities.NAME, "", identities.load) if self.same_person and found.background else None
        )
        if identity:
            heard.talkers = Talkers(self.voices, identity.dimensions)

        @cache
        def on(device: torch.device) -> Transform:
            placed = moved(separates, device)
            masks = self.masks(placed)
            return voices_transform(
                placed,
                rounded(masks, device) if self.fast and bfloat16_is_fast(device) else masks,
                sample,
                sample_rate,
                self.block_seconds,
                self.overlap_seconds,
                self.background,
                heard,
                identity and moved(identity, device),
            )

        overlap = round(self.overlap_seconds * sample_rate / GRID) * GRID

        def transform(block: Audio) -> Audio:
            return placement.run(lambda device, parts: in_pieces(on(device), block, parts, overlap))

        return transform


def rounded(masks: Masks, device: torch.device) -> Masks:
    """``masks`` worked out in bfloat16 on ``device``."""

    def faster(audio: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16):
            return masks(audio)

    return faster
