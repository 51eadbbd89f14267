"""Recipes for the voice separators: what each network is, its loss, and how it is validated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from separators.neural.network import Architecture, Network
from separators.training.corpus import Corpus
from separators.training.losses import best_permutation, pit_loss, si_sdr
from separators.training.mixing import Mixer, MixingSettings

VALIDATION_SEED = 20_000
VALIDATION_BATCHES = 12
FEATURE_BATCHES = 40

PLAIN = MixingSettings(speeds=(1.0, 1.0), equaliser_db=0.0, room=0.0, band_limit=0.0, noise=0.0, partial=0.0)
"""Validation mixtures: recordings as they are."""


@dataclass(frozen=True)
class Validation:
    """A fixed batch, and for each mixture the sexes of its voices: ``MF``, ``FF``, ``M?``."""

    mixture: Tensor
    targets: Tensor
    sexes: list[str]


@dataclass
class PITTask:
    """Utterance-level permutation invariant training of complex masks on SI-SDR."""

    corpus: Corpus
    mixing: MixingSettings = field(default_factory=MixingSettings)
    architecture: Architecture = field(default_factory=Architecture)

    def __post_init__(self) -> None:
        self.mixer = Mixer(self.corpus, "train", self.mixing)
        self.network = Network(self.architecture)
        set_feature_scale(self.network, self.mixer, 0)
        self.validation = validation_batches(self.corpus, self.architecture.speakers, self.mixing)

    def batch(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """A batch of mixtures and their voices."""
        return self.mixer(rng)

    def loss(self, network: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Negative SI-SDR in dB under the best permutation."""
        mixture, targets = batch
        return pit_loss(_estimate(network, mixture), targets)

    def validate(self, network: nn.Module) -> dict[str, float]:
        """SI-SDR improvement in dB over the mixture, voices never heard in training."""
        return score(self.validation, lambda mixture, _: _estimate(network, mixture))


def score(batches: list[Validation], separate: Callable[[Tensor, Tensor], Tensor]) -> dict[str, float]:
    """SI-SDR improvement in dB of ``separate(mixture, targets)``: all, same sex, different sex."""
    gains: list[float] = []
    sexes: list[str] = []
    for batch in batches:
        estimates = separate(batch.mixture, batch.targets)
        gains += improvement(estimates, batch.targets, batch.mixture).tolist()
        sexes += batch.sexes
    known = [(gain, len(set(sex)) == 1) for gain, sex in zip(gains, sexes, strict=True) if "?" not in sex]
    return {
        "score": _mean(gains),
        "same_sex": _mean([gain for gain, same in known if same]),
        "different_sex": _mean([gain for gain, same in known if not same]),
    }


def _estimate(network: nn.Module, mixture: Tensor) -> Tensor:
    network = cast(Network, network)
    spectrum = network.spectrogram(mixture)
    return network.audio(network(spectrum) * spectrum[:, None], mixture.shape[-1])


def improvement(estimates: Tensor, targets: Tensor, mixture: Tensor) -> Tensor:
    """Mean SI-SDR improvement in dB ``(batch,)`` under the best permutation."""
    scores = si_sdr(estimates[:, :, None], targets[:, None], clamp_db=100)
    floor = si_sdr(mixture[:, None], targets, clamp_db=100).mean(-1)
    return best_permutation(scores)[0] - floor


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def validation_batches(corpus: Corpus, speakers: int, mixing: MixingSettings) -> list[Validation]:
    """Fixed mixtures of the validation speakers, unprocessed."""
    split = "valid" if len(corpus.speakers("valid")) >= speakers else "train"
    settings = replace(PLAIN, speakers=(speakers,), source_weights=mixing.source_weights)
    mixer = Mixer(corpus, split, settings)
    batches = []
    for index in range(VALIDATION_BATCHES):
        mixture, targets, who = mixer.draw(np.random.default_rng((VALIDATION_SEED, index)))
        batches.append(
            Validation(mixture, targets, ["".join(voice.sex for voice in voices) for voices in who])
        )
    return batches


def set_feature_scale(network: Network, mixer: Mixer, seed: int) -> None:
    """Set the mean and deviation of each input bin from random mixtures."""
    values = []
    for index in range(FEATURE_BATCHES):
        mixture, _ = mixer(np.random.default_rng((seed, VALIDATION_SEED, index)))
        values.append(network.log_magnitude(network.spectrogram(mixture)).transpose(0, 1).flatten(1))
    features = torch.cat(values, 1)
    network.feature_mean.copy_(features.mean(1, keepdim=True))
    network.feature_std.copy_(features.std(1, keepdim=True).clamp_min(0.1))
