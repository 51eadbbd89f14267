"""Source separation: audio in, named stems out.

from separators import NMF
stems = NMF(mode="drums").separate(loop, 44100)
stems["kick"]
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from separators.base import Audio, Separator, Stems
from separators.errors import AudioError, ChannelError, ParameterError, ScoreError, SeparatorError
from separators.parameters import Parameter, parameter
from separators.registry import create, get, names

if TYPE_CHECKING:
    from separators.cascade import Cascade
    from separators.danet import DANet
    from separators.deep_clustering import DeepClustering
    from separators.ica import ICA
    from separators.nmf import NMF
    from separators.nmf_score import ScoreNMF
    from separators.pit import PIT
    from separators.wave_u_net import WaveUNet

# Imported on first use, so that `stembridge --help` does not load what it will not run.
_LAZY = {
    "Cascade": "separators.cascade",
    "NMF": "separators.nmf",
    "ScoreNMF": "separators.nmf_score",
    "ICA": "separators.ica",
    "PIT": "separators.pit",
    "DANet": "separators.danet",
    "DeepClustering": "separators.deep_clustering",
    "WaveUNet": "separators.wave_u_net",
}

__all__ = [
    "ICA",
    "NMF",
    "PIT",
    "Audio",
    "AudioError",
    "Cascade",
    "ChannelError",
    "DANet",
    "DeepClustering",
    "Parameter",
    "ParameterError",
    "ScoreError",
    "ScoreNMF",
    "Separator",
    "SeparatorError",
    "Stems",
    "WaveUNet",
    "create",
    "get",
    "names",
    "parameter",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'separators' has no attribute {name!r}")
