"""VCA faders: they turn strips up and down by what they have moved since those were assigned to them.

A VCA may follow others; then what it moves follows them, too, once for each way. Mutes and solos pass down
all the ways.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element

from plugin_bridge.sessions.ardour.regions import is_true
from plugin_bridge.sessions.ardour.strips import MIDDLE, controllable, gain_automation, mute_automation
from plugin_bridge.sessions.ardour.times import Clock, number
from plugin_bridge.sessions.model import Parameter, Scale, Vca

LOWEST = 1e-6
"""A gain below is silence, from which no VCA comes back by a ratio."""
MOST_WAYS = 64
"""From one strip up to VCAs; more are a knot."""


class Vcas:
    """The VCAs of a session."""

    def __init__(self, root: Element, clock: Clock) -> None:
        self._elements = {one.get("number", ""): one for one in root.iterfind("VCAManager/VCA")}
        self._numbers: dict[str, str] = {}
        self.found: dict[str, Vca] = {}
        """By identifier: the faders, and constants that make good for where those stood at first."""
        for identifier, element in self._elements.items():
            gain, mute, solo = (controllable(element, name) for name in ("gaincontrol", "mute", "solo"))
            moves = list(mute_automation(element, clock))
            self.found[identifier] = Vca(
                identifier,
                element.get("name", ""),
                max(0.0, _value(gain, 1.0, "a VCA's gain")),
                muted=not moves and _value(mute, 0.0, "a VCA's mute") >= MIDDLE,
                soloed=solo is not None and is_true(solo.get("self-solo")),
                envelopes=[
                    *gain_automation(element, "gain", Parameter.VOLUME, Scale.ARDOUR_FADER, clock),
                    *moves,
                ],
            )
            if gain is not None:
                self._numbers[gain.get("id", "")] = identifier

    def over(self, strip: Element, gain: Element | None) -> list[str]:
        """The identifiers of all that move ``strip``, whose own fader is ``gain``, also through others."""
        ways: list[str] = []
        self._follow(strip, gain, ways, ())
        return ways

    def _follow(self, strip: Element, gain: Element | None, ways: list[str], below: tuple[str, ...]) -> None:
        records = [] if gain is None else gain.findall("masters/master")
        stood = {self._numbers.get(one.get("id", "")): one.get("val-master") for one in records}
        for master in strip.iterfind("Slavable/Master"):
            identifier = master.get("number", "")
            if identifier not in self._elements or identifier in below or len(ways) >= MOST_WAYS:
                continue
            ways.append(identifier)
            at_first = number(stood.get(identifier), 1.0, "where a VCA stood")
            if at_first > LOWEST and at_first != 1:
                constant = f"{identifier} from {at_first:g}"
                name = self.found[identifier].name
                self.found.setdefault(constant, Vca(constant, name, 1 / at_first))
                ways.append(constant)
            element = self._elements[identifier]
            self._follow(element, controllable(element, "gaincontrol"), ways, (*below, identifier))


def _value(control: Element | None, default: float, what: str) -> float:
    return default if control is None else number(control.get("value"), default, what)
