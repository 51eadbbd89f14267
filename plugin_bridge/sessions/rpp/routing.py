"""Ways between the tracks of a REAPER project: sends, VCA groups, hardware outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from plugin_bridge.sessions.model import Envelope, Send, Tap, Track, Vca
from plugin_bridge.sessions.rpp.automation_items import AutomationItems
from plugin_bridge.sessions.rpp.envelopes import SENDS, automation_mode, read_envelope
from plugin_bridge.sessions.rpp.text import Block, Line

TAPS = {0: Tap.POST_FADER, 1: Tap.PRE_EFFECTS, 3: Tap.PRE_FADER}
FIRST = 0x3FF
"""The bits of a channel word that name the first channel; those above say how many."""
TO_MONO = 0x400
VCA_LEADS, VCA_FOLLOWS = 20, 21
"""The words of ``GROUP_FLAGS``, each with a bit for each of 32 groups."""
MOST_CHANNELS = 128


def read_sends(
    blocks: Sequence[Block],
    tracks: Sequence[Track],
    override: int,
    items: AutomationItems,
    remark: Callable[[str, str], None],
) -> None:
    """Give each of ``tracks`` its sends; REAPER writes them where they arrive.

    ``override`` is the automation mode of the whole project, below 0 if it has none.
    """
    for block, target in zip(blocks, tracks, strict=True):
        current: tuple[Track, Send, int] | None = None
        for part in block.content:
            if part.name == "AUXRECV" and isinstance(part, Line):
                current = None
                source = part.whole_at(0, -1)
                if not 0 <= source < len(tracks) or part.whole_at(7, 0) < 0:
                    continue
                send = _send(part, target.identifier)
                if part.whole_at(8, 0) & TO_MONO:
                    remark(target.name, f"the mono send from {tracks[source].name} is played on two channels")
                tracks[source].sends.append(send)
                mode = part.whole_at(11, -1)
                mode = mode if mode >= 0 else _mode(blocks[source])
                current = (tracks[source], send, automation_mode(override, mode))
            elif isinstance(part, Block) and part.name in SENDS and current:
                track, send, mode = current
                say = partial(remark, target.name)
                found = read_envelope(part, SENDS[part.name], mode, say, items=items)
                if found:
                    track.sends[-1] = replace(send, envelopes=(*send.envelopes, found))
                    current = (track, track.sends[-1], mode)


def _mode(track: Block) -> int:
    return track.line("AUTOMODE").whole_at(0, 0)


def _send(line: Line, target: str) -> Send:
    source, destination = line.whole_at(7, 0), line.whole_at(8, 0)
    count = source >> 10
    return Send(
        target=target,
        gain=line.number_at(2, 1),
        pan=max(-1.0, min(1.0, line.number_at(3, 0))),
        tap=TAPS.get(line.whole_at(1, 0), Tap.POST_FADER),
        muted=line.number_at(4, 0) != 0,
        mono=line.number_at(5, 0) != 0,
        inverted=line.number_at(6, 0) != 0,
        source_channel=min(source & FIRST, MOST_CHANNELS),
        channels={0: 2, 1: 1}.get(count, min(2 * count, MOST_CHANNELS)),
        target_channel=min(destination & FIRST, MOST_CHANNELS),
    )


def read_vcas(
    blocks: Sequence[Block], tracks: Sequence[Track], envelopes: Callable[[Block], list[Envelope]]
) -> list[Vca]:
    """The VCA faders: a track that leads a group, for those that follow it, which are given its name."""
    leads = [set(_groups(block, VCA_LEADS)) for block in blocks]
    vcas: dict[int, Vca] = {}
    for number, (block, track) in enumerate(zip(blocks, tracks, strict=True)):
        for group in _groups(block, VCA_FOLLOWS):
            for leader, groups in enumerate(leads):
                if group in groups and leader != number:
                    identifier = f"vca {tracks[leader].identifier}"
                    if leader not in vcas:
                        vcas[leader] = Vca(
                            identifier,
                            tracks[leader].name,
                            tracks[leader].volume,
                            envelopes=envelopes(blocks[leader]),
                        )
                    if identifier not in track.vcas:
                        track.vcas.append(identifier)
    return list(vcas.values())


def _groups(block: Block, word: int) -> Iterator[int]:
    for line, base in ((block.line("GROUP_FLAGS"), 0), (block.line("GROUP_FLAGS_HIGH"), 32)):
        flags = line.whole_at(word, 0) & 0xFFFFFFFF
        yield from (base + bit for bit in range(32) if flags >> bit & 1)


def hardware_outputs(block: Block) -> list[str]:
    """The hardware outputs of a track, by name."""
    found = []
    for line in block.lines("HWOUT"):
        index = line.whole_at(0, 0)
        first = (index & FIRST) % 512 + 1
        found.append(f"output {first}" if index & TO_MONO else f"outputs {first} and {first + 1}")
    return found
