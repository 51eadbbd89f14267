"""Source separation: audio in, named stems out.

from separators import NMF
stems = NMF(mode="drums").separate(loop, 44100)
stems["kick"]
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from separators.errors import AudioError, ChannelError, ForkError, ParameterError, ScoreError, SeparatorError
from separators.registry import create, get, names, summary

if TYPE_CHECKING:
    from separators.base import Audio, Separator, Stems
    from separators.cascade import Cascade
    from separators.ica import ICA
    from separators.neural.danet import DANet
    from separators.neural.deep_clustering import DeepClustering
    from separators.neural.pit import PIT
    from separators.neural.wave_u_net import WaveUNet
    from separators.nmf import NMF
    from separators.parameters import Parameter, parameter
    from separators.score.separator import ScoreNMF

    __version__: str

# Imported on first use: to list separators takes none of them, not even numpy.
_LAZY = {
    "Audio": "separators.base",
    "Separator": "separators.base",
    "Stems": "separators.base",
    "Parameter": "separators.parameters",
    "parameter": "separators.parameters",
    "Cascade": "separators.cascade",
    "NMF": "separators.nmf",
    "ScoreNMF": "separators.score.separator",
    "ICA": "separators.ica",
    "PIT": "separators.neural.pit",
    "DANet": "separators.neural.danet",
    "DeepClustering": "separators.neural.deep_clustering",
    "WaveUNet": "separators.neural.wave_u_net",
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
    "ForkError",
    "Parameter",
    "ParameterError",
    "ScoreError",
    "ScoreNMF",
    "Separator",
    "SeparatorError",
    "Stems",
    "WaveUNet",
    "__version__",
    "create",
    "get",
    "names",
    "parameter",
    "summary",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("stembridge")
        except PackageNotFoundError:  # a checkout that was never installed
            return "0+unknown"
    raise AttributeError(f"module 'separators' has no attribute {name!r}")
