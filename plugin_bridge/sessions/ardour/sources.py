"""Which files Ardour's sources are: its own in ``interchange``, others by the path that the session names."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

from plugin_bridge.audio.files import read_info
from plugin_bridge.errors import AudioFileError
from plugin_bridge.sessions.ardour.fields import AUDIO_PLACES, MIDI_PLACES
from plugin_bridge.sessions.sources import MediaFolders

MOST_FOLDERS = 1000


@dataclass(frozen=True)
class Source:
    """One channel of one file."""

    path: Path
    channel: int
    width: int = 1
    """Of how many channels of the file the session knows."""
    problem: str = ""
    """Why it cannot be played."""


class Sources:
    """The sources of a session by their id; each file is looked for once."""

    def __init__(self, root: Element, media: MediaFolders) -> None:
        self._elements = {element.get("id", ""): element for element in root.iterfind("Sources/Source")}
        nested = root.iterfind("Regions/Region/NestedSource/Source")
        self._compounds = {element.get("id", ""): element for element in nested}
        self._media = media
        self._places = _places(media.folder)
        self._found: dict[str, tuple[Path, str]] = {}
        self._rates: dict[Path, int | None] = {}
        self._widths = Counter(element.get("name", "") for element in self._elements.values())

    def audio(self, identifier: str) -> Source:
        """The source with this id."""
        element = self._elements.get(identifier)
        if element is None:
            return Source(
                self._media.folder / "unnamed", 0, 1, f"source {identifier!r:.40} is not in the session"
            )
        name = element.get("name", "")
        if name not in self._found:
            self._found[name] = self._find(name, element.get("origin", ""))
        path, problem = self._found[name]
        channel = element.get("channel", "0")
        number = int(channel) if channel.isdecimal() and len(channel) < 4 else 0
        return Source(path, number, self._widths[name], problem)

    def own_rate(self, path: Path) -> int | None:
        """The sample rate of an audio file; None if it cannot be read."""
        if path not in self._rates:
            try:
                self._rates[path] = read_info(path).sample_rate
            except AudioFileError:
                self._rates[path] = None
        return self._rates[path]

    def compound(self, identifier: str) -> Element | None:
        """The source with this id, if it is a compound of other regions, which lie in its playlist."""
        element = self._compounds.get(identifier)
        return None if element is None or element.find("Playlist") is None else element

    def midi(self, identifier: str) -> tuple[Path, str]:
        """The MIDI file with this id, and why it cannot be read."""
        element = self._elements.get(identifier)
        if element is None:
            return self._media.folder / "unnamed", f"source {identifier!r:.40} is not in the session"
        places = [one.removesuffix(AUDIO_PLACES) + MIDI_PLACES for one in self._places]
        return self._find(element.get("name", ""), element.get("origin", ""), places)

    def _find(self, name: str, origin: str, places: Sequence[str] = ()) -> tuple[Path, str]:
        """Beside the session first; ``origin`` is where an embedded or imported file once lay."""
        first = self._media.find(name)
        if not Path(name).is_absolute():
            candidates = [self._media.find(f"{place}/{name}") for place in places or self._places] + [first]
        else:
            candidates = [first]
        if Path(origin).is_absolute():
            candidates.append(self._media.find(origin))
        for path, problem in candidates:
            if not problem:
                return path, ""
        path, problem = candidates[0]
        return path, f"{path.name} {problem}"


def _places(folder: Path) -> list[str]:
    """The folders that hold the session's own audio; a session that was renamed has several."""
    try:
        inner = sorted(entry.name for entry in os.scandir(folder / "interchange") if entry.is_dir())
    except (OSError, ValueError):
        return []
    return [f"interchange/{name}/{AUDIO_PLACES}" for name in inner[:MOST_FOLDERS]]
