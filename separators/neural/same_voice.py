"""Tells stems that hold nobody: outputs and clusters are always as many as were asked for.

A network that has heard voices alone leaves nearly nothing on the output of somebody who is not there.
Clustering splits the one voice instead: embeddings of different voices stand at right angles, or nearly so,
those of a voice that was split lie close together.
"""

from __future__ import annotations

import torch
from torch import Tensor

from separators.neural.network import power

SAME = 0.95
"""Cosine between the centroids of clusters from which on they are the same voice."""
NOBODY = 1e-3
"""A stem with less than this part of the loudest one's energy, -30 dB, in all that was heard is nobody's."""


def join_nobody(masks: Tensor, spectrum: Tensor, voices: int) -> Tensor:
    """Give what stems that are nobody's have to the loudest voice.

    ``masks`` ``(1, stems, bins, times)``, those of the ``voices`` first; ``spectrum`` ``(1, bins, times)``.
    """
    energy = _energy(masks[0, :voices] * spectrum[0])
    loudest = int(energy.argmax())
    return join(masks, [loudest if empty else stem for stem, empty in enumerate(_nobody(energy).tolist())])


def one_alone(stems: Tensor) -> bool:
    """Whether all but one of the spectra ``(stems, bins, times)`` are nobody's."""
    return int(_nobody(_energy(stems)).sum()) == len(stems) - 1


def _energy(stems: Tensor) -> Tensor:
    return power(stems).sum((1, 2))


def _nobody(energy: Tensor) -> Tensor:
    return energy < NOBODY * energy.max()


def join(masks: Tensor, owners: list[int]) -> Tensor:
    """Masks ``(batch, stems, bins, times)`` of which each is added to that of its owner, by number.

    Stems behind those with an owner, as the background, keep theirs.
    """
    joined = torch.zeros_like(masks)
    for stem in range(masks.shape[1]):
        joined[:, owners[stem] if stem < len(owners) else stem] += masks[:, stem]
    return joined


def same_voices(centroids: Tensor) -> list[int]:
    """For each cluster the first one that is the same voice, by number.

    They are if their ``centroids`` ``(voices, dimensions)`` lie close together.
    """
    unit = torch.nn.functional.normalize(centroids, dim=1)
    alike = unit @ unit.T > SAME
    owners: list[int] = []
    for number in range(len(centroids)):
        owners.append(next((owners[n] for n in range(number) if alike[n, number]), number))
    return owners
