"""Everything between a separator and a DAW.

    from plugin_bridge import render

    for track in render("My Song.rpp", "drum-loop", "stems", tracks="Drums*").tracks:
        print(track.track, track.stems["kick"])

Each name is imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plugin_bridge.api import batch, bounce, process, render, separate
    from plugin_bridge.errors import (
        AudioFileError,
        BridgeError,
        JobError,
        JobsFailedError,
        PluginError,
        PresetError,
        SessionError,
    )
    from plugin_bridge.jobs.contract import Result, Results, StemFile, TrackResult
    from plugin_bridge.jobs.listening import write_report
    from plugin_bridge.plugins.automated import Automated
    from plugin_bridge.plugins.automation import Curve, Follower
    from plugin_bridge.plugins.board import Board
    from plugin_bridge.plugins.hosting import HostedPlugin
    from plugin_bridge.plugins.instruments import HostedInstrument, SoundFontInstrument
    from plugin_bridge.plugins.mix import StemMix
    from plugin_bridge.plugins.processor import SeparatorPlugin
    from plugin_bridge.plugins.python_plugin import PythonPlugin
    from plugin_bridge.plugins.rack import StemRack
    from plugin_bridge.plugins.sidechains import sidechains
    from plugin_bridge.plugins.streamed_chain import StreamedChain
    from plugin_bridge.presets.preset import Preset, load_preset, save_preset
    from plugin_bridge.sessions.formats import open_session
    from plugin_bridge.sessions.model import Session, Track

    __version__: str

# Imported on first use, so that `stembridge --help` does not load what it will not run.
_ROOMS = {
    "plugin_bridge.api": ("batch", "bounce", "process", "render", "separate"),
    "plugin_bridge.errors": (
        "AudioFileError",
        "BridgeError",
        "JobError",
        "JobsFailedError",
        "PluginError",
        "PresetError",
        "SessionError",
    ),
    "plugin_bridge.jobs.contract": ("Result", "Results", "StemFile", "TrackResult"),
    "plugin_bridge.jobs.listening": ("write_report",),
    "plugin_bridge.plugins.automated": ("Automated",),
    "plugin_bridge.plugins.automation": ("Curve", "Follower"),
    "plugin_bridge.plugins.board": ("Board",),
    "plugin_bridge.plugins.hosting": ("HostedPlugin",),
    "plugin_bridge.plugins.instruments": ("HostedInstrument", "SoundFontInstrument"),
    "plugin_bridge.plugins.mix": ("StemMix",),
    "plugin_bridge.plugins.processor": ("SeparatorPlugin",),
    "plugin_bridge.plugins.python_plugin": ("PythonPlugin",),
    "plugin_bridge.plugins.rack": ("StemRack",),
    "plugin_bridge.plugins.sidechains": ("sidechains",),
    "plugin_bridge.plugins.streamed_chain": ("StreamedChain",),
    "plugin_bridge.presets.preset": ("Preset", "load_preset", "save_preset"),
    "plugin_bridge.sessions.formats": ("open_session",),
    "plugin_bridge.sessions.model": ("Session", "Track"),
}
_LAZY = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "AudioFileError",
    "Automated",
    "Board",
    "BridgeError",
    "Curve",
    "Follower",
    "HostedInstrument",
    "HostedPlugin",
    "JobError",
    "JobsFailedError",
    "PluginError",
    "Preset",
    "PresetError",
    "PythonPlugin",
    "Result",
    "Results",
    "SeparatorPlugin",
    "Session",
    "SessionError",
    "SoundFontInstrument",
    "StemFile",
    "StemMix",
    "StemRack",
    "StreamedChain",
    "Track",
    "TrackResult",
    "__version__",
    "batch",
    "bounce",
    "load_preset",
    "open_session",
    "process",
    "render",
    "save_preset",
    "separate",
    "sidechains",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    if name == "__version__":
        from plugin_bridge.version import number

        return number()
    raise AttributeError(f"module 'plugin_bridge' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
