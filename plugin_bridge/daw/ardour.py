"""Ardour's export tool renders a session: the master's mix, or every track alone behind its effects.

The tool renders what the master hears. For a track, a snapshot in the copy has it at unity before a neutral
master, all others muted; its own effects stay.
"""

from __future__ import annotations

import copy
import os
import shutil
import tempfile
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, tostring

from plugin_bridge.daw.running import Run, find_program, render
from plugin_bridge.errors import SessionError
from plugin_bridge.naming import safe_name
from plugin_bridge.sessions.ardour.copies import set_muted
from plugin_bridge.sessions.ardour.reader import read_ardour
from plugin_bridge.sessions.ardour.routing import audio_ports
from plugin_bridge.sessions.model import Session
from plugin_bridge.sessions.xml import read_xml

PROGRAMS = ("ardour9-export", "ardour8-export", "ardour7-export", "ardour6-export", "ardour-export")
VERSIONS = (9, 8, 7, 6, 5)
ONE_THREAD = (
    '<?xml version="1.0"?>\n<Ardour><Config><Option name="processor-usage" value="1"/></Config></Ardour>\n'
)
"""With several threads the tool aborts ten times as often."""
MONO_UNITY = 10 ** (3 / 20)
"""Makes good for the mono panner, which is -3 dB in the middle."""
COPIED = ("plugins", "externals")
LINKED = ("interchange",)


def render_ardour(
    project: Path, out: Path, tracks: Sequence[str], mix: bool, time_limit: float
) -> list[Path]:
    """The tracks of an Ardour session as 32-bit float files in ``out``, or its mix: the session's range.

    Raises :class:`SessionError`.
    """
    program = find_program(PROGRAMS, "Ardour's export tool")
    session = read_ardour(project)
    root = read_xml(project)
    span = next((marker for marker in session.markers if marker.name == "session"), None)
    if span is None or span.length <= 0:
        raise SessionError(
            f"{project}: has no session range, which Ardour exports; set its start and end markers"
        )
    rate = session.sample_rate
    frames = round((span.seconds + span.length) * rate) - round(span.seconds * rate)
    with tempfile.TemporaryDirectory(prefix="stembridge-") as folder:
        home = _copy_session(project.parent, Path(folder))
        environment = {"XDG_CONFIG_HOME": str(configuration(Path(folder)))}
        wanted = _wanted(root, session, tracks, mix)
        files = []
        for number, (name, snapshot) in enumerate(wanted):
            (home / f"render{number}.ardour").write_bytes(tostring(snapshot))
            made = out / f"{name}.wav"
            command = [program, "-b", "float", "-B", "-o", str(made), str(home), f"render{number}"]
            render(Run(command, made, frames, environment), time_limit)
            files.append(made)
    return files


def _copy_session(source: Path, folder: Path) -> Path:
    """A session folder of our own; its audio are links, one for each file: nothing is written beside it."""
    home = folder / "session"
    home.mkdir()
    for name in LINKED:
        for path, folders, files in os.walk(source / name):
            folders[:] = [one for one in folders if not Path(path, one).is_symlink()]
            place = home / Path(path).relative_to(source)
            place.mkdir(parents=True, exist_ok=True)
            for file in files:
                Path(place, file).symlink_to(Path(path, file))
    for name in COPIED:
        if (source / name).is_dir():
            shutil.copytree(source / name, home / name, symlinks=True)
    return home


def configuration(folder: Path) -> Path:
    """A folder of settings, made in ``folder``, with which the tool seldom aborts."""
    home = folder / "configuration"
    for version in VERSIONS:
        (home / f"ardour{version}").mkdir(parents=True)
        (home / f"ardour{version}" / "config").write_text(ONE_THREAD, encoding="utf-8")
    return home


def _wanted(root: Element, session: Session, tracks: Sequence[str], mix: bool) -> list[tuple[str, Element]]:
    """What is rendered: the name of each file and the session for it."""
    if mix:
        return [(f"{safe_name(session.name)} mix", root)]
    routes = [
        route
        for route in root.iterfind("Routes/Route")
        if route.get("audio-playlist") or route.get("midi-playlist") or route.find("Diskstream") is not None
    ]
    routes.sort(key=lambda route: int(_order(route)))
    names = [route.get("name", "") for route in routes]
    fits = [not tracks or any(fnmatchcase(n.casefold(), one.casefold()) for one in tracks) for n in names]
    if not any(fits):
        raise SessionError(
            f"{session.path}: no track fits {', '.join(tracks)}; there are: {', '.join(names)}"
        )
    return [
        (safe_name(name), _alone(root, route.get("id", "")))
        for route, name, chosen in zip(routes, names, fits, strict=True)
        if chosen
    ]


def _order(route: Element) -> str:
    info = route.find("PresentationInfo")
    order = "0" if info is None else info.get("order", "0")
    return order if order.isdecimal() and len(order) < 9 else "0"


def _alone(root: Element, identifier: str) -> Element:
    """The session with this track alone, behind its effects, through a neutral master."""
    made = copy.deepcopy(root)
    routes = list(made.iterfind("Routes/Route"))
    master = next((route for route in routes if "MasterOut" in _flags(route)), None)
    if master is None:
        raise SessionError("the session has no master, behind which its tracks could be rendered")
    for route in routes:
        for control in route.iterfind("Controllable"):
            if control.get("name") == "solo":
                control.set("value", "0")
                for word in ("self-solo", "soloed-by-upstream", "soloed-by-downstream"):
                    control.set(word, "0")
        set_muted(route, route is not master and route.get("id") != identifier)
    track = next(route for route in routes if route.get("id") == identifier)
    _neutral(master, 1.0)
    for processor in master.iterfind("Processor"):
        if processor.get("type") not in ("amp", "trim", "main-outs", "meter", "polarity"):
            processor.set("active", "0")
    mono = sum(1 for _ in audio_ports(track, "Input")) == 1
    _neutral(track, MONO_UNITY if mono and sum(1 for _ in audio_ports(track, "Output")) == 2 else 1.0)
    _connect(made, track, master)
    return made


def _flags(route: Element) -> str:
    info = route.find("PresentationInfo")
    return route.get("flags", "") if info is None else info.get("flags", "")


def _neutral(route: Element, gain: float) -> None:
    """Fader, pan, polarity and their automation out of the way; trim comes before the effects and stays."""
    for holder in route.iter("AutomationList"):
        if holder.get("automation-id") in ("gain", "mute", "pan-azimuth", "pan-width"):
            holder.set("state", "Off")
    for processor in route.iterfind("Processor"):
        for control in processor.iterfind("Controllable"):
            if processor.get("type") == "amp" and control.get("name") == "gaincontrol":
                control.set("value", repr(gain))
        if processor.get("type") == "intsend":
            processor.set("active", "0")
    for control in route.iter("Controllable"):
        if control.get("name") == "pan-azimuth":
            control.set("value", "0.5")
        elif control.get("name") == "phase":
            control.set("value", "0")
            control.set("phase-invert", "0" * len(control.get("phase-invert", "0")))
    slavable = route.find("Slavable")
    if slavable is not None:
        slavable.clear()


def _connect(root: Element, track: Element, master: Element) -> None:
    """The track goes to the master, and nowhere else."""
    inputs = [port.get("name", "") for port in audio_ports(master, "Input")]
    outputs = list(audio_ports(track, "Output"))
    mine = {port.get("name", "") for port in outputs}
    for port in root.iterfind("Routes/Route/IO/Port"):
        for connection in list(port):
            if connection.get("other") in mine:
                port.remove(connection)
    for port, target in zip(outputs, inputs, strict=False):
        for connection in list(port.iterfind("Connection")):
            port.remove(connection)
        SubElement(port, "Connection", {"other": target})
