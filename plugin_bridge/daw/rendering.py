"""``--renderer daw``: a session's tracks, or its mix, as files that its own DAW has rendered.

The DAW opens a copy; the user's project is never touched. What comes back is a folder of audio files of the
session's length, which is a session like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from plugin_bridge.daw.ardour import render_ardour
from plugin_bridge.daw.lmms import render_lmms
from plugin_bridge.daw.reaper import render_reaper
from plugin_bridge.errors import SessionError

Renderer = Callable[[Path, Path, Sequence[str], bool, float], list[Path]]
"""Given a project, an empty folder, patterns for names of tracks, whether the mix is asked for, and
seconds for each run: the files that were written."""
RENDERERS: dict[str, Renderer] = {
    ".ardour": render_ardour,
    ".mmp": render_lmms,
    ".mmpz": render_lmms,
    ".rpp": render_reaper,
}
"""By the suffix of projects."""
TIME_LIMIT = 600.0
"""Seconds for each run of the DAW."""


def render_by_daw(
    project: Path, out: Path, tracks: Sequence[str] = (), *, mix: bool = False, time_limit: float = TIME_LIMIT
) -> list[Path]:
    """Let the DAW of ``project`` render the tracks that fit ``tracks``, or the ``mix``, into ``out``.

    Tracks are rendered with their effects and instruments. ``project`` may be a folder that holds one. Raises
    :class:`SessionError` where there is no such DAW, or nothing comes of it.
    """
    path = _project(project)
    out.mkdir(parents=True, exist_ok=True)
    return RENDERERS[path.suffix.lower()](path.resolve(), out.resolve(), tracks, mix, time_limit)


def _project(project: Path) -> Path:
    if project.is_file() and project.suffix.lower() in RENDERERS:
        return project
    found = (
        sorted(one for one in project.iterdir() if one.suffix.lower() in RENDERERS)
        if project.is_dir()
        else []
    )
    if len(found) == 1:
        return found[0]
    names = ", ".join(RENDERERS)
    raise SessionError(f"{project}: name one project for its DAW to render, of the kinds {names}")
