"""XML of projects that anybody may have made: no entities, bounded size, depth and number of elements.

Values are read off attributes with the element's name in the error, as a user finds it in the file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from plugin_bridge.errors import SessionError
from plugin_bridge.sessions.sources import MAX_SECONDS
from separators import regular_files

MAX_BYTES = 256 << 20
"""Of one document, unpacked."""
MOST_ELEMENTS = 2_000_000
"""Each costs some hundred bytes; the largest real projects have some hundred thousand."""
MAX_DEPTH = 256
LARGEST_WHOLE = 2**63 - 1
BLOCK = 1 << 16
COUNTED = "counted"
"""The attribute of a skipped element that says how many of those to be counted lie inside, if any do."""


class _Limited(TreeBuilder):
    """Builds a tree that fits into memory; what lies inside ``skipped`` elements is left out."""

    def __init__(self, skipped: Collection[str], counted: Collection[str], keep_comments: bool) -> None:
        super().__init__(insert_comments=keep_comments, insert_pis=keep_comments)
        self._skipped = skipped
        self._counted = counted
        self._left_out: Element | None = None
        """The element whose content is being skipped."""
        self._depth = 0
        self._count = 0
        self._inside = 0

    def start(self, tag: str, attrs: dict[str, str]) -> Element:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise SessionError(f"elements nested deeper than {MAX_DEPTH}")
        if self._inside or tag in self._skipped:
            self._inside += 1
            if self._inside > 1:
                if tag in self._counted and self._left_out is not None:
                    self._left_out.set(COUNTED, str(int(self._left_out.get(COUNTED, "0")) + 1))
                return Element(tag)
        self._count += 1
        if self._count > MOST_ELEMENTS:
            raise SessionError(f"more than {MOST_ELEMENTS} elements")
        made = super().start(tag, attrs)
        if self._inside:
            made.attrib.pop(COUNTED, None)
            self._left_out = made
        return made

    def end(self, tag: str) -> Element:
        self._depth -= 1
        if self._inside:
            self._inside -= 1
            if self._inside:
                return Element(tag)
        return super().end(tag)

    def data(self, data: str) -> None:
        if not self._inside:
            super().data(data)


def parse_xml(
    blocks: Iterable[bytes],
    path: Path,
    *,
    skipped: Collection[str] = (),
    counted: Collection[str] = (),
    keep_comments: bool = False,
) -> Element:
    """The root of the document whose bytes come in ``blocks``; ``path`` is named in errors.

    Of elements called as in ``skipped`` only the attributes are kept, and how many elements called as in
    ``counted`` are inside (:data:`COUNTED`). Raises :class:`SessionError`.
    """
    parser = DefusedXMLParser(target=_Limited(skipped, counted, keep_comments), forbid_dtd=True)
    size = 0
    try:
        for block in blocks:
            size += len(block)
            if size > MAX_BYTES:
                raise SessionError(f"larger than {MAX_BYTES} bytes, which no such project is")
            parser.feed(block)
        root = parser.close()
    except ParseError as error:
        raise SessionError(f"{path}: damaged XML: {error}") from None
    except DefusedXmlException:
        raise SessionError(
            f"{path}: it declares a document type or entities, which no project needs"
        ) from None
    except (ValueError, LookupError, AssertionError) as error:
        raise SessionError(f"{path}: not XML that can be read: {error}") from None
    except SessionError as error:
        raise SessionError(f"{path}: {error}") from None
    assert isinstance(root, Element)
    return root


def read_xml(path: Path) -> Element:
    """The root of the file at ``path``. Raises :class:`SessionError` if it is damaged or hostile."""
    try:
        data = regular_files.read(path, MAX_BYTES)
    except OSError as error:
        raise SessionError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from error
    return parse_xml([data], path)


def finite(text: str, holder: str) -> float:
    """The finite number that ``text`` is; :class:`SessionError` begins with ``holder``."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise SessionError(f"{holder}{text!r:.80} where a number belongs")
    return value


def number(element: Element, name: str, default: float = 0.0) -> float:
    """The finite number in the attribute ``name``; ``default`` if there is none."""
    text = element.get(name)
    return default if text is None else finite(text, f"<{element.tag}> holds {name}=")


def seconds(element: Element, name: str, default: float = 0.0) -> float:
    """The time in the attribute ``name``; beyond a week it is damage or malice, not music."""
    value = number(element, name, default)
    check_seconds(value, lambda: f"<{element.tag}> holds {name}={element.get(name)!r:.80}")
    return value


def whole(element: Element, name: str, default: int = 0) -> int:
    """The whole number in the attribute ``name``."""
    value = number(element, name, default)
    if abs(value) > LARGEST_WHOLE:
        raise SessionError(f"<{element.tag}> holds {name}={element.get(name)!r:.80}; that is too large")
    return int(value)


def switch(element: Element, name: str, default: bool = False) -> bool:
    """The truth in the attribute ``name``: ``true``, ``false``, ``1`` or ``0``."""
    text = element.get(name)
    if text is None:
        return default
    if text.strip().lower() not in ("true", "false", "1", "0"):
        raise SessionError(f"<{element.tag}> holds {name}={text!r:.80}; it must be true or false")
    return text.strip().lower() in ("true", "1")


def check_seconds(value: float, said: Callable[[], str]) -> None:
    """Raise :class:`SessionError`, which begins with ``said()``, for a time that is none."""
    if not abs(value) <= MAX_SECONDS:
        raise SessionError(f"{said()}, at {value:g} s; it must lie within {MAX_SECONDS:.0f} s")
