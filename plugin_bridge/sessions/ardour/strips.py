"""A route's strip: fader, trim, polarity, pan, mute, solo, their automation, sends, plug-ins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from xml.etree.ElementTree import Element

from plugin_bridge.sessions.ardour.fields import (
    GAINS,
    OTHER_PROCESSORS,
    PANNERS,
    PLAYED_STATES,
    PLUGIN_FORMATS,
    SEND_SMOOTHING,
    SILENT_PROCESSORS,
    SMOOTHING,
    SWITCH_SMOOTHING,
    USUAL_MUTE_POINTS,
    USUAL_PANNERS,
)
from plugin_bridge.sessions.ardour.regions import events, gain_envelope, is_true
from plugin_bridge.sessions.ardour.times import Clock, number
from plugin_bridge.sessions.model import (
    ChannelMap,
    Envelope,
    PanMode,
    Parameter,
    PluginState,
    Point,
    PointShape,
    Scale,
    Send,
    Tap,
    Track,
)

Remark = Callable[[str], None]
Panners = Mapping[int, PanMode]
"""By the number of channels that come in."""
MIDDLE = 0.5
"""Of Ardour's pan, which runs from 0 to 1."""


def read_strip(
    route: Element,
    track: Track,
    outputs: int,
    inputs: Mapping[str, int],
    clock: Clock,
    remark: Remark,
    panners: Panners = USUAL_PANNERS,
) -> None:
    """Fill in the strip of ``track``, whose panner, if it has one, feeds ``outputs`` channels.

    ``inputs`` says how many channels each route takes, by its id; ``panners`` are those of strips that
    name none.
    """
    processors = list(route.iterfind("Processor"))
    by_type = {processor.get("type", ""): processor for processor in reversed(processors)}
    track.volume = _gain(by_type.get("amp"), "gaincontrol")
    track.trim = _gain(by_type.get("trim"), "trimcontrol")
    mutes = _MutePoints(route)
    track.muted = mutes.holds("Main")
    solo = controllable(route, "solo")
    track.soloed = is_true(route.get("self-solo")) or (solo is not None and is_true(solo.get("self-solo")))
    isolated = controllable(route, "solo-iso")
    track.solo_defeat = is_true(route.get("solo-isolated")) or (
        isolated is not None and is_true(isolated.get("solo-isolated"))
    )
    _read_polarity(route, track)
    is_panned = _read_panner(route, by_type.get("main-outs"), track, outputs, panners, remark)
    for kind, (parameter, scale) in GAINS.items():
        processor = by_type.get({"gain": "amp"}.get(kind, kind))
        track.envelopes += gain_automation(processor, kind, parameter, scale, clock)
    if any(envelope.parameter is Parameter.TRIM for envelope in track.envelopes):
        track.trim = 1.0  # automation takes its place
    if is_panned:
        track.envelopes += _pan_automation(route.find("Pannable"), track.pan_mode, clock)
    if any(value >= MIDDLE for one in _played(route, "phase") for _, value in events(one, clock, "polarity")):
        remark("automation of its polarity is left out")
    if moves := list(mute_automation(route, clock)):
        track.muted = False
        track.envelopes += moves
    track.sends = list(_sends(route, processors, track, mutes, inputs, clock, panners))
    track.chain = [_plugin(one) for one in processors if one.get("type") in PLUGIN_FORMATS]
    track.plugins = [plugin.name for plugin in track.chain if not plugin.bypassed]
    for name in track.plugins:
        remark(f"plug-in {name} is left out")
    for processor in processors:
        kind = processor.get("type", "")
        if kind in SILENT_PROCESSORS or kind in PLUGIN_FORMATS or not is_true(processor.get("active", "1")):
            continue
        remark(f"{OTHER_PROCESSORS.get(kind, f'processor {kind}')} {processor.get('name', '')} is left out")


class _MutePoints:
    """Whether a strip is muted, and where: sends before and behind the fader, and its output (``Main``)."""

    def __init__(self, route: Element) -> None:
        master = route.find("MuteMaster")
        control = controllable(route, "mute")
        said = None if master is None else master.get("muted")
        if said is None and control is not None:
            self.is_muted = number(control.get("value"), 0.0, "mute") >= MIDDLE
        else:
            self.is_muted = is_true(said)
        points = None if master is None else master.get("mute-point")
        self.points = USUAL_MUTE_POINTS if points is None else points.split(",")

    def holds(self, point: str) -> bool:
        """Whether what leaves the strip there is muted."""
        return self.is_muted and point in self.points


def _read_polarity(route: Element, track: Track) -> None:
    control = controllable(route, "phase")
    bits = route.get("phase-invert") or (None if control is None else control.get("phase-invert")) or ""
    track.inverted = bits != "" and set(bits) == {"1"}
    if not track.inverted:
        track.inverted_channels = tuple(at for at, bit in enumerate(reversed(bits)) if bit == "1")


def _read_panner(
    route: Element, outs: Element | None, track: Track, outputs: int, panners: Panners, remark: Remark
) -> bool:
    """Whether it has one: only where two or more go out; with it, the law depends on what comes in."""
    shell = route.find("PannerShell") if outs is None else outs.find("PannerShell")
    if shell is not None and is_true(shell.get("bypassed")):
        return False
    if outputs > 2:
        remark(f"its panner to {outputs} outputs is left out")
    if outputs != 2:
        return False
    if track.channels > 2:
        remark(f"the panner of its {track.channels} channels is left out")
    mode = _pan_mode(shell, track.channels, panners)
    if mode is None:
        return False
    track.pan_mode = mode
    pannable = route.find("Pannable")
    track.pan = _pan(pannable, "pan-azimuth", MIDDLE)
    track.width = _width(pannable)
    return True


def _pan_mode(shell: Element | None, channels: int, panners: Panners) -> PanMode | None:
    """That of the panner which a strip or a send names, if it takes so many channels; else the usual one."""
    panner = None if shell is None else shell.find("Panner")
    chosen = (None if shell is None else shell.get("user-panner")) or (
        None if panner is None else panner.get("uri")
    )
    mode = PANNERS.get(chosen or "")
    if mode is None or channels > 2 or (mode is PanMode.ARDOUR_MONO) != (channels == 1):
        mode = panners.get(channels)
    return mode


def _pan(pannable: Element | None, name: str, default: float) -> float:
    control = None if pannable is None else controllable(pannable, name)
    value = default if control is None else number(control.get("value"), default, name)
    return 2 * min(1.0, max(0.0, value)) - 1


def _width(pannable: Element | None) -> float:
    control = None if pannable is None else controllable(pannable, "pan-width")
    value = 1.0 if control is None else number(control.get("value"), 1.0, "pan-width")
    if any(True for name in ("pan-azimuth", "pan-width") for _ in _played(pannable, name)):
        return min(1.0, max(-1.0, value))
    room = 1 - abs(_pan(pannable, "pan-azimuth", MIDDLE))  # neither channel goes beyond its side
    return max(-room, min(room, value))


def _gain(processor: Element | None, name: str) -> float:
    control = None if processor is None else controllable(processor, name)
    if control is None:
        return 1.0
    return max(0.0, number(control.get("value"), 1.0, name))


def gain_automation(
    processor: Element | None, identifier: str, parameter: Parameter, scale: Scale, clock: Clock
) -> Iterator[Envelope]:
    """The gain called ``identifier`` of a processor, or a VCA, where automation moves it."""
    for element in _played(processor, identifier):
        if points := events(element, clock, f"automation of {identifier}"):
            # What automation moves stands in the place of the fader; a trim is one more gain.
            yield gain_envelope(
                parameter,
                scale,
                points,
                element,
                relative=parameter is Parameter.TRIM,
                smoothing=SEND_SMOOTHING if identifier == "send" else SMOOTHING,
            )


def _pan_automation(pannable: Element | None, mode: PanMode, clock: Clock) -> Iterator[Envelope]:
    for element in _played(pannable, "pan-azimuth"):
        found = events(element, clock, "automation of pan")
        points = tuple(Point(at, 2 * min(1.0, max(0.0, value)) - 1) for at, value in found)
        if points:
            yield Envelope(Parameter.PAN, points, relative=False)
    for element in _played(pannable, "pan-width") if mode is PanMode.ARDOUR_STEREO else ():
        found = events(element, clock, "automation of width")
        points = tuple(Point(at, min(1.0, max(-1.0, value))) for at, value in found)
        if points:
            yield Envelope(Parameter.WIDTH, points, relative=False)


def mute_automation(route: Element, clock: Clock) -> Iterator[Envelope]:
    """The mute of a route or a VCA, where automation moves it."""
    for element in _played(route, "mute"):
        found = events(element, clock, "automation of mute")
        points = tuple(Point(at, value, PointShape.HOLD) for at, value in found)
        if points:
            yield Envelope(Parameter.MUTE, points, relative=False, smoothing=SWITCH_SMOOTHING)


def _played(holder: Element | None, identifier: str) -> Iterator[Element]:
    """The lists that move the parameter called ``identifier``, where they are heard."""
    if holder is None:
        return
    for element in holder.iterfind("Automation/AutomationList"):
        if element.get("automation-id") == identifier and element.get("state") in PLAYED_STATES:
            yield element


def _sends(
    route: Element,
    processors: list[Element],
    track: Track,
    mutes: _MutePoints,
    inputs: Mapping[str, int],
    clock: Clock,
    panners: Panners,
) -> Iterator[Send]:
    """Internal sends leave the strip where they stand among its processors, each with a panner of its own."""
    is_behind = False
    for processor in processors:
        is_behind |= processor.get("type") == "amp"
        if processor.get("type") != "intsend" or processor.get("role", "Aux") != "Aux":
            continue
        if not is_true(processor.get("active", "1")):
            continue
        gain = _send_gain(processor)
        polarity = controllable(processor, "polarity-invert")
        inverted = polarity is not None and number(polarity.get("value"), 0.0, "polarity") >= MIDDLE
        shell = processor.find("PannerShell")
        linked = shell is None or is_true(shell.get("linked-to-route"))
        pannable = route.find("Pannable") if linked else processor.find("Pannable")
        target = processor.get("target", "")
        arriving = inputs.get(target, 2)
        mode = _pan_mode(shell, track.channels, panners) or PanMode.BALANCE
        ways: ChannelMap = ()
        if arriving == 1:  # there all channels are summed, and nothing is panned
            ways = tuple((channel, 0) for channel in range(track.channels))
        elif shell is not None and is_true(shell.get("bypassed")):
            ways = tuple((channel, channel) for channel in range(min(track.channels, arriving)))
        if ways:
            mode, pannable = PanMode.BALANCE, None
        point = "PostFader" if is_behind else "PreFader"
        yield Send(
            target,
            1.0 if gain is None else max(0.0, number(gain.get("value"), 1.0, "a send's gain")),
            pan=_pan(pannable, "pan-azimuth", MIDDLE),
            pan_mode=mode,
            width=_width(pannable),
            tap=Tap.PRE_PAN if is_behind else Tap.PRE_FADER,
            muted=mutes.holds(point) and not track.muted,
            through_mute=point not in mutes.points,
            channel_map=ways,
            # Polarity comes first on the strip, but in the model with the fader.
            inverted=inverted != (track.inverted and not is_behind),
            inverted_channels=() if is_behind else track.inverted_channels,
            envelopes=(
                *gain_automation(processor, "send", Parameter.VOLUME, Scale.ARDOUR_FADER, clock),
                *_pan_automation(pannable, mode, clock),
            ),
        )


def _send_gain(send: Element) -> Element | None:
    """The control of a send's gain; before version 7 it may lie in an amplifier of its own."""
    inner = (one for one in send.iterfind("Processor") if one.get("type") == "amp")
    found = (controllable(one, "gaincontrol") for one in (send, *inner))
    return next((one for one in found if one is not None), None)


def _plugin(processor: Element) -> PluginState:
    return PluginState(
        processor.get("name", ""),
        PLUGIN_FORMATS[processor.get("type", "")],
        processor.get("unique-id", ""),
        bypassed=not is_true(processor.get("active", "1")),
    )


def controllable(element: Element, name: str) -> Element | None:
    """The control called ``name`` right inside ``element``."""
    return next((one for one in element.iterfind("Controllable") if one.get("name") == name), None)
