"""What stands where in Ardour's session files, as tables.

From the files that Ardour 3 to 8 save; the laws behind them were measured on Ardour 7.3's own exports.
"""

from __future__ import annotations

from plugin_bridge.sessions.model import PanMode, Parameter, Scale

OLDEST, NEWEST = 3, 8
"""Versions of the program whose sessions are read. A later one is read too, and said."""
SUPERCLOCKS = 282_240_000
"""Per second, since version 7; before, times are samples."""
TICKS = 1920
"""Per quarter note."""
TRUE_WORDS = frozenset({"1", "yes", "y", "true"})

AUDIO_PLACES, MIDI_PLACES = "audiofiles", "midifiles"
"""In ``interchange/<any name>/``: where a session keeps its own audio, and its MIDI."""

ROLES = {"MasterOut": "master", "MonitorOut": "monitor", "Auditioner": "monitor", "SurroundMaster": "monitor"}
"""Flags of a route that is neither track nor bus."""

SILENT_PROCESSORS = frozenset(
    {
        "amp", "trim", "polarity", "meter", "main-outs", "diskreader", "diskwriter", "triggerbox", "intsend",
        "intreturn", "monitor", "unknown", "delay", "listen", "beatbox", "capture", "surrsend",
    }
)  # fmt: skip
"""Processors that are read, or that change nothing in what is exported."""
PLUGIN_FORMATS = {
    "lv2": "LV2", "ladspa": "LADSPA", "vst3": "VST3", "lxvst": "VST2", "windows-vst": "VST2",
    "mac-vst": "VST2", "vst": "VST2", "audiounit": "AU", "luaproc": "Lua",
}  # fmt: skip
OTHER_PROCESSORS = {"port": "insert", "send": "external send", "return": "external return"}

GAINS = {"gain": (Parameter.VOLUME, Scale.ARDOUR_FADER), "trim": (Parameter.TRIM, Scale.DECIBELS)}
"""Automation of a processor: what it moves, and in what it moves evenly."""
PLAYED_STATES = frozenset({"Play", "Touch", "Latch"})
"""States in which automation is heard."""

PANNERS = {
    "http://ardour.org/plugin/panner_1in2out": PanMode.ARDOUR_MONO,
    "http://ardour.org/plugin/panner_2in2out": PanMode.ARDOUR_STEREO,
    "http://ardour.org/plugin/panner_balance": PanMode.BALANCE,
}
USUAL_PANNERS = {1: PanMode.ARDOUR_MONO, 2: PanMode.BALANCE}
"""By the number of channels that come in; only where two go out."""
USUAL_PANNERS_BEFORE_6 = {1: PanMode.ARDOUR_MONO, 2: PanMode.ARDOUR_STEREO}

USUAL_MUTE_POINTS = ("PreFader", "PostFader", "Listen", "Main")
"""Where a mute acts if a session does not say."""

SMOOTHING, SEND_SMOOTHING, SWITCH_SMOOTHING = "ardour", "ardour send", "ardour switch"
"""Of faders and mutes that automation moves; see :mod:`plugin_bridge.rendering.envelopes`."""
