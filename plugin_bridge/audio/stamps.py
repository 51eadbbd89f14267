"""Where a file's first frame lies on the session's timeline: Broadcast WAV, iXML, a tag of our own."""

from __future__ import annotations

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from plugin_bridge.audio.riff import bext_time_reference
from plugin_bridge.audio.tags import TIME_REFERENCE_TAG

LARGEST = (1 << 64) - 1
"""Samples; what a bext chunk can hold."""
DIGITS = 20
"""No more does the largest have."""


def time_reference(bext: bytes | None, ixml: bytes | None, tags: dict[str, list[str]]) -> int | None:
    """Samples since midnight, or None if nothing says it; takes the tag out of ``tags``."""
    tag = tags.pop(TIME_REFERENCE_TAG, [""])[0]
    for stamp in (
        bext_time_reference(bext) if bext else None,
        _of_ixml(ixml) if ixml else None,
        _number(tag),
    ):
        if stamp is not None and stamp <= LARGEST:
            return stamp
    return None


def _of_ixml(content: bytes) -> int | None:
    """The time stamp in an iXML chunk (gallery.co.uk/ixml), for files without bext."""
    try:
        root = ElementTree.fromstring(content.rstrip(b"\0"))
    except (ElementTree.ParseError, DefusedXmlException, ValueError):
        return None
    for low_name, high_name in (
        ("SPEED/TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO", "SPEED/TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI"),
        ("BEXT/BWF_TIME_REFERENCE_LOW", "BEXT/BWF_TIME_REFERENCE_HIGH"),
    ):
        low, high = _number(root.findtext(low_name)), _number(root.findtext(high_name))
        if low is not None:
            return low + ((high or 0) << 32)
    return None


def _number(text: str | None) -> int | None:
    digits = (text or "").strip()
    return int(digits) if digits.isdecimal() and len(digits) <= DIGITS else None
