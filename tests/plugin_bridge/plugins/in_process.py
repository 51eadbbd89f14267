"""Third-party plug-ins as Pedalboard hosts them itself, in a process of the tests' own.

Not in the test process: some plug-ins switch denormal numbers off for the thread that loads them.
"""

from __future__ import annotations

import re

import numpy as np
import pedalboard

from plugin_bridge.plugins.folders import find_plugin


def _loaded(name, values):
    plugin = pedalboard.load_plugin(str(find_plugin(name)))
    for key, value in values.items():
        setattr(plugin, key, value)
    return plugin


def run(name, values, audio, sample_rate, buffer_size=8192):
    """One call over the whole of ``audio``."""
    return _loaded(name, values)(audio, sample_rate, buffer_size)


def run_blocks(name, values, audio, sample_rate, size):
    """The result of each block with ``reset=False``."""
    plugin = _loaded(name, values)
    plugin.reset()
    blocks = np.split(audio, range(size, audio.shape[1], size), axis=1)
    return [plugin(block, sample_rate, reset=False) for block in blocks]


def run_calls(name, values, calls, sample_rate):
    """The result of each of ``calls``: audio, and whether to reset."""
    plugin = _loaded(name, values)
    plugin.reset()  # a plug-in just loaded has heard what Pedalboard tries on it
    return [plugin(audio, sample_rate, reset=reset) for audio, reset in calls]


def run_between(name, values, audio, sample_rate, gain_db, limit_db):
    """Between two built-ins, in a native board."""
    plugins = [pedalboard.Gain(gain_db), _loaded(name, values), pedalboard.Limiter(limit_db)]
    return pedalboard.Pedalboard(plugins)(audio, sample_rate)


def latency(name, values, audio, sample_rate):
    """The latency in frames that the plug-in reports."""
    plugin = _loaded(name, values)
    plugin(audio, sample_rate)
    return plugin.reported_latency_samples


def run_state(path, preset, audio, sample_rate):
    """One call of the plug-in at ``path`` with a ``.vstpreset``'s bytes as its state."""
    plugin = pedalboard.load_plugin(str(path))
    plugin.preset_data = preset
    return plugin(audio, sample_rate)


def play_state(path, preset, messages, frames, sample_rate):
    """An instrument's notes (bytes and seconds), with a ``.vstpreset``'s bytes as its state."""
    # Else Pedalboard asks each of 2,080 MIDI controllers a thousand times for its text.
    pedalboard._pedalboard.PARAMETER_NAME_REGEXES_TO_IGNORE.add(re.compile("^MIDI Ch"))
    instrument = pedalboard.load_plugin(str(path))
    instrument.preset_data = preset
    instrument.reset()
    return instrument(messages, (frames + 0.5) / sample_rate, sample_rate, 2)
