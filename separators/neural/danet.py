"""Voices apart with a deep attractor network (Chen, Luo, Mesgarani 2017)."""

from __future__ import annotations

from separators.neural.clustered import ClusteredVoices
from separators.registry import BUILT_IN


class DANet(ClusteredVoices):
    """Two or three voices by their attractors: centroids of a network's embeddings, found by k-means."""

    name = "danet"
    summary = BUILT_IN[name].summary
