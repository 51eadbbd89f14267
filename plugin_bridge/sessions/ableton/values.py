"""What stands in attributes called ``Value``: numbers, words, switches, faders."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from plugin_bridge.errors import SessionError
from plugin_bridge.sessions.xml import number, switch

SILENT = 0.00032
"""Live's lowest fader and send, -70 dB, is silence."""


def real(element: Element | None, path: str, default: float = 0.0) -> float:
    """The number in the attribute ``Value`` of what lies at ``path``."""
    found = element.find(path) if element is not None else None
    return default if found is None else number(found, "Value", default)


def word(element: Element, path: str) -> str:
    """The text there; empty if there is none."""
    found = element.find(path)
    return "" if found is None else found.get("Value", "")


def is_on(element: Element | None, path: str, default: bool) -> bool:
    """The switch there."""
    found = element.find(path) if element is not None else None
    return default if found is None else switch(found, "Value", default)


def gain(value: float) -> float:
    """A fader or a send, linear."""
    if not 0 <= value <= 1000:
        raise SessionError(f"a gain of {value:g}; it must lie between silence and +60 dB")
    return 0.0 if value <= SILENT else value


def muted(is_on: float) -> float:
    """1 where the switch of a track is off."""
    return float(is_on < 0.5)


def pan(value: float) -> float:
    """-1 left to +1 right."""
    return min(1.0, max(-1.0, value))
