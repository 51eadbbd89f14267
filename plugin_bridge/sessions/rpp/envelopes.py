"""Envelopes of REAPER projects: of tracks, sends, takes and the master.

A point is ``PT seconds value shape ? selected ? tension``; with ``VOLTYPE 1`` a volume moves evenly on the
fader. Pans count to the left, a mute of 1 is heard. In the automation mode Trim/Read (0) the fader comes on
top, in all others the envelope takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from plugin_bridge.sessions.model import Envelope, Parameter, Point, PointShape, Scale
from plugin_bridge.sessions.rpp.automation_items import AutomationItems
from plugin_bridge.sessions.rpp.text import Block, Line

Remark = Callable[[str], None]

PARAMETERS = {
    "VOLENV": Parameter.PRE_EFFECTS_VOLUME,
    "VOLENV2": Parameter.VOLUME,
    "VOLENV3": Parameter.TRIM,
    "PANENV": Parameter.PAN,
    "PANENV2": Parameter.PAN,
    "WIDTHENV": Parameter.WIDTH,
    "WIDTHENV2": Parameter.WIDTH,
    "MUTEENV": Parameter.MUTE,
}
"""Of tracks; before ``2`` they lie before the effects."""
SENDS = {"AUXVOLENV": Parameter.VOLUME, "AUXPANENV": Parameter.PAN, "AUXMUTEENV": Parameter.MUTE}
TAKES = {
    "VOLENV": Parameter.VOLUME,
    "PANENV": Parameter.PAN,
    "MUTEENV": Parameter.MUTE,
    "PITCHENV": Parameter.PITCH,
}
MASTER = {
    "MASTERVOLENV": Parameter.PRE_EFFECTS_VOLUME,
    "MASTERVOLENV2": Parameter.VOLUME,
    "MASTERVOLENV3": Parameter.TRIM,
    "MASTERPANENV": Parameter.PAN,
    "MASTERPANENV2": Parameter.PAN,
    "MASTERWIDTHENV": Parameter.WIDTH,
    "MASTERWIDTHENV2": Parameter.WIDTH,
    "MASTERMUTEENV": Parameter.MUTE,
}
LEFT_OUT = ("DUALPANENV", "DUALPANENVL", "DUALPANENV2", "DUALPANENVL2")
MASTER_LEFT_OUT = (
    "MASTERPLAYSPEEDENV",
    *(f"MASTER{name}" for name in LEFT_OUT),
)
SHAPES = dict(enumerate(PointShape))
NEUTRAL = dict.fromkeys(("PANENV", "PANENV2", "MASTERPANENV", "MASTERPANENV2", "PITCHENV", "AUXPANENV"), 0.0)
"""The value at which an envelope does nothing; 1 for all others."""
VOLUMES = (Parameter.VOLUME, Parameter.PRE_EFFECTS_VOLUME, Parameter.TRIM)
BYPASSED = -2
"""The automation mode in which no envelope does anything."""
BYPASS_ALL = 5
"""Of ``GLOBAL_AUTO``, which stands above the modes of the tracks; below 0 it does not."""


def automation_mode(override: int, own: int) -> int:
    """The mode in which a track plays, whose own is ``own``."""
    if override < 0:
        return own
    return BYPASSED if override >= BYPASS_ALL else override


def read_envelopes(
    block: Block,
    parameters: dict[str, Parameter],
    mode: int,
    remark: Remark,
    *,
    rate: float = 1.0,
    items: AutomationItems | None = None,
) -> Iterator[Envelope]:
    """The envelopes directly in ``block`` that move something; ``mode`` is that of the automation.

    Times of takes' envelopes, which have no automation ``items``, are divided by their play ``rate``.
    """
    for part in block.blocks(*parameters):
        found = read_envelope(part, parameters[part.name], mode, remark, rate=rate, items=items)
        if found is not None:
            yield found


def read_envelope(
    block: Block,
    parameter: Parameter,
    mode: int,
    remark: Remark,
    *,
    rate: float = 1.0,
    items: AutomationItems | None = None,
) -> Envelope | None:
    """One envelope; None if it is off or moves nothing."""
    on_top = mode == 0 or parameter not in (Parameter.VOLUME, Parameter.PAN, Parameter.WIDTH)
    if mode == BYPASSED or not is_active(block, on_top):
        return None
    points = sorted((_point(line, parameter, rate) for line in block.lines("PT")), key=_seconds)
    on_fader = parameter in VOLUMES and block.line("VOLTYPE").number_at(0, 0) == 1
    scale = Scale.REAPER_FADER if on_fader else Scale.VALUE
    if any(line.number_at(12, 0) == 0 for line in block.lines("POOLEDENVINST")):
        laid = items.laid(block, points, parameter, scale) if items is not None else None
        if laid is None:
            remark(f"automation items are left out: {block.name}")
        else:
            points = list(laid)
    if not points:
        return None
    return Envelope(parameter, tuple(points), scale, on_top)


def _seconds(point: Point) -> float:
    return point.seconds


def _point(line: Line, parameter: Parameter, rate: float) -> Point:
    value = line.number_at(1, 0)
    match parameter:
        case Parameter.PAN:
            value = max(-1.0, min(1.0, -value))
        case Parameter.MUTE:
            value = 1.0 if value < 0.5 else 0.0
        case Parameter.PITCH:
            value = max(-60.0, min(60.0, value))
        case Parameter.WIDTH:
            value = max(-1.0, min(1.0, value))
        case _:
            value = max(0.0, min(1000.0, value))
    shape = PointShape.HOLD if parameter is Parameter.MUTE else SHAPES.get(line.whole_at(2, 0))
    bend = line.number_at(6, 0) if shape is PointShape.BEZIER else 0.0
    return Point(line.seconds_at(0) / rate, value, shape or PointShape.LINEAR, max(-1.0, min(1.0, bend)))


def is_active(envelope: Block, on_top: bool = True) -> bool:
    """Whether an envelope is switched on and moves anything; in the fader's place, any value does."""
    neutral = NEUTRAL.get(envelope.name, 1.0)
    points = [point.number_at(1, neutral) for point in envelope.lines("PT")]
    moves = any(value != neutral or not on_top for value in points) or any(
        True for _ in envelope.lines("POOLEDENVINST")
    )
    return envelope.line("ACT").number_at(0, 1) != 0 and moves
