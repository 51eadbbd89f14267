"""A DAWproject's plug-ins: names, class ids, and their states as the model keeps them."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from xml.etree.ElementTree import Element, tostring

from plugin_bridge import vst_presets
from plugin_bridge.errors import PluginError, SessionError
from plugin_bridge.sessions.dawproject import archive
from plugin_bridge.sessions.dawproject.schema import CHOICES
from plugin_bridge.sessions.dawproject.values import boolean
from plugin_bridge.sessions.model import PluginState
from plugin_bridge.sessions.xml import switch

FORMATS = {"Vst3Plugin": "VST3", "Vst2Plugin": "VST2", "ClapPlugin": "CLAP", "AuPlugin": "AU"}
BUILT_IN = "DAWproject"
"""The format of devices that DAWproject describes itself (``Equalizer``, ``Compressor``, ...); their state is
the element."""
MOST_STATE = 256 << 20
"""Bytes of all states of a project."""

Remark = Callable[[str], None]


class DeviceReader:
    """Turns the devices of channels into plug-ins with states, all of them together bounded."""

    def __init__(self, packed: zipfile.ZipFile) -> None:
        self.packed = packed
        self._left = MOST_STATE

    def read(self, channel: Element, remark: Remark) -> list[PluginState]:
        """The devices on a channel, in its order; remarks on states that cannot be read."""
        devices = channel.find("Devices")
        known = CHOICES["AnyDevice"]
        return [
            self._device(element, remark)
            for element in (devices if devices is not None else ())
            if element.tag in known
        ]

    def _device(self, element: Element, remark: Remark) -> PluginState:
        name = element.get("deviceName") or element.get("name") or element.tag
        kind = FORMATS.get(element.tag, BUILT_IN)
        identifier = element.get("deviceID", "")
        bypassed = not (boolean(element.find("Enabled"), True) and switch(element, "loaded", True))
        if kind == BUILT_IN:
            return PluginState(name, kind, element.tag, tostring(element), bypassed=bypassed)
        file = element.find("State")
        data = b""
        if file is not None:
            try:
                data = self._state(file)
            except SessionError as error:
                remark(f"the state of plug-in {name} cannot be read: {error}")
        if kind != "VST3":
            return PluginState(name, kind, identifier, data, bypassed=bypassed)
        identifier = vst_presets.class_id(identifier)
        if not data:
            return PluginState(name, kind, identifier, bypassed=bypassed)
        try:
            preset = vst_presets.parsed(data)
        except PluginError as error:
            remark(f"the state of plug-in {name} cannot be read: {error}")
            return PluginState(name, kind, identifier, bypassed=bypassed)
        return PluginState(
            name, kind, preset.class_id, preset.component, preset.controller, data, bypassed=bypassed
        )

    def _state(self, file: Element) -> bytes:
        if file.get("external") in ("true", "1"):
            raise SessionError("it lies outside the project")
        data = archive.state(self.packed, file.get("path", ""))
        self._left -= len(data)
        if self._left < 0:
            raise SessionError(f"all states together are larger than {MOST_STATE} bytes")
        return data
