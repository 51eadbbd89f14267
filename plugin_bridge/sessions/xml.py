"""Projects in XML that anybody may have made: no entities, no document types, bounded in size and depth."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import XMLParser

from plugin_bridge.errors import SessionError
from separators import regular_files

MOST_BYTES = 128 << 20
MOST_ELEMENTS = 2_000_000
"""Each costs some hundred bytes; the largest real projects have some hundred thousand."""
MAX_DEPTH = 256


def read_xml(path: Path) -> Element:
    """The root element of the file at ``path``. Raises :class:`SessionError` if it is damaged or hostile."""
    try:
        data = regular_files.read(path, MOST_BYTES)
    except OSError as error:
        raise SessionError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from error
    try:
        return parse_xml(data)
    except SessionError as error:
        raise SessionError(f"{path}: {error}") from error


def parse_xml(data: bytes) -> Element:
    """The root element of ``data``. Raises :class:`SessionError` if it is damaged or hostile.

    >>> parse_xml(b'<Session name="a"/>').get("name")
    'a'
    """
    parser = XMLParser(target=_Builder(), forbid_dtd=True)
    try:
        parser.feed(data)
        root: Element = parser.close()
    except DefusedXmlException:
        raise SessionError("it declares a document type or entities, which no project needs") from None
    except (ParseError, ValueError, LookupError) as error:
        raise SessionError(f"damaged XML: {error}") from None
    return root


class _Builder(TreeBuilder):
    def __init__(self) -> None:
        super().__init__()
        self.elements = self.depth = 0

    def start(self, tag: str, attributes: dict[str, str], /) -> Element:
        self.elements += 1
        self.depth += 1
        if self.elements > MOST_ELEMENTS or self.depth > MAX_DEPTH:
            raise SessionError(
                f"more than {MOST_ELEMENTS} elements, or {MAX_DEPTH} inside each other; no project has them"
            )
        return super().start(tag, attributes)

    def end(self, tag: str, /) -> Element:
        self.depth -= 1
        return super().end(tag)
