"""What the trainer needs to know of each voice separator: network, data, loss and validation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from separators.errors import ParameterError
from separators.neural import weights
from separators.neural.clustering import attractor_masks, band_loudness, kmeans, of_voices, settled
from separators.neural.network import BANDS, BINS, Architecture, Network, pool_bands, power, unpool_bands
from separators.training.corpus import Corpus
from separators.training.corpus import load as load_corpus
from separators.training.losses import (
    affinity_loss,
    attractors,
    best_permutation,
    faithfulness,
    pit_loss,
    separation,
    si_sdr,
)
from separators.training.mixing import ALL_TALK, Mixer, MixingSettings
from separators.training.recipes import Prepared
from separators.training.trainer import Report

VALIDATION_SEED = 20_000
VALIDATION_BATCHES = 12
VALIDATION_SECONDS = 4.0
FEATURE_BATCHES = 40
BACKGROUND_SHARE = 0.2
"""What the background counts in the loss, beside the mean of the voices."""
HEAD = ("outputs.weight", "outputs.bias")
UNTRAINED = 0.1
"""Of an untrained head's weights, how much is kept beside what is known."""


@dataclass(frozen=True)
class Validation:
    """A fixed batch, and for each mixture the sexes of its voices: ``MF``, ``FF``, ``M?``."""

    mixture: Tensor
    targets: Tensor
    sexes: list[str]


class VoiceTask:
    """Voices mixed at random, the SI-SDR improvement on voices never heard as the score."""

    def __init__(self, corpus: Corpus, mixing: MixingSettings, network: Network) -> None:
        self.mixer = Mixer(corpus, "train", mixing)
        self.network = network
        self.validation = validation_batches(corpus, mixing, pairs=False)
        self.conversations = validation_batches(corpus, mixing, pairs=False, seconds=12.0, turns=1.0)[::3]
        self.behind = validation_batches(
            corpus, mixing, pairs=False, background=1.0, background_db=(0.0, 0.0)
        )[::3]
        self.pairs = validation_batches(corpus, mixing, pairs=True)[::3]

    def hidden_weights(self) -> list[Tensor]:
        """Those of the backbone, without its first layer."""
        layers = [*self.network.blocks.parameters(), *self.network.attention.parameters()]
        return [weight for weight in layers if weight.ndim > 1]

    def batch(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """A batch of mixtures and their voices."""
        return self.mixer(rng)

    @abstractmethod
    def loss(self, network: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        """The loss of a batch, a scalar."""

    @abstractmethod
    def estimate(self, network: Network, mixture: Tensor) -> Tensor:
        """Voices ``(batch, 2, frames)`` of mixtures ``(batch, frames)``, without knowing the targets."""

    def validate(self, network: nn.Module) -> dict[str, float]:
        """SI-SDR improvement in dB over the mixture, voices never heard in training.

        ``score`` is the mean of overlapped pairs (``pairs``), ``conversations``, and, where the corpus
        has backgrounds, pairs with music ``behind`` them as loud as one of them.
        """

        def separate(mixture: Tensor) -> Tensor:
            known = cast(Network, network)
            return self.estimate(known, mixture.to(known.device)).cpu()

        pairs = score(self.validation, separate)
        rows = {"pairs": pairs.pop("score"), "conversations": score(self.conversations, separate)["score"]}
        if self.mixer.backgrounds:
            rows["behind"] = score(self.behind, separate)["score"]
        return {"score": _mean(list(rows.values()))} | rows | pairs


class PITTask(VoiceTask):
    """Utterance-level permutation invariant training (Kolbaek et al. 2017) of complex masks on SI-SDR."""

    def loss(self, network: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Negative separation in dB under the best permutation, and faithfulness of the background."""
        mixture, targets = batch
        estimates = self._outputs(cast(Network, network), mixture)
        voices = targets.shape[1]
        loss = pit_loss(estimates[:, :voices], targets, mixture)
        if estimates.shape[1] > voices:
            background = faithfulness(estimates[:, voices], mixture - targets.sum(1), mixture)
            loss = loss - BACKGROUND_SHARE * background.mean()
        return loss

    def estimate(self, network: Network, mixture: Tensor) -> Tensor:
        """The network's outputs, without that of the background."""
        return self._outputs(network, mixture)[:, : network.architecture.speakers]

    def _outputs(self, network: Network, mixture: Tensor) -> Tensor:
        spectrum = network.spectrogram(mixture)
        return network.audio(network(mixture) * spectrum[:, None], mixture.shape[-1])


class DANetTask(VoiceTask):
    """Masks from attractors (Chen, Luo, Mesgarani 2017): ideal ones in training, k-means in validation.

    Batches hold pairs of mixtures of the same speakers, which share their attractors: the
    network learns to give a voice the same place in the embedding whenever it is heard, which
    keeps it on its stem through a long file. What is no voice has an attractor that never moves.
    """

    compactness = 2.0
    """What the affinity loss counts: it keeps a voice alone in one place, where k-means does not tear it."""

    def loss(self, network: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Negative separation in dB of the voices behind the masks of the ideal attractors, and affinity."""
        network = cast(Network, network)
        mixture, targets = batch
        spectrum = network.spectrogram(mixture)
        embeddings = network(mixture)
        weights = self._assignment(network, batch)
        voices = targets.shape[1]
        found = self._attractors(_join_pairs(embeddings, 2), _join_pairs(weights, 3), voices)
        masks = attractor_masks(embeddings, found.repeat_interleave(2, 0), network.architecture.background)
        estimates = _masked(network, spectrum, masks, mixture.shape[-1])
        loss = -separation(estimates[:, :voices], targets, mixture[:, None]).mean()
        if network.architecture.background:
            rest = faithfulness(estimates[:, voices], mixture - targets.sum(1), mixture)
            loss = loss - BACKGROUND_SHARE * rest.mean()
        return loss + self.compactness * clustering_loss(network, embeddings, weights)

    def estimate(self, network: Network, mixture: Tensor) -> Tensor:
        """Soft masks from k-means centroids of each mixture, without that of the background."""
        spectrum = network.spectrogram(mixture)
        embeddings = network(mixture)
        centroids = _centroids(embeddings, _voice_loudness(network, embeddings, spectrum))
        masks = attractor_masks(embeddings, centroids, network.architecture.background)
        return _masked(network, spectrum, masks[:, : centroids.shape[1]], mixture.shape[-1])

    def validate(self, network: nn.Module) -> dict[str, float]:
        """As for every voice separator; ``joined``: with centroids shared by pairs, which must not swap."""
        network = cast(Network, network)
        joined: list[float] = []
        for batch in self.pairs:
            mixture = batch.mixture.to(network.device)
            spectrum = network.spectrogram(mixture)
            embeddings = network(mixture)
            loudness = _voice_loudness(network, embeddings, spectrum)
            centroids = _centroids(_join_pairs(embeddings, 2), _join_pairs(loudness, 2))
            masks = attractor_masks(
                embeddings, centroids.repeat_interleave(2, 0), network.architecture.background
            )
            estimates = _masked(network, spectrum, masks[:, :2], batch.mixture.shape[-1]).cpu()
            whole = _join_pairs(estimates, 2), _join_pairs(batch.targets, 2), _join_pairs(batch.mixture, 1)
            joined += improvement(*whole).tolist()
        return super().validate(network) | {"joined": _mean(joined)}

    def _attractors(self, embeddings: Tensor, weights: Tensor, voices: int) -> Tensor:
        """``(batch, voices, dimensions)`` for what :func:`clustering_loss` takes: the ideal ones."""
        found: Tensor = attractors(embeddings, weights[:, :voices])
        return found

    def _assignment(self, network: Network, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Of each voice, and of the background behind them, the bands where it is the loudest."""
        mixture, targets = batch
        parts = targets
        if network.architecture.background:
            parts = torch.cat([targets, (mixture - targets.sum(1))[:, None]], 1)
        return ideal_assignment(network.spectrogram(mixture), network.spectrogram(parts))


class DeepClusteringTask(DANetTask):
    """Embeddings that cluster by voice (Hershey et al. 2016), end to end (Isik et al. 2016).

    As DANet's, but the voices behind the masks of k-means, as it will be heard: gradients flow through the
    centroids, what belongs to which of them is given.
    """

    def _attractors(self, embeddings: Tensor, weights: Tensor, voices: int) -> Tensor:
        """k-means' centroids where it settles from the ideal attractors."""
        ideal = super()._attractors(embeddings, weights, voices)
        with torch.no_grad():
            loudness = weights.sum(1)
            if weights.shape[1] > voices:
                loudness = of_voices(loudness, embeddings)
            labels = torch.stack([settled(*row) for row in zip(embeddings, loudness, ideal, strict=True)])
            chosen = nn.functional.one_hot(labels, voices).movedim(-1, 1) * loudness[:, None]
        found: Tensor = attractors(embeddings, chosen)
        return found


def clustering_loss(network: Network, embeddings: Tensor, weights: Tensor) -> Tensor:
    """The affinity loss of pairs of mixtures, and how far the background is from its attractor.

    ``embeddings`` ``(batch, bands, times, dimensions)``, ``weights`` ``(batch, parts, bands, times)``, the
    background's last where the network knows of one.
    """
    loss: Tensor = affinity_loss(_join_pairs(embeddings, 2), _join_pairs(weights, 3))
    if network.architecture.background:
        nearness = embeddings[..., -1]
        background = weights[:, -1]
        voices = weights[:, :-1].sum(1)
        misses = background * (1 - nearness) + voices * nearness.square()
        loss = loss + misses.sum() / (background + voices).sum().clamp_min(1e-6)
    return loss


def _voice_loudness(network: Network, embeddings: Tensor, spectrum: Tensor) -> Tensor:
    """What each band ``(batch, bands, times)`` counts in k-means: its loudness, unless it is background."""
    return band_loudness(spectrum, embeddings if network.architecture.background else None)


def _join_pairs(values: Tensor, axis: int) -> Tensor:
    """Joins every two entries of a batch along the axis of time: ``(batch, ...)`` -> ``(batch / 2, ...)``."""
    return torch.cat([values[::2], values[1::2]], axis)


def _centroids(embeddings: Tensor, loudness: Tensor) -> Tensor:
    """The two k-means centroids of each mixture ``(batch, 2, dimensions)``, weighted by loudness."""
    pairs = zip(embeddings, loudness, strict=True)
    return torch.stack([kmeans(points, weights, 2, seed=0) for points, weights in pairs])


def ideal_assignment(mixture: Tensor, targets: Tensor) -> Tensor:
    """The mixture's loudness, given to each band's loudest speaker: ``(batch, speakers, bands, times)``."""
    energy = pool_bands(power(targets))
    loudest = nn.functional.one_hot(energy.argmax(1), energy.shape[1]).movedim(-1, 1)
    return loudest * band_loudness(mixture)[:, None]


def _masked(network: Network, spectrum: Tensor, band_masks: Tensor, frames: int) -> Tensor:
    return network.audio(unpool_bands(band_masks) * spectrum[:, None], frames)


def score(batches: list[Validation], separate: Callable[[Tensor], Tensor]) -> dict[str, float]:
    """SI-SDR improvement in dB of ``separate(mixture)``: all, same sex, different sex."""
    gains: list[float] = []
    sexes: list[str] = []
    for batch in batches:
        gains += improvement(separate(batch.mixture), batch.targets, batch.mixture).tolist()
        sexes += batch.sexes
    known = [(gain, len(set(sex)) == 1) for gain, sex in zip(gains, sexes, strict=True) if "?" not in sex]
    return {
        "score": _mean(gains),
        "same_sex": _mean([gain for gain, same in known if same]),
        "different_sex": _mean([gain for gain, same in known if not same]),
    }


def improvement(estimates: Tensor, targets: Tensor, mixture: Tensor) -> Tensor:
    """Mean SI-SDR improvement in dB ``(batch,)`` under the best permutation."""
    scores = si_sdr(estimates[:, :, None], targets[:, None], clamp_db=100)
    floor = si_sdr(mixture[:, None], targets, clamp_db=100).mean(-1)
    return best_permutation(scores)[0] - floor


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def validation_batches(
    corpus: Corpus, mixing: MixingSettings, *, pairs: bool, **changed: Any
) -> list[Validation]:
    """Fixed mixtures of two validation speakers, unprocessed but for the settings ``changed``."""
    split = "valid" if len(corpus.speakers("valid")) >= 2 else "train"
    plain = replace(
        replace(
            ALL_TALK,
            seconds=VALIDATION_SECONDS,
            batch=6,
            speeds=(1.0, 1.0),
            equaliser_db=0.0,
            room=0.0,
            band_limit=0.0,
            noise=0.0,
            close=0.0,
            background=0.0,
            pairs=pairs,
            source_weights=mixing.source_weights,
        ),
        **changed,
    )
    mixer = Mixer(corpus, split, plain)
    batches = []
    for index in range(VALIDATION_BATCHES):
        mixture, targets, who = mixer.draw(np.random.default_rng((VALIDATION_SEED, index)))
        batches.append(
            Validation(mixture, targets, ["".join(voice.sex for voice in voices) for voices in who])
        )
    return batches


def new_network(architecture: Architecture, corpus: Corpus, mixing: MixingSettings, seed: int) -> Network:
    """An untrained network, its inputs scaled by the mean and deviation of each bin in random mixtures."""
    torch.manual_seed(seed)
    network = Network(architecture)
    mixer = Mixer(corpus, "train", replace(mixing, speakers=(2,)))
    values = []
    with torch.no_grad():
        for index in range(FEATURE_BATCHES):
            mixture, _ = mixer(np.random.default_rng((seed, VALIDATION_SEED, index)))
            values.append(network.hear(mixture).features.transpose(0, 1).flatten(1))
    features = torch.cat(values, 1)
    network.feature_mean.copy_(features.mean(1, keepdim=True))
    network.feature_std.copy_(features.std(1, keepdim=True).clamp_min(0.1))
    return network


def _modern(trained: Architecture, head: str) -> Architecture:
    """The architecture of weights to begin with, with ``head`` and with all that new networks have."""
    new = Architecture(head=head, background=True)
    dimensions = trained.dimensions if trained.head == head else new.dimensions
    return replace(
        new,
        channels=trained.channels,
        dilations=trained.dilations,
        dimensions=dimensions,
        passes=trained.passes,
    )


def grow(trained: Network, network: Network) -> Network:
    """Give an untrained ``network`` all that ``trained`` has in common with it, and return it.

    The sizes of the backbones must agree. Embeddings start from masks (:func:`embed_masks`), masks do not
    start from embeddings. Inputs and layers that ``trained`` lacks change nothing at first.
    """
    known = trained.state_dict()
    state = network.state_dict()
    old, new = trained.architecture, network.architecture
    if old.head == "masks" and not old.background:
        for name in HEAD:
            known[name] = share_rest(known[name], old.speakers)
    if old.head != new.head:
        head = {name: known.pop(name) for name in HEAD}
        if new.head == "embeddings":
            for name, value in head.items():
                embed_masks(value, state[name])
    state["inputs.weight"].zero_()
    for name, value in known.items():
        # Features that were not heard so far stand behind those that were.
        state[name][tuple(slice(size) for size in value.shape)] = value
    network.load_state_dict(state)
    return network


def share_rest(masks: Tensor, speakers: int) -> Tensor:
    """The head's rows for masks that sum to one by themselves, and so leave nothing to a background.

    ``masks`` are weights ``(rows, ...)`` or biases ``(rows,)`` of masks whose rest was shared out equally.
    """
    rows = masks.view(speakers, BINS, 2, *masks.shape[1:])
    shared = rows - rows.mean(0, keepdim=True)
    if masks.ndim == 1:
        shared[:, :, 0] += 1 / speakers
    return shared.reshape(masks.shape)


def embed_masks(masks: Tensor, embeddings: Tensor) -> None:
    """Change the rows of an untrained head for ``embeddings``, so that they cluster as ``masks`` do.

    The first dimension is half the difference of the masks of two voices, real parts, from -0.5 to 0.5, the
    second half their sum, the last what they leave to the background: what belongs to different voices
    or to none stands at right angles, as Deep Clustering wants it. The others keep a little of what chance
    gave them, to be learnt. Both are weights ``(rows, ...)`` or biases ``(rows,)``.
    """
    first, second = masks.view(2, BINS, 2, *masks.shape[1:])[:, :, 0]
    one = 1.0 if masks.ndim == 1 else 0.0
    width = pool_bands(torch.ones(BINS, 1))
    rows = embeddings.view(BANDS, -1, *embeddings.shape[1:])
    rows *= UNTRAINED
    parts = {0: (first - second) / 2, 1: (first + second) / 2, -1: (one - first - second) / 2**0.5}
    for dimension, part in parts.items():
        rows[:, dimension] = (pool_bands(part.reshape(BINS, -1)) / width).view(BANDS, *part.shape[1:])


TASKS: dict[str, type[VoiceTask]] = {
    "pit": PITTask,
    "danet": DANetTask,
    "deep-clustering": DeepClusteringTask,
}


def prepare(
    name: str,
    data: Path,
    cache: Path,
    *,
    start: Path | None,
    seed: int,
    source_weights: Mapping[str, float],
    batch: int | None,
    report: Report,
) -> Prepared:
    """The task of the voice separator ``name`` on the recordings in ``data``; see :mod:`.recipes`."""
    corpus = load_corpus(data, cache, report)
    head = "masks" if name == "pit" else "embeddings"
    # Attractors of three voices are learnt beside those of two; the outputs of PIT are always two.
    mixing = MixingSettings(
        speakers=(2,) if name == "pit" else (2, 3),
        pairs=name != "pit",
        source_weights=dict(source_weights),
    )
    if batch is not None:
        if mixing.pairs and batch % 2:
            raise ParameterError(f"batch must be even, since {name} hears every voice twice, not {batch}")
        mixing = replace(mixing, batch=batch)
    if start is None:
        network = new_network(Architecture(head=head, background=True), corpus, mixing, seed)
    else:
        network = weights.load(start).requires_grad_(True)
        wanted = _modern(network.architecture, head)
        if wanted != network.architecture:
            network = grow(network, new_network(wanted, corpus, mixing, seed))
    if network.first is not None:
        network.first.requires_grad_(False)  # the second pass learns from what it hears of the first
    history = weights.notes(start).get("history", []) if start else []
    speakers = len(corpus.speakers("train"))

    def export(trained: nn.Module, path: Path, notes: Mapping[str, Any]) -> None:
        # What the weights went through, from the first random ones on.
        run = {**notes, "training_speakers": speakers, "batch_seconds": mixing.seconds * mixing.batch}
        weights.save(cast(Network, trained), path, {"history": [*history, run]})

    return Prepared(TASKS[name](corpus, mixing, network), export)
