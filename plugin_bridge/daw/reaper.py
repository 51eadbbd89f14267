"""REAPER renders its projects by ``reaper -renderproject`` on a copy that says what and where to."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from plugin_bridge.daw.running import find_program, run_program
from plugin_bridge.errors import SessionError
from plugin_bridge.naming import safe_name
from plugin_bridge.sessions.rpp.reader import read_rpp
from plugin_bridge.sessions.rpp.text import parse, quoted, read_text, split_lines
from plugin_bridge.sessions.rpp.writer import write_stems_project

FLOAT_WAV = "ZXZhdyAAAA=="
"""REAPER's words for WAV files with 32-bit floats."""
MASTER, STEMS = 0, 2
"""What is rendered: the master's mix, or each selected track."""
REPLACED = (
    "RENDER_FILE", "RENDER_PATTERN", "RENDER_FMT", "RENDER_RANGE", "RENDER_STEMS", "RENDER_1X", "PLAYRATE"
)  # fmt: skip
"""The last one since REAPER renders at it, and stems must lie on the project's own time."""
WHOLE_PROJECT = "1 0 0 0 1000"


def render_reaper(
    project: Path, out: Path, tracks: Sequence[str], mix: bool, time_limit: float
) -> list[Path]:
    """The tracks of a REAPER project as 32-bit float files in ``out``, or its mix.

    Raises :class:`SessionError`.
    """
    program = find_program(["reaper"], "REAPER")
    before = set(out.iterdir())
    with tempfile.TemporaryDirectory(prefix="stembridge-") as folder:
        copy = write_stems_project(read_rpp(project), {}, Path(folder, "project.rpp"))
        pattern = f"{safe_name(project.stem)} mix" if mix else "$tracknumber $track"
        text = rendering_text(read_text(copy), copy, out, pattern, None if mix else tracks)
        copy.write_text(text, encoding="utf-8", errors="surrogateescape")
        status, words = run_program([program, "-nosplash", "-renderproject", str(copy)], time_limit)
    files = sorted(set(out.glob("*.wav")) - before)
    if status or not files:
        raise SessionError(f"{project}: REAPER rendered nothing (status {status}: {words})")
    return files


def rendering_text(text: str, path: Path, out: Path, pattern: str, tracks: Sequence[str] | None) -> str:
    """The project ``text`` with what to render: the mix if ``tracks`` is None, else those that fit."""
    lines = split_lines(text)
    root = parse(lines, path)
    said = [
        f"  RENDER_FILE {quoted(str(out))}",
        f"  RENDER_PATTERN {quoted(pattern)}",
        "  RENDER_FMT 0 2 0",
        "  RENDER_1X 0",
        f"  RENDER_RANGE {WHOLE_PROJECT}",
        "  PLAYRATE 1 0 0.25 4",
        f"  RENDER_STEMS {MASTER if tracks is None else STEMS}",
        "  <RENDER_CFG",
        f"    {FLOAT_WAV}",
        "  >",
    ]
    dropped = {line.first_line for name in REPLACED for line in root.lines(name)}
    for block in root.blocks("RENDER_CFG"):
        dropped |= set(range(block.first_line, block.last_line + 1))
    selected = {}
    for block in root.blocks("TRACK"):
        dropped |= {line.first_line for line in block.lines("SEL")}
        name = block.line("NAME").text(0)
        fits = not tracks or any(fnmatchcase(name.casefold(), one.casefold()) for one in tracks)
        selected[block.first_line] = f"    SEL {int(fits)}\n"
    made = []
    for number, line in enumerate(lines):
        if number not in dropped:
            made.append(line)
        if number == root.first_line:
            made += [f"{one}\n" for one in said]
        if number in selected:
            made.append(selected[number])
    return "".join(made)
