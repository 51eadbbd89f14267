"""Voices apart by Deep Clustering (Hershey et al. 2016, Isik et al. 2016)."""

from __future__ import annotations

from separators.neural.clustered import ClusteredVoices


class DeepClustering(ClusteredVoices):
    """Two or three voices: a network embeds each part of the spectrogram, k-means sorts the embeddings."""

    name = "deep-clustering"
    summary = "two or three voices on one microphone, by clustering an embedding of the spectrogram"
