"""Voices apart by Deep Clustering (Hershey et al. 2016, Isik et al. 2016)."""

from __future__ import annotations

from separators.neural.clustered import ClusteredVoices
from separators.registry import BUILT_IN


class DeepClustering(ClusteredVoices):
    """Two or three voices: a network embeds each part of the spectrogram, k-means sorts the embeddings."""

    name = "deep-clustering"
    summary = BUILT_IN[name].summary
