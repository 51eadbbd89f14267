"""Vocals, drums, bass and the rest, by a network on the waveform (Stoller, Ewert, Dixon 2018)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from separators.base import Audio, Transform
from separators.neural import weights as files
from separators.neural.allocator import keep_block_memory
from separators.neural.placement import NetworkSeparator, moved
from separators.neural.precision import bfloat16_is_fast
from separators.neural.stereo import stereo_transform
from separators.neural.wave_u_net_network import Architecture, build
from separators.neural.wave_u_net_network import WaveUNet as Network
from separators.parameters import parameter
from separators.registry import BUILT_IN

FORMAT = "stembridge-wave-u-net-1"
TWO_STEMS = "wave-u-net-2"
"""The trained weights for vocals and accompaniment; those for four are better at bass, worse at voices."""
SEGMENT_SECONDS = 14.0
"""The most that the network is asked for at once: shorter segments take less memory, but of each the network
hears its context besides. A block with its overlap is four of them."""


class WaveUNet(NetworkSeparator):
    """Four stems of a song, or vocals and accompaniment, by the trained Wave-U-Net.

    Two channels are heard as a stereo pair; of more channels, each two form a pair and an odd
    last one is mono. The network works at 44.1 kHz; at higher rates everything above 22 kHz belongs
    to the last stem.
    """

    name = "wave-u-net"
    summary = BUILT_IN[name].summary

    stems: int = parameter(
        default=4, help="4: vocals, drums, bass, other. 2: vocals, accompaniment.", choices=(4, 2)
    )
    weights: str = parameter(
        default="", help="Weights file to use instead of the trained ones of this package.", file=True
    )
    fast: bool = parameter(
        default=False,
        help="Compute in bfloat16 where the device can: faster, with rounding noise 45 dB below the mixture.",
    )

    fit_seconds = 1.0
    block_seconds = 48.0
    # The cross-fade uses the middle half, so each side keeps a quarter (1.6 s) of context, as much as
    # the shipped network hears: no stem depends on where the blocks were cut.
    overlap_seconds = 6.5

    def stem_names(self, channels: int) -> tuple[str, ...]:
        """``vocals, drums, bass, other`` or ``vocals, accompaniment``."""
        return ("vocals", "drums", "bass", "other") if self.stems == 4 else ("vocals", "accompaniment")

    def files(self) -> list[Path]:
        """The weights file, if one is given."""
        return files.given(self.name, self.weights)

    def fit(self, sample: Audio, sample_rate: int) -> Transform:
        """Loads the network; of the sample it learns which polarity to listen in."""
        keep_block_memory()
        network = files.trained(self.name if self.stems == 4 else TWO_STEMS, self.weights, load)
        architecture = network.architecture
        estimated = self.stems - 1
        if architecture.stems[:estimated] != self.stem_names(len(sample))[:estimated]:
            raise files.WeightsError(
                f"wave-u-net: the weights {self.weights} are of {', '.join(architecture.stems)}; "
                "vocals, drums, bass and other are needed in this order"
            )
        placement = self.placement()

        def estimate(audio: Audio) -> Audio:
            return placement.run(
                lambda device, parts: separate_segments(
                    moved(network, device),
                    audio,
                    self.fast and bfloat16_is_fast(device),
                    SEGMENT_SECONDS / parts,
                )
            )

        return stereo_transform(
            estimate,
            architecture.sample_rate,
            architecture.audio_channels,
            count=estimated,
            rest=estimated,
            sample=sample,
            sample_rate=sample_rate,
        )


def load(path: Path) -> Network:
    """The network in the weights file ``path``, laid out in memory for the fastest convolutions."""
    network = files.read(path, FORMAT, lambda values: build(Architecture.from_dict(values)))
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def save(network: Network, path: Path, notes: Mapping[str, Any]) -> None:
    """Write ``network`` to a weights file with ``notes`` in its metadata."""
    files.write(network, path, FORMAT, network.architecture.to_dict(), notes)


def separate_segments(
    network: Network, audio: Audio, fast: bool = False, segment_seconds: float = SEGMENT_SECONDS
) -> Audio:
    """Stems ``(stems, channels, frames)`` of ``audio`` at the network's rate, segment by segment.

    Each segment is heard with as much audio before and after it as can change its stems, so the
    result is that of the whole audio at once. All of it happens on the device of ``network``.
    """
    device = network.device
    frames = audio.shape[-1]
    segments = math.ceil(frames / (segment_seconds * network.architecture.sample_rate))
    needed, length = network.segment(math.ceil(max(1, frames) / max(1, segments)))
    lead = (needed - length) // 2
    stems = np.empty((len(network.architecture.stems), len(audio), frames), np.float32)
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=fast):
        for start in range(0, frames, length):
            first, last = start - lead, start - lead + needed
            part = torch.from_numpy(np.array(audio[:, max(0, first) : last])).to(device)
            part = functional.pad(part, (max(0, -first), max(0, last - frames)))
            stop = min(length, frames - start)
            stems[..., start : start + stop] = network(part[None], length)[0, ..., :stop].cpu().numpy()
    return stems
