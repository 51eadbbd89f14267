"""Voices apart with a deep attractor network (Chen, Luo, Mesgarani 2017)."""

from __future__ import annotations

from separators.neural.clustered import ClusteredVoices


class DANet(ClusteredVoices):
    """Two or three voices by their attractors: centroids of a network's embeddings, found by k-means."""

    name = "danet"
    summary = "two or three voices on one microphone, by attractors in an embedding of the spectrogram"
