"""The plug-ins of REAPER's effect chains: what they are, and of VST3 ones the states that the project holds.

A VST block holds three blobs of base64, each with its own padding: a header that tells the inputs, the
outputs and the size of what follows, then that, then a footer. Of a VST3 the second one is the state of its
component and that of its controller, each behind its length (seen in chunks of REAPER 6 and 7).
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import PureWindowsPath

from plugin_bridge.sessions.model import PluginState
from plugin_bridge.sessions.rpp.text import Block, Line, displayed, quoted

KINDS = ("VST", "AU", "DX", "JS", "LV2", "CLAP", "VIDEO_EFFECT")
CLASS_ID = re.compile(r"\{([0-9A-Fa-f]{32})\}")
LETTERS = 128
"""Of base64 on a line."""
MAGIC, FLAGS = 0xFEED5EEE, 0x100000
"""Words of a header."""
MOST_PINS = 4096
"""Of a header; beyond, it is damage."""


def read_chain(chain: Block) -> list[PluginState]:
    """The plug-ins of an effect chain in their order, those of containers too; bypassed ones say so."""
    return list(_read(chain, False))


def _read(chain: Block, under_bypass: bool) -> Iterator[PluginState]:
    bypassed = under_bypass
    for part in chain.content:
        if isinstance(part, Line) and part.name == "BYPASS":
            bypassed = under_bypass or part.number_at(0, 0) != 0 or part.number_at(1, 0) != 0
        elif isinstance(part, Block) and part.name in KINDS:
            yield _plugin(part, bypassed)
        elif isinstance(part, Block) and part.name == "CONTAINER":
            yield from _read(part, bypassed)


def automated(chain: Block) -> list[str]:
    """The plug-ins with parameters that an envelope moves."""
    names, last = [], ""
    for part in chain.content:
        if isinstance(part, Block) and part.name in KINDS:
            last = displayed(part.text(0))
        elif isinstance(part, Block) and part.name == "PARMENV" and last:
            if part.line("ACT").number_at(0, 1) != 0 and any(part.lines("PT")):
                names.append(last)
        elif isinstance(part, Block) and part.name == "CONTAINER":
            names += automated(part)
    return list(dict.fromkeys(names))


def _plugin(block: Block, bypassed: bool) -> PluginState:
    name = displayed(block.text(0))
    found = next((match for word in block.values if (match := CLASS_ID.search(word))), None)
    if block.name != "VST" or found is None:
        kind = "VST2" if block.name == "VST" else block.name
        return PluginState(name, kind, bypassed=bypassed)
    component, controller = _states(_blobs(block))
    return PluginState(
        name,
        "VST3",
        found[1].upper(),
        component,
        controller,
        bypassed=bypassed,
        file=PureWindowsPath(displayed(block.text(1))).name,  # takes both kinds of slashes
        role="instrument" if name.startswith("VST3i:") else "effect",
    )


def is_written(plugin: PluginState) -> bool:
    """Whether :func:`chain_lines` can write ``plugin``: a VST3 whose class is known."""
    return plugin.format == "VST3" and CLASS_ID.fullmatch(f"{{{plugin.identifier}}}") is not None


def chain_lines(chain: Sequence[PluginState], tag: str, identity: Callable[[int], str]) -> Iterator[str]:
    """An effect chain of those plug-ins that can be written, as lines; ``identity`` makes each a GUID.

    REAPER finds a VST3 by its class id; the number before that is its own.
    """
    written = [plugin for plugin in chain if is_written(plugin)]
    if not written:
        return
    yield f"<{tag}"
    yield "  SHOW 0"
    yield "  LASTSEL 0"
    yield "  DOCKED 0"
    for place, plugin in enumerate(written):
        number = zlib.crc32(plugin.identifier.encode()) & 0x7FFFFFFF
        kind = "VST3i" if plugin.role == "instrument" else "VST3"
        name = plugin.name if plugin.name.startswith("VST3") else f"{kind}: {plugin.name}"
        yield f"  BYPASS {int(plugin.bypassed)} 0 0"
        yield f'  <VST {quoted(name)} {quoted(plugin.file)} 0 "" {number}{{{plugin.identifier}}} ""'
        for blob in _written_blobs(plugin, number):
            text = base64.b64encode(blob).decode()
            yield from (f"    {text[at : at + LETTERS]}" for at in range(0, len(text), LETTERS))
        yield "  >"
        yield "  FLOATPOS 0 0 0 0"
        yield f"  FXID {identity(place)}"
        yield "  WAK 0 0"
    yield ">"


def _written_blobs(plugin: PluginState, number: int) -> tuple[bytes, bytes, bytes]:
    """A header of two inputs and outputs, the states behind their lengths, and no preset's name."""
    body = struct.pack("<II", len(plugin.state), 1) + plugin.state
    body += struct.pack("<II", len(plugin.controller_state), 0) + plugin.controller_state
    pins = struct.pack("<IQQ", 2, 1, 2)
    header = struct.pack("<II", number, MAGIC) + pins + pins + struct.pack("<III", len(body), 1, FLAGS)
    return header, body, b"\0\0\x10\0\0\0"


def _blobs(block: Block) -> list[bytes]:
    """The base64 blobs; one ends with its padding, or where the header says, or at its last line."""
    blobs: list[bytes] = []
    open_blob, wanted = b"", -1
    for part in block.content:
        if not isinstance(part, Line) or part.values:
            continue
        try:
            data = base64.b64decode(part.name, validate=True)
        except (binascii.Error, ValueError):
            return blobs
        open_blob += data
        ended = part.name.endswith("=") or len(part.name) % 128 or len(open_blob) == wanted
        if ended:
            blobs.append(open_blob)
            wanted = _announced(open_blob) if len(blobs) == 1 else -1
            open_blob = b""
            if wanted == 0:  # a plug-in without a state
                blobs.append(b"")
    return [*blobs, open_blob] if open_blob else blobs


def _announced(header: bytes) -> int:
    """The size of the state that follows a header; -1 if the header does not say."""
    try:
        (inputs,) = struct.unpack_from("<I", header, 8)
        if inputs > MOST_PINS:
            return -1
        (outputs,) = struct.unpack_from("<I", header, 12 + 8 * inputs)
        if outputs > MOST_PINS:
            return -1
        (size,) = struct.unpack_from("<I", header, 16 + 8 * (inputs + outputs))
    except struct.error:
        return -1
    return int(size)


def _states(blobs: list[bytes]) -> tuple[bytes, bytes]:
    """The component's state and the controller's; empty where the project holds none."""
    if len(blobs) < 2 or len(blobs[1]) < 8:
        return b"", b""
    body = blobs[1]
    size = int.from_bytes(body[:4], "little")
    component = body[8 : 8 + size]
    if len(component) < size:
        return b"", b""
    rest = body[8 + size :]
    if len(rest) < 8:
        return component, b""
    return component, rest[8 : 8 + int.from_bytes(rest[:4], "little")]
