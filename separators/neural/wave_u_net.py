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
from separators.neural import presence
from separators.neural import weights as files
from separators.neural.allocator import keep_block_memory
from separators.neural.placement import NetworkSeparator, moved
from separators.neural.precision import bfloat16_is_fast
from separators.neural.stereo import stereo_transform
from separators.neural.wave_u_net_architecture import Architecture
from separators.neural.wave_u_net_architecture import WaveUNet as Network
from separators.neural.wave_u_net_fourier import FourierWaveUNet
from separators.neural.wave_u_net_network import build
from separators.parameters import parameter
from separators.registry import BUILT_IN

FORMAT = "stembridge-wave-u-net-1"
TWICE, BASS = "wave-u-net-2", "wave-u-net"
"""The trained weights that find vocals and drums, and those that find the bass in what the vocals leave."""
BASS_HERTZ = 2_500.0
"""What finds the bass hears no higher: 0.05 dB less of it, for two fifths of the time."""
LISTENER = (presence.NAME, "", presence.load)
"""What hears whether vocals and drums are there."""
SEGMENT_SECONDS = 15.0
"""The most that the network is asked for at once: shorter segments take less memory, but of each the network
hears its context besides. A block with its overlap is eight of them."""


class WaveUNet(NetworkSeparator):
    """Four stems of a song, or vocals and accompaniment, by trained Wave-U-Nets.

    One network finds vocals and drums, and listens twice: the second time it hears what it found the first;
    the stems are the means of both. For four stems another finds the bass in what the vocals leave. A small
    one tells when vocals or drums are not there.
    Weights that are given do all of it at once. Two channels are heard as a stereo pair; of more
    channels, each two form a pair and an odd last one is mono. The networks work at 44.1 kHz; at
    higher rates everything above 22 kHz belongs to the last stem.
    """

    name = "wave-u-net"
    summary = BUILT_IN[name].summary

    stems: int = parameter(
        default=4, help="4: vocals, drums, bass, other. 2: vocals, accompaniment.", choices=(4, 2)
    )
    weights: str = parameter(
        default="", help="Weights file to use instead of the trained ones of this package.", file=True
    )
    mute_absent: bool = parameter(
        default=True,
        help="Silence vocals and drums while they surely do not sound. Not with weights of your own.",
    )
    fast: bool = parameter(
        default=False,
        help="Compute in bfloat16 where the device can: faster, with rounding noise 45 dB below the mixture.",
    )

    fit_seconds = 1.0
    block_seconds = 100.0
    # The cross-fade uses the middle half, so each side keeps a quarter (4.8 s) of context, as much as
    # the shipped networks hear one after the other: what they separate does not depend on where blocks were
    # cut. The network that tells whether a stem sounds hears a little farther (pieces of 10 s).
    overlap_seconds = 19.0

    def stem_names(self, channels: int) -> tuple[str, ...]:
        """``vocals, drums, bass, other`` or ``vocals, accompaniment``."""
        return ("vocals", "drums", "bass", "other") if self.stems == 4 else ("vocals", "accompaniment")

    def files(self) -> list[Path]:
        """The weights file, if one is given."""
        return files.given(self.name, self.weights)

    def fit(self, sample: Audio, sample_rate: int) -> Transform:
        """Loads the networks; of the sample it learns which polarity to listen in."""
        keep_block_memory()
        networks = self._networks()
        estimated = self.stems - 1
        for network in networks:
            if network.architecture.stems[:estimated] != self.stem_names(len(sample))[:estimated]:
                raise files.WeightsError(
                    f"wave-u-net: the weights {self.weights} are of {', '.join(network.architecture.stems)}; "
                    "vocals, drums, bass and other are needed in this order"
                )
        placement = self.placement()

        def run(network: Network, audio: Audio, which: slice) -> Audio:
            return placement.run(
                lambda device, parts: separate_segments(
                    moved(network, device),
                    audio,
                    self.fast and bfloat16_is_fast(device),
                    SEGMENT_SECONDS / parts,
                    which,
                )
            )

        listener = None if self.weights or not self.mute_absent else files.trained(*LISTENER)

        def heard(mixture: presence.Mixture, stem: Audio, name: str) -> Audio:
            if listener is None:
                return stem
            return stem * placement.run(
                lambda device, _: presence.gains(moved(listener, device), mixture, stem, name)
            )

        def estimate(audio: Audio) -> Audio:
            if self.weights:
                return run(networks[0], audio, slice(estimated))
            found = run(networks[0], audio, slice(min(2, estimated)))
            mixture = presence.Mixture(audio)
            stems = [heard(mixture, stem, name) for stem, name in zip(found, presence.STEMS, strict=False)]
            if self.stems == 4:
                stems += list(run(networks[1], audio - stems[0], slice(2, 3)))
            return np.stack(stems)

        architecture = networks[0].architecture
        return stereo_transform(
            estimate,
            architecture.sample_rate,
            architecture.audio_channels,
            count=estimated,
            rest=estimated,
            sample=sample,
            sample_rate=sample_rate,
        )

    def _networks(self) -> list[Network]:
        """Those that run one after the other; the first finds the vocals."""
        if self.weights:
            return [files.trained(self.name, self.weights, load)]
        found = [files.trained(TWICE, "", load)]
        return found if self.stems == 2 else [*found, files.trained(BASS, "", load_below)]


def load(path: Path) -> Network:
    """The network in the weights file ``path``, laid out in memory for the fastest convolutions."""
    return laid_out(files.read(path, FORMAT, lambda values: build(Architecture.from_dict(values))))


def laid_out(network: Network) -> Network:
    """``network`` with its weights in the order in which convolutions are fastest."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def load_below(path: Path) -> Network:
    """The network in ``path`` as far as it is needed to find a bass; see :meth:`FourierWaveUNet.below`."""
    network = load(path)
    assert isinstance(network, FourierWaveUNet)
    return laid_out(network.below(BASS_HERTZ))


def save(network: Network, path: Path, notes: Mapping[str, Any]) -> None:
    """Write ``network`` to a weights file with ``notes`` in its metadata."""
    files.write(network, path, FORMAT, network.architecture.to_dict(), notes)


def separate_segments(
    network: Network,
    audio: Audio,
    fast: bool = False,
    segment_seconds: float = SEGMENT_SECONDS,
    which: slice | None = None,
) -> Audio:
    """Stems ``(stems, channels, frames)`` of ``audio`` at the network's rate, segment by segment.

    All of them, or ``which`` of those before the last. Each segment is heard with as much audio before and
    after it as can change its stems, so the result is that of the whole audio at once. All of it happens on
    the device of ``network``.
    """
    device = network.device
    frames = audio.shape[-1]
    segments = math.ceil(frames / (segment_seconds * network.architecture.sample_rate))
    needed, length = network.segment(math.ceil(max(1, frames) / max(1, segments)))
    lead = (needed - length) // 2
    names = network.architecture.stems
    stems = np.empty((len(names if which is None else names[:-1][which]), len(audio), frames), np.float32)
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=fast):
        for start in range(0, frames, length):
            first, last = start - lead, start - lead + needed
            part = torch.from_numpy(np.array(audio[:, max(0, first) : last])).to(device)
            part = functional.pad(part, (max(0, -first), max(0, last - frames)))[None]
            found = network(part, length) if which is None else network.estimate(part, length, which)
            stop = min(length, frames - start)
            stems[..., start : start + stop] = found[0, ..., :stop].float().cpu().numpy()
    return stems
