"""Everything between a separator and a DAW.

    from plugin_bridge import Board, StemRack, load_preset

    board = Board([StemRack(NMF(mode="drums"), chains={"kick": [Compressor(-20, 4)]}, remix=True)])
    out = board(audio, sample_rate)

Each name is imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plugin_bridge.board import Board, StemRack
    from plugin_bridge.hosting import HostedPlugin
    from plugin_bridge.presets import Preset, load_preset
    from plugin_bridge.processor import SeparatorPlugin
    from plugin_bridge.streamed_chain import StreamedChain

# Imported on first use, so that `stembridge --help` does not load what it will not run.
_LAZY = {
    "Board": "plugin_bridge.board",
    "HostedPlugin": "plugin_bridge.hosting",
    "Preset": "plugin_bridge.presets",
    "SeparatorPlugin": "plugin_bridge.processor",
    "StemRack": "plugin_bridge.board",
    "StreamedChain": "plugin_bridge.streamed_chain",
    "load_preset": "plugin_bridge.presets",
}

__all__ = [
    "Board",
    "HostedPlugin",
    "Preset",
    "SeparatorPlugin",
    "StemRack",
    "StreamedChain",
    "load_preset",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'plugin_bridge' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
