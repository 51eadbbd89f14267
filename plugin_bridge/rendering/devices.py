"""DAWproject's own devices (Equalizer, Compressor, NoiseGate, Limiter) by Pedalboard's nearest built-ins.

The format names their parameters and does not say how they sound, so these are approximations: their curves,
ballistics and filters are Pedalboard's; filters of higher order and those that Pedalboard lacks are
Butterworth sections and the biquads of Robert Bristow-Johnson's "Audio EQ Cookbook".
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
import pedalboard

from plugin_bridge.errors import PluginError, SessionError
from plugin_bridge.plugins.python_plugin import PythonPlugin
from plugin_bridge.sessions.model import PluginState
from plugin_bridge.sessions.xml import parse_xml
from separators.base import Audio

FORMAT = "DAWproject"
MOST_ORDER = 16
Q = math.sqrt(0.5)


class Filter(PythonPlugin):
    """A filter of second-order sections that streams."""

    streams = True
    settable = ()

    def __init__(self, kind: str, frequency_hz: float, q: float, order: int = 2) -> None:
        """``kind``: ``highPass``, ``lowPass``, ``bandPass`` or ``notch``."""
        super().__init__()
        self._design = (kind, frequency_hz, q, order)
        self._state: np.ndarray[Any, np.dtype[np.float64]] | None = None

    def run(self, audio: Audio, sample_rate: float, buffer_size: int, reset: bool) -> Audio:
        """Filter ``audio``; with ``reset=False`` the signal goes on."""
        sections = self._sections(sample_rate)
        from scipy import signal  # takes most of a second to load, and few sessions need it

        if reset or self._state is None or self._state.shape[1] != len(audio):
            self._state = np.zeros((len(sections), len(audio), 2))
        out, self._state = signal.sosfilt(sections, audio, axis=1, zi=self._state)
        return np.asarray(out, np.float32)

    def reset(self) -> None:
        """Forget the audio of earlier calls."""
        super().reset()
        self._state = None

    def _sections(self, sample_rate: float) -> Audio:
        from scipy import signal

        kind, frequency_hz, q, order = self._design
        frequency_hz = min(max(frequency_hz, 1.0), 0.49 * sample_rate)
        if kind in ("highPass", "lowPass"):
            side = kind.removesuffix("Pass")
            return np.asarray(signal.butter(order, frequency_hz, side, fs=sample_rate, output="sos"))
        form = signal.iirpeak if kind == "bandPass" else signal.iirnotch
        return np.asarray(signal.tf2sos(*form(frequency_hz, q, fs=sample_rate)))


def plugins(state: PluginState) -> list[pedalboard.Plugin]:
    """New plug-ins that come near the device; raises :class:`PluginError` if there is nothing like it."""
    try:
        device = parse_xml([state.state], Path(state.name))
    except SessionError as error:
        raise PluginError(str(error)) from None
    makers = {"Equalizer": _equalizer, "Compressor": _compressor, "NoiseGate": _gate, "Limiter": _limiter}
    if state.identifier not in makers:
        raise PluginError(f"there is nothing like a {state.identifier}; there is: {', '.join(makers)}")
    return makers[state.identifier](device)


def _equalizer(device: Element) -> list[pedalboard.Plugin]:
    made = _gain(device, "InputGain")
    for band in device.findall("Band"):
        if _switch(band.find("Enabled")):
            made.append(_band(band))
    return made + _gain(device, "OutputGain")


def _band(band: Element) -> pedalboard.Plugin:
    kind, frequency = band.get("type", "bell"), _value(band, "Freq", 1000.0)
    gain, q = _decibels(band, "Gain", 0.0), min(max(_value(band, "Q", Q), 0.01), 100.0)
    frequency = min(max(frequency, 1.0), 20_000.0)
    match kind:
        case "bell":
            return pedalboard.PeakFilter(frequency, gain, q)
        case "lowShelf":
            return pedalboard.LowShelfFilter(frequency, gain, q)
        case "highShelf":
            return pedalboard.HighShelfFilter(frequency, gain, q)
    try:
        order = int(band.get("order", "2"))
    except ValueError:
        order = 2
    return Filter(kind, frequency, q, min(max(order, 1), MOST_ORDER))


def _compressor(device: Element) -> list[pedalboard.Plugin]:
    threshold, ratio = _decibels(device, "Threshold", -20.0), _ratio(device)
    attack, release = _times(device, 0.01)
    compressor = pedalboard.Compressor(threshold, ratio, attack, release)
    make_up: list[pedalboard.Plugin] = []
    if _switch(device.find("AutoMakeup"), False):
        make_up = [pedalboard.Gain(-threshold * (1 - 1 / ratio) / 2)]  # half of what full level loses
    return [*_gain(device, "InputGain"), compressor, *make_up, *_gain(device, "OutputGain")]


def _gate(device: Element) -> list[pedalboard.Plugin]:
    attack, release = _times(device, 0.001)
    return [
        pedalboard.NoiseGate(_decibels(device, "Threshold", -60.0), _ratio(device, 10.0), attack, release)
    ]


def _limiter(device: Element) -> list[pedalboard.Plugin]:
    _, release = _times(device, 0.0)
    limiter = pedalboard.Limiter(_decibels(device, "Threshold", 0.0), release)
    return [*_gain(device, "InputGain"), limiter, *_gain(device, "OutputGain")]


def _times(device: Element, attack_seconds: float) -> tuple[float, float]:
    """Attack and release, milliseconds."""
    attack, release = _value(device, "Attack", attack_seconds), _value(device, "Release", 0.1)
    return 1000 * min(max(attack, 0.0), 10.0), 1000 * min(max(release, 0.0), 10.0)


def _gain(device: Element, name: str) -> list[pedalboard.Plugin]:
    gain = _decibels(device, name, 0.0)
    return [pedalboard.Gain(gain)] if gain else []


def _ratio(device: Element, default: float = 4.0) -> float:
    """N of N to 1; some programs write it as a share of 1."""
    ratio = _value(device, "Ratio", default)
    element = device.find("Ratio")
    if element is not None and element.get("unit") in ("percent", "normalized") and ratio < 1:
        ratio = 1 / (1 - ratio)
    return min(max(ratio, 1.0), 1000.0)


def _decibels(device: Element, name: str, default: float) -> float:
    element = device.find(name)
    value = _value(device, name, default)
    if element is not None and element.get("unit") == "linear":
        value = 20 * math.log10(max(value, 1e-6))
    return min(max(value, -120.0), 60.0)


def _value(device: Element, name: str, default: float) -> float:
    element = device.find(name)
    try:
        value = float(element.get("value", "")) if element is not None else default
    except ValueError:
        return default
    if element is not None and element.get("unit") == "percent":
        value /= 100
    return value if math.isfinite(value) else default


def _switch(element: Element | None, default: bool = True) -> bool:
    return default if element is None else element.get("value", "true") in ("true", "1")
