"""What texts in a file say of its audio: its place on the session's timeline, and its loudspeakers."""

from __future__ import annotations

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from plugin_bridge.audio.riff import bext_time_reference
from plugin_bridge.audio.tags import CHANNEL_MASK_TAG, TIME_REFERENCE_TAG

LARGEST = (1 << 64) - 1
"""Samples; what a bext chunk can hold."""
DIGITS = 20
"""No more does the largest have."""


def time_reference(bext: bytes | None, ixml: bytes | None, tags: dict[str, list[str]]) -> int | None:
    """Where the first frame lies, in samples since midnight, or None if nothing says it.

    From Broadcast WAV, iXML or a tag of our own, which is taken out of ``tags``.
    """
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


def channel_mask(tags: dict[str, list[str]], channels: int) -> int:
    """The loudspeakers that a tag names, which is taken out of ``tags``; 0 if they are not ``channels``."""
    text = tags.pop(CHANNEL_MASK_TAG, ["0"])[0].lower()
    try:
        mask = int(text, 16) if len(text) <= DIGITS else 0
    except ValueError:
        return 0
    return mask if 0 <= mask < 1 << 32 and mask.bit_count() == channels else 0
