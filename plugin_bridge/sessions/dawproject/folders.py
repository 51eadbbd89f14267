"""Folders of a DAWproject: some have a channel, of others a track inside is the master (ProjectConverter)."""

from __future__ import annotations

from xml.etree.ElementTree import Element


def strip_of(track: Element) -> tuple[Element | None, Element | None]:
    """A track's channel; and which track inside holds it, as the master of a folder that has none itself."""
    channel = track.find("Channel")
    if channel is not None:
        return channel, None
    for inner in track.iterfind("Track"):
        found = inner.find("Channel")
        if found is not None and found.get("role") == "master" and inner.find("Track") is None:
            return found, inner
    return None, None
