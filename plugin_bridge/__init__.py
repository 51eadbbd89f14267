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
    from plugin_bridge.plugins.board import Board
    from plugin_bridge.plugins.hosting import HostedPlugin
    from plugin_bridge.plugins.processor import SeparatorPlugin
    from plugin_bridge.plugins.rack import StemRack
    from plugin_bridge.plugins.streamed_chain import StreamedChain
    from plugin_bridge.presets.preset import Preset, load_preset

# Imported on first use, so that `stembridge --help` does not load what it will not run.
_LAZY = {
    "Board": "plugin_bridge.plugins.board",
    "HostedPlugin": "plugin_bridge.plugins.hosting",
    "Preset": "plugin_bridge.presets.preset",
    "SeparatorPlugin": "plugin_bridge.plugins.processor",
    "StemRack": "plugin_bridge.plugins.rack",
    "StreamedChain": "plugin_bridge.plugins.streamed_chain",
    "load_preset": "plugin_bridge.presets.preset",
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
