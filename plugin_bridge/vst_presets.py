"""The preset files of plug-ins, as bytes: ``.vstpreset`` (VST3) and ``.fxp`` (VST2).

A ``.vstpreset`` names the plug-in's class by 32 hexadecimal digits and holds chunks: ``Comp``, the state of
the component that makes the sound, and ``Cont``, that of its controller. An ``.fxp`` holds one program of a
VST2 plug-in: its parameters' values, or a chunk of the plug-in's own. Many plug-ins take the latter as
their VST3 component's state, bare or in the frame of the VST3 format's own rules for its predecessor
(``VstW``).

Sources: Steinberg, VST 3 "Preset format" and "Porting from VST 2"; both public.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path

from plugin_bridge.errors import PluginError
from separators import regular_files

MAX_BYTES = 256 << 20
COMPONENT, CONTROLLER = b"Comp", b"Cont"
CLASS_ID = re.compile(r"[0-9A-Fa-f]{32}")
HEADER = struct.Struct("<4sI32sq")
ENTRY = struct.Struct("<4sqq")
MOST_CHUNKS = 128


def read(path: Path) -> bytes:
    """A preset file's bytes; raises :class:`PluginError` if it cannot be read."""
    try:
        return regular_files.read(path, MAX_BYTES)
    except OSError as error:
        raise PluginError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from None


def vst_preset(class_id: str, component: bytes, controller: bytes = b"") -> bytes:
    """A ``.vstpreset`` of a class (32 hexadecimal digits) with these states.

    >>> parsed(vst_preset("0" * 32, b"loud")).component
    b'loud'
    """
    chunks = [(COMPONENT, component), *([(CONTROLLER, controller)] if controller else [])]
    body, entries, at = b"", b"", HEADER.size
    for name, data in chunks:
        entries += ENTRY.pack(name, at, len(data))
        body, at = body + data, at + len(data)
    header = HEADER.pack(b"VST3", 1, class_id.upper().encode("ascii"), at)
    return header + body + b"List" + struct.pack("<i", len(chunks)) + entries


@dataclass(frozen=True)
class VstPreset:
    """What a ``.vstpreset`` holds."""

    class_id: str
    """32 hexadecimal digits in upper case."""
    component: bytes = b""
    controller: bytes = b""


def parsed(data: bytes) -> VstPreset:
    """The preset in ``data``; raises :class:`PluginError` if it is no ``.vstpreset``, or damaged."""
    try:
        name, _, identifier, at = HEADER.unpack_from(data)
        if name != b"VST3" or not 0 <= at <= len(data) or data[at : at + 4] != b"List":
            raise PluginError("it is no .vstpreset file, or cut short")
        (count,) = struct.unpack_from("<i", data, at + 4)
        if not 0 <= count <= MOST_CHUNKS:
            raise PluginError(f"its list holds {count} chunks; {MOST_CHUNKS} are the most that make sense")
        entries = [ENTRY.unpack_from(data, at + 8 + number * ENTRY.size) for number in range(count)]
    except struct.error:
        raise PluginError("it is no .vstpreset file, or cut short") from None
    if not (digits := class_id(identifier.decode("latin-1"))):
        raise PluginError("it names no class of plug-ins; the file is damaged")
    chunks: dict[bytes, bytes] = {}
    for chunk, start, length in entries:
        if start < 0 or length < 0 or start + length > len(data):
            raise PluginError("one of its chunks reaches past its end; the file is damaged")
        chunks.setdefault(chunk, data[start : start + length])
    return VstPreset(digits, chunks.get(COMPONENT, b""), chunks.get(CONTROLLER, b""))


def class_id(text: str) -> str:
    """A class id as 32 hexadecimal digits in upper case, from one with braces and dashes; empty if none.

    >>> class_id("{56534542-4d41-5665-7175-616c697a6572}")
    '565345424D4156657175616C697A6572'
    """
    digits = re.sub(r"[{}\s-]", "", text)
    return digits.upper() if CLASS_ID.fullmatch(digits) else ""


@dataclass(frozen=True)
class Fxp:
    """One program of a VST2 plug-in."""

    identifier: bytes
    """The plug-in's four letters."""
    name: str
    values: tuple[float, ...] = ()
    """The parameters, 0..1, in the plug-in's order; none where there is a chunk."""
    chunk: bytes = b""

    def component_states(self) -> list[bytes]:
        """How the chunk may be given to the plug-in's VST3 twin, the likeliest first."""
        length = len(self.chunk)
        bank = struct.pack(
            ">4si4si4sii128si", b"CcnK", length + 152, b"FBCh", 2, self.identifier, 1, 1, b"", length
        )
        return [struct.pack(">4siii", b"VstW", 8, 1, 0) + bank + self.chunk, self.chunk]


def parsed_fxp(data: bytes) -> Fxp:
    """The program in an ``.fxp`` file; raises :class:`PluginError` if it is none, or damaged."""
    form = struct.Struct(">4si4si4sii28s")
    if len(data) < form.size or data[:4] != b"CcnK":
        raise PluginError("it is no .fxp file, or cut short")
    _, _, kind, _, identifier, _, count, label = form.unpack_from(data)
    name = label.partition(b"\0")[0].decode("latin-1")
    rest = data[form.size :]
    if kind == b"FxCk":
        if not 0 <= count * 4 <= len(rest):
            raise PluginError(f"it is cut short: {count} parameters do not fit into {len(rest)} bytes")
        return Fxp(identifier, name, struct.unpack_from(f">{count}f", rest))
    if kind == b"FPCh":
        size = int.from_bytes(rest[:4], "big")
        if len(rest) < 4 + size:
            raise PluginError(
                f"it is cut short: {size} bytes of state are announced, {len(rest) - 4} are there"
            )
        return Fxp(identifier, name, chunk=rest[4 : 4 + size])
    if kind in (b"FxBk", b"FBCh"):
        raise PluginError("it is a bank of programs (.fxb); save one program as .fxp")
    raise PluginError(f"it is an .fxp file of an unknown kind ({kind!r})")
