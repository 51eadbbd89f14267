"""Strips of any session's tracks as lines of a fresh REAPER project: faders, pans, envelopes, sends, VCAs.

What REAPER has no words for is said to ``remark``, one line each.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial

from plugin_bridge.naming import told_apart
from plugin_bridge.sessions.curves import PointCurve
from plugin_bridge.sessions.model import (
    Envelope,
    PanMode,
    Parameter,
    Point,
    PointShape,
    Scale,
    Send,
    Session,
    Track,
)
from plugin_bridge.sessions.plain import as_balance, behind_the_pan, is_balanced
from plugin_bridge.sessions.rpp.envelopes import MASTER, PARAMETERS, SENDS, SHAPES, TAKES
from plugin_bridge.sessions.rpp.plugins import chain_lines, is_written
from plugin_bridge.sessions.rpp.routing import TAPS, VCA_FOLLOWS, VCA_LEADS

MOST_VCAS = 32
FADERS = (Parameter.VOLUME, Parameter.PAN, Parameter.WIDTH)
"""Whose envelopes stand in the fader's place where the automation mode says so."""
SHAPE_CODES = {shape: code for code, shape in SHAPES.items()}
TAP_CODES = {tap: code for code, tap in TAPS.items()}
TRIM_READ, READ = 0, 1
"""Automation modes: on top of the fader, and in its place."""
BALANCE, STEREO = 3, 5
MUTED, MONO = 1, 4

Remark = Callable[[str], None]


def _names(table: dict[str, Parameter]) -> dict[Parameter, str]:
    """For each parameter its envelope; of two the later one, which lies behind the effects."""
    return {parameter: name for name, parameter in table.items()}


TRACK_NAMES, SEND_NAMES, TAKE_NAMES, MASTER_NAMES = map(_names, (PARAMETERS, SENDS, TAKES, MASTER))


def guid(*words: object) -> str:
    """The same words give the same GUID, so that the same session gives the same project.

    >>> guid("track", 1) == guid("track", 1) != guid("track", 2)
    True
    """
    text = told_apart("\n".join(str(word) for word in words))
    return "{" + str(uuid.uuid5(uuid.NAMESPACE_OID, text)).upper() + "}"


def number(value: float) -> str:
    """A number as REAPER writes it.

    >>> number(1.0), number(0.1), number(-0.0)
    ('1', '0.1', '0')
    """
    return f"{value + 0.0:.14f}".rstrip("0").rstrip(".")


class Strips:
    """Writes the strips of ``session``, of whose tracks ``shown`` are in the project, in this order."""

    def __init__(self, session: Session, shown: list[Track], remark: Remark) -> None:
        self.session = session
        self.remark = remark
        self._places = {track.identifier: place for place, track in enumerate(shown)}
        self._sends = [(track, send) for track in shown for send in track.sends]
        self._vcas = {vca.identifier: bit for bit, vca in enumerate(session.vcas[:MOST_VCAS])}
        for vca in session.vcas[MOST_VCAS:]:
            remark(f"{vca.name}: more than {MOST_VCAS} VCAs are not written")
        for vca in session.vcas:
            if vca.muted or vca.soloed:
                remark(f"{vca.name}: the mute and solo of a VCA are not written")
        if session.master_pan_mode is not PanMode.STEREO and not is_balanced(session):
            remark(f"Master: its {session.master_pan_mode.value} is written as a balance")
        if session.master_inverted:
            remark("Master: its polarity is not written")
        for plugin in session.master_chain:
            if not is_written(plugin):
                remark(f"Master: plug-in {plugin.name} is not written")

    def master(self) -> Iterator[str]:
        """The lines of the master."""
        session = self.session
        state = MUTED * session.master_muted | MONO * session.master_mono
        if state:
            yield f"  MASTERMUTESOLO {state}"
        if session.master_channels != 2:
            yield f"  MASTER_NCH {session.master_channels} 2"
        volume, pan, envelopes, mode = self._faders(
            "Master", session.master_volume, session.master_pan, session.master_envelopes
        )
        wide = session.master_pan_mode is PanMode.STEREO
        width = session.master_width if wide else 1.0
        yield f"  MASTER_VOLUME {number(volume)} {number(pan)} -1 -1 {number(width)}"
        if wide:
            yield f"  MASTER_PANMODE {STEREO}"
        if mode:
            yield f"  MASTERAUTOMODE {mode}"
        for envelope in envelopes:
            yield from self._envelope("Master", envelope, MASTER_NAMES, "  ")
        for line in chain_lines(session.master_chain, "MASTERFXLIST", partial(guid, "master's plug-in")):
            yield f"  {line}"

    def of(self, track: Track) -> Iterator[str]:
        """The lines of a track's strip and of what it receives."""
        volume, pan, law, width = track.volume, track.pan, track.pan_law, 1.0
        pan_mode = STEREO if track.pan_mode is PanMode.STEREO else BALANCE
        if track.pan_mode is PanMode.STEREO:
            width = track.width
        elif track.pan_mode is not PanMode.BALANCE:
            law = 1.0
            if (plain := as_balance(track)) is not None:
                volume, pan = plain
            if plain is None or any(one.parameter is Parameter.PAN for one in track.envelopes):
                self.remark(f"{track.name}: its {track.pan_mode.value} is written as a balance")
        factor = volume / track.volume if track.volume else 1.0
        own = [_times(one, factor) if _is_fader(one) else one for one in track.envelopes]
        volume, pan, envelopes, mode = self._faders(track.name, volume, pan, own)
        if track.trim != 1:
            envelopes = _trimmed(envelopes, track.trim)
        yield f"    VOLPAN {number(volume)} {number(pan)} {_law(law, track.pan_boosts)} -1 {number(width)}"
        if pan_mode != BALANCE:
            yield f"    PANMODE {pan_mode}"
        yield f"    MUTESOLO {int(track.muted)} {int(track.soloed)} {int(track.solo_defeat)}"
        yield f"    IPHASE {int(track.inverted)}"
        if mode:
            yield f"    AUTOMODE {mode}"
        if track.play_offset:
            yield f"    PLAYOFFS {number(track.play_offset)} 0"
        if bits := sum(1 << self._vcas[name] for name in track.vcas if name in self._vcas):
            yield f"    GROUP_FLAGS {_group_words(VCA_FOLLOWS, bits)}"
        yield f"    MAINSEND {int(track.sends_to_parent)} {track.parent_channel}"
        if track.parent_map:
            self.remark(f"{track.name}: which of its channels go where is not written")
        for output in track.hardware_outputs:
            self.remark(f"{track.name}: its way to {output} is not written")
        if track.inverted_channels:
            self.remark(f"{track.name}: the polarity of single channels is not written")
        for plugin in track.chain or track.plugins:
            if isinstance(plugin, str) or not is_written(plugin):
                name = plugin if isinstance(plugin, str) else plugin.name
                self.remark(f"{track.name}: plug-in {name} is not written")
        for envelope in envelopes:
            yield from self._envelope(track.name, envelope, TRACK_NAMES, "    ")
        for line in chain_lines(track.chain, "FXCHAIN", partial(guid, "plug-in", track.identifier)):
            yield f"    {line}"
        for source, send in self._sends:
            if send.target == track.identifier:
                yield from self._receive(source, send)

    def take(self, track: Track, envelopes: Iterable[Envelope], rate: float) -> Iterator[str]:
        """Those of a clip, whose times count at the take's own ``rate``."""
        for one in envelopes:
            if one.relative:
                points = tuple(replace(point, seconds=point.seconds * rate) for point in one.points)
                yield from self._envelope(track.name, replace(one, points=points), TAKE_NAMES, "      ")
            else:
                self.remark(f"{track.name}: a clip's envelope of {one.parameter.value} is not written")

    def vcas(self) -> Iterator[tuple[str, list[str]]]:
        """A track for each VCA, which leads its group: its name and its lines."""
        for vca in self.session.vcas[:MOST_VCAS]:
            volume, _, envelopes, mode = self._faders(vca.name, vca.volume, 0.0, vca.envelopes)
            lines = [f"    VOLPAN {number(volume)} 0 -1 -1 1", "    MUTESOLO 0 0 0"]
            lines += [f"    AUTOMODE {mode}"] if mode else []
            lines.append(f"    GROUP_FLAGS {_group_words(VCA_LEADS, 1 << self._vcas[vca.identifier])}")
            for envelope in envelopes:
                lines += self._envelope(vca.name, envelope, TRACK_NAMES, "    ")
            yield vca.name, lines

    def _faders(
        self, name: str, volume: float, pan: float, envelopes: Iterable[Envelope]
    ) -> tuple[float, float, list[Envelope], int]:
        """Faders, envelopes and the automation mode in which they sound as they did.

        A project has one mode for all envelopes of a track: where some stand in the place of their fader and
        others do not, the former come on top of a fader that does nothing.
        """
        found = list(envelopes)
        faders = [one for one in found if one.parameter in FADERS]
        if faders and not any(one.relative for one in faders):
            return volume, pan, found, READ
        for one in faders:
            if not one.relative and one.parameter is Parameter.VOLUME:
                volume = 1.0
            elif not one.relative and one.parameter is Parameter.PAN:
                pan = 0.0
            elif not one.relative:
                self.remark(f"{name}: its automation of {one.parameter.value} comes on top of its fader")
        return volume, pan, found, TRIM_READ

    def _receive(self, source: Track, send: Send) -> Iterator[str]:
        send, said = behind_the_pan(source, send), f"{source.name}: its send to another track"
        if send.tap not in TAP_CODES:
            self.remark(f"{said} is written behind the pan")
        if send.through_mute and source.muted:
            self.remark(f"{said} is muted with its track")
        if send.pan_mode is not PanMode.BALANCE and (send.pan or source.channels == 1):
            self.remark(f"{said} is written with a balance")
        if send.channel_map:
            self.remark(f"{said}: which of its channels go where is not written")
        moved = [one for one in send.envelopes if one.parameter in FADERS]
        mode = READ if moved and not any(one.relative for one in moved) else TRIM_READ
        if mode == READ or not any(not one.relative for one in moved):
            gain, pan = send.gain, send.pan
        else:
            gain, pan = 1.0, 0.0
            self.remark(f"{said}: its automation comes on top of faders in the middle")
        count = send.channels or max(2, source.channels - send.source_channel)
        width = 1 if count == 1 else count // 2 if count > 2 else 0
        words = [
            self._places[source.identifier],
            TAP_CODES.get(send.tap, 0),
            number(gain),
            number(pan),
            int(send.muted),
            int(send.mono),
            int(send.inverted),
            send.source_channel | width << 10,
            send.target_channel,
            "-1:U",
            0,
            mode,
        ]
        yield f"    AUXRECV {' '.join(map(str, words))} ''"
        for envelope in send.envelopes:
            yield from self._envelope(source.name, envelope, SEND_NAMES, "    ")

    def _envelope(
        self, name: str, envelope: Envelope, names: dict[Parameter, str], indentation: str
    ) -> Iterator[str]:
        if envelope.parameter not in names:
            self.remark(f"{name}: its automation of {envelope.parameter.value} is not written")
            return
        on_fader = envelope.scale is Scale.REAPER_FADER
        points: Iterable[Point] = envelope.points
        if envelope.smoothing or not (on_fader or envelope.scale is Scale.VALUE):
            self.remark(f"{name}: an envelope of {envelope.parameter.value} is written in straight lines")
            points = PointCurve(envelope.points, envelope.scale).straight()
        yield f"{indentation}<{names[envelope.parameter]}"
        yield f"{indentation}  ACT 1 -1"
        if on_fader:
            yield f"{indentation}  VOLTYPE 1"
        for point in points:
            value = {Parameter.PAN: -point.value, Parameter.MUTE: float(point.value < 0.5)}.get(
                envelope.parameter, point.value
            )
            shape = 1 if envelope.parameter is Parameter.MUTE else SHAPE_CODES[point.shape]
            words = [number(point.seconds), number(value), str(shape)]
            if point.shape is PointShape.BEZIER:
                words += ["0", "0", "0", number(point.bend)]
            yield f"{indentation}  PT {' '.join(words)}"
        yield f"{indentation}>"


def _is_fader(envelope: Envelope) -> bool:
    return envelope.parameter is Parameter.VOLUME and not envelope.relative


def _times(envelope: Envelope, factor: float) -> Envelope:
    points = tuple(replace(point, value=point.value * factor) for point in envelope.points)
    return envelope if factor == 1 else replace(envelope, points=points)


def _trimmed(envelopes: list[Envelope], trim: float) -> list[Envelope]:
    """With a trim as the volume before effects, which is where it acts."""
    before = [one for one in envelopes if one.parameter is Parameter.PRE_EFFECTS_VOLUME]
    rest = [one for one in envelopes if one.parameter is not Parameter.PRE_EFFECTS_VOLUME]
    before = before or [Envelope(Parameter.PRE_EFFECTS_VOLUME, (Point(0.0, 1.0),))]
    return [_times(before[0], trim), *before[1:], *rest]


def _law(law: float, boosts: bool) -> str:
    """The third word of a strip: -1 for the project's law, which is 0 dB in a fresh one."""
    if law == 1 or law <= 0:
        return "-1"
    return number(1 / law if boosts else law)


def _group_words(word: int, bits: int) -> str:
    return " ".join(["0"] * word + [str(bits)])
