"""Copies of Ardour's routes: ids, names, ports and plug-in states of their own."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement

from plugin_bridge.sessions.ardour.fields import OTHER_PROCESSORS, PLUGIN_FORMATS

MOST_STATE_BYTES = 256 << 20


class Identifiers:
    """Ids that no other part of the session has."""

    def __init__(self, root: Element) -> None:
        used = [
            int(value)
            for element in root.iter()
            for value in (element.get("id"), element.get("id-counter"))
            if value and value.isdecimal() and len(value) < 19
        ]
        self._next = max(used, default=0) + 1
        slots = (element.get("bitslot", "") for element in root.iter("Processor"))
        self._slot = max((int(slot) for slot in slots if slot.isdecimal() and len(slot) < 9), default=0)
        self.plugins: list[tuple[str, str]] = []
        """The old and the new id of every plug-in that was copied."""

    def new(self) -> str:
        """The next one."""
        self._next += 1
        return str(self._next)

    def new_slot(self) -> str:
        """The next number of a send."""
        self._slot += 1
        return str(self._slot)


def copied_route(root: Element, route: Element, name: str, identifiers: Identifiers) -> Element:
    """A copy of ``route`` called ``name``, connected like it; nothing comes in but what it plays."""
    old = route.get("name", "")
    made = copy.deepcopy(route)
    made.set("name", name)
    for element in list(made.iterfind("Processor")):
        if element.get("type") in OTHER_PROCESSORS:  # they go through the sound card
            made.remove(element)
    for element in made.iter():
        before = element.get("id")
        if before is None or element.tag == "master":  # which is the id of a VCA's control
            continue
        element.set("id", identifiers.new())
        if element.tag == "Processor" and element.get("type") in PLUGIN_FORMATS:
            identifiers.plugins.append((before, element.get("id", "")))
        if element.get("bitslot") is not None:
            element.set("bitslot", identifiers.new_slot())
    for element in (*made.iterfind("IO"), *made.iterfind("Processor")):
        if element.get("name") == old:
            element.set("name", name)
        elif element.get("name", "").endswith(f":{old}"):  # player:NAME
            element.set("name", element.get("name", "").removesuffix(old) + name)
        if element.get("output") == old:
            element.set("output", name)
    outputs = {}
    for io in made.iterfind("IO"):
        for port in io.iterfind("Port"):
            before = port.get("name", "")
            port.set("name", name + before.removeprefix(old) if before.startswith(f"{old}/") else before)
            if io.get("direction") == "Output":
                outputs[before] = port.get("name", "")
            else:
                for connection in list(port.iterfind("Connection")):
                    port.remove(connection)
    for io in root.iterfind("Routes/Route/IO"):
        for port in io.iterfind("Port"):
            for connection in list(port.iterfind("Connection")):
                if io.get("direction") == "Input" and connection.get("other") in outputs:
                    SubElement(port, "Connection", {"other": outputs[connection.get("other", "")]})
    return made


def set_muted(route: Element, muted: bool) -> None:
    """Mute a route, or let it be heard."""
    master = route.find("MuteMaster")
    if master is not None:
        master.set("muted", str(int(muted)))
    for control in route.iterfind("Controllable"):
        if control.get("name") == "mute":
            control.set("value", str(int(muted)))
    for element in route.iterfind("Automation/AutomationList"):
        if muted and element.get("automation-id") == "mute":
            element.set("state", "Off")


def take_plugin_states(folder: Path, old: str, new: str) -> None:
    """Copy the files in which a plug-in of the session in ``folder`` keeps its state.

    Raises :class:`OSError`.
    """
    source, target = folder / "plugins" / old, folder / "plugins" / new
    if not old.isdecimal() or not source.is_dir() or source.is_symlink() or target.exists():
        return
    files = [path for path in source.rglob("*") if path.is_file() and not path.is_symlink()]
    if sum(path.stat().st_size for path in files) <= MOST_STATE_BYTES:
        for path in files:
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
