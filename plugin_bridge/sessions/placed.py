"""Stems on their way back into a session."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from plugin_bridge.sessions.model import Session


@dataclass(frozen=True)
class PlacedStem:
    """A stem's file and its place on the session's timeline."""

    name: str
    path: Path
    position_seconds: float
    length_seconds: float
    gain: float = 1.0
    """What to play the file with; 1 / gain where a gain was applied so that it would not clip."""
    muted: bool = False
    """Whether it waits unheard, beside other stems of the same track."""


StemsWriter = Callable[[Session, Mapping[str, Sequence[PlacedStem]], Path], Path]
"""Writes a session with its stems to a path and returns that; see :func:`.rpp.writer.write_stems_project`."""
Remark = Callable[[str], None]
"""Called with what a project of another kind cannot hold, one line each."""
FreshWriter = Callable[[Session, Mapping[str, Sequence[PlacedStem]], Path, Remark], Path]
"""The same for a session of another DAW, as a new project."""
