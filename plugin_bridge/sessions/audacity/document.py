"""Audacity's binary XML: a dictionary of names, then elements, attributes and text as typed fields."""

from __future__ import annotations

import struct
from xml.etree.ElementTree import Element

from plugin_bridge.errors import SessionError

CHARACTER_SIZE, START, END, STRING, INT, BOOL, LONG, LONG_LONG = range(8)
SIZE, FLOAT, DOUBLE, DATA, RAW, PUSH, POP, NAME = range(8, 16)
NUMBERS = {
    INT: struct.Struct("<i"),
    BOOL: struct.Struct("<B"),
    LONG: struct.Struct("<i"),
    LONG_LONG: struct.Struct("<q"),
    SIZE: struct.Struct("<I"),
    FLOAT: struct.Struct("<fi"),
    DOUBLE: struct.Struct("<di"),
}
"""Of attributes; the last two say with how many digits to show them, too."""
ENCODINGS = {1: "utf-8", 2: "utf-16-le", 4: "utf-32-le"}
"""By the size of a character, which is that of the system that saved the project."""
SHORT, LENGTH = struct.Struct("<H"), struct.Struct("<i")
MOST_ELEMENTS = 2_000_000
MAX_DEPTH = 64
LONGEST_VALUE = 1 << 20
"""Bytes of one text that is kept; longer ones are effects' and left out."""


def parse(dictionary: bytes, document: bytes) -> Element:
    """The root of a document. Raises :class:`SessionError`, in words that continue the project's name."""
    reader = _Reader()
    try:
        reader.read(dictionary)
        reader.read(document)
    except (struct.error, IndexError, KeyError, UnicodeDecodeError, LookupError) as error:
        raise SessionError("its document is damaged or cut short") from error
    if reader.root is None or reader.open:
        raise SessionError("its document is cut short")
    return reader.root


class _Reader:
    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        self.encoding = "utf-8"
        self.root: Element | None = None
        self.open: list[Element] = []
        self._outer: list[dict[int, str]] = []
        self._elements = 0

    def read(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            kind = data[at]
            at += 1
            if kind == CHARACTER_SIZE:
                self.encoding = ENCODINGS[data[at]]
                at += 1
            elif kind == PUSH:
                self._outer.append(self.names)
                if len(self._outer) > MAX_DEPTH:
                    raise SessionError("its document is nested too deep")
                self.names = {}
            elif kind == POP:
                self.names = self._outer.pop()
            elif kind in (DATA, RAW):
                at = self._text(data, at)[1]
            else:
                at = self._named(kind, data, at)

    def _named(self, kind: int, data: bytes, at: int) -> int:
        identifier: int = SHORT.unpack_from(data, at)[0]
        at += 2
        if kind == NAME:
            length: int = SHORT.unpack_from(data, at)[0]
            at += 2
            self.names[identifier] = _slice(data, at, length).decode(self.encoding)
            return at + length
        name = self.names[identifier]
        if kind == START:
            self._start(name)
        elif kind == END:
            if self.open.pop().tag != name:
                raise SessionError(f"its document ends a <{name:.80}> that is not open")
        elif kind == STRING:
            text, at = self._text(data, at)
            self.open[-1].set(name, text)
        else:
            form = NUMBERS[kind]
            self.open[-1].set(name, repr(form.unpack_from(data, at)[0]))
            at += form.size
        return at

    def _start(self, name: str) -> None:
        self._elements += 1
        if self._elements > MOST_ELEMENTS or len(self.open) > MAX_DEPTH:
            raise SessionError("its document holds too many elements")
        element = Element(name)
        if self.open:
            self.open[-1].append(element)
        elif self.root is None:
            self.root = element
        else:
            raise SessionError("its document has two roots")
        self.open.append(element)

    def _text(self, data: bytes, at: int) -> tuple[str, int]:
        length = LENGTH.unpack_from(data, at)[0]
        at += 4
        raw = _slice(data, at, length)
        return raw.decode(self.encoding, "replace") if length <= LONGEST_VALUE else "", at + length


def _slice(data: bytes, at: int, length: int) -> bytes:
    if length < 0 or at + length > len(data):
        raise SessionError("its document is cut short")
    return data[at : at + length]
