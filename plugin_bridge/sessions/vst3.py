"""VST3 preset files (``.vstpreset``): a class id and the states of a plug-in's two halves.

As in the VST3 SDK's public description of the format: a header of 48 bytes, the data, a list of chunks.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from plugin_bridge.errors import SessionError

HEADER = struct.Struct("<4si32sq")
ENTRY = struct.Struct("<4sqq")
MOST_ENTRIES = 128
CLASS_ID = re.compile(rb"[0-9A-Fa-f]{32}")


@dataclass(frozen=True)
class Preset:
    """What a preset file holds."""

    class_id: str
    """32 hexadecimal digits in upper case."""
    component: bytes
    controller: bytes


def read_preset(data: bytes) -> Preset:
    """The preset in ``data``; raises :class:`SessionError`, in words that continue its name."""
    if len(data) < HEADER.size or not data.startswith(b"VST3"):
        raise SessionError("is no VST3 preset")
    _, _, class_id, place = HEADER.unpack_from(data)
    if not CLASS_ID.fullmatch(class_id):
        raise SessionError("is a VST3 preset without a class id")
    if not HEADER.size <= place <= len(data) - 8 or data[place : place + 4] != b"List":
        raise SessionError("is a VST3 preset that is cut short")
    count = int.from_bytes(data[place + 4 : place + 8], "little")
    if count > MOST_ENTRIES or place + 8 + count * ENTRY.size > len(data):
        raise SessionError("is a VST3 preset whose list is damaged")
    chunks: dict[bytes, bytes] = {}
    for index in range(count):
        name, offset, size = ENTRY.unpack_from(data, place + 8 + index * ENTRY.size)
        if offset < 0 or size < 0 or offset + size > len(data):
            raise SessionError("is a VST3 preset that is cut short")
        chunks.setdefault(name, data[offset : offset + size])
    return Preset(class_id.decode("ascii").upper(), chunks.get(b"Comp", b""), chunks.get(b"Cont", b""))


def class_id(text: str) -> str:
    """A class id as 32 hexadecimal digits in upper case, from one with braces and dashes; empty if none.

    >>> class_id("{56534542-4d41-5665-7175-616c697a6572}")
    '565345424D4156657175616C697A6572'
    """
    digits = re.sub(r"[{}\s-]", "", text)
    return digits.upper() if re.fullmatch(r"[0-9A-Fa-f]{32}", digits) else ""
