"""LMMS renders its projects, which hold instruments more than audio."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from plugin_bridge.daw.running import ATTEMPTS, Run, find_program, render, run_program
from plugin_bridge.errors import SessionError
from plugin_bridge.naming import safe_name

SUFFIX = ".wav"
NUMBERED = re.compile(r"^\d+_")
"""What LMMS puts before a track's name."""
HEADLESS = {"QT_QPA_PLATFORM": "offscreen"}


def render_lmms(project: Path, out: Path, tracks: Sequence[str], mix: bool, time_limit: float) -> list[Path]:
    """The tracks of an LMMS project as 32-bit float files in ``out``, or its mix.

    Raises :class:`SessionError`.
    """
    program = find_program(["lmms"], "LMMS")
    with tempfile.TemporaryDirectory(prefix="stembridge-") as folder:
        copy = Path(folder, f"project{project.suffix.lower()}")
        shutil.copyfile(project, copy)
        if mix:
            made = Path(folder, f"mix{SUFFIX}")
            command = [program, "--allowroot", "render", str(copy), "-f", "wav", "-a", "-o", str(made)]
            render(Run(command, made, environment=HEADLESS), time_limit)
            return [_moved(made, out / f"{safe_name(project.stem)} mix{SUFFIX}")]
        for _ in range(ATTEMPTS):  # it crashes now and then
            rendered = Path(folder, "tracks")
            shutil.rmtree(rendered, ignore_errors=True)
            rendered.mkdir()  # LMMS makes none itself
            command = [
                program,
                "--allowroot",
                "rendertracks",
                str(copy),
                "-f",
                "wav",
                "-a",
                "-o",
                str(rendered),
            ]
            status, words = run_program(command, time_limit, HEADLESS)
            files = sorted(rendered.glob(f"*{SUFFIX}"), key=_number)
            if status == 0 and files:
                break
        else:
            raise SessionError(f"{project}: LMMS rendered no tracks (status {status}: {words})")
        chosen = [file for file in files if _fits(NUMBERED.sub("", file.stem), tracks)]
        if not chosen:
            names = ", ".join(NUMBERED.sub("", file.stem) for file in files)
            raise SessionError(f"{project}: no track fits {', '.join(tracks)}; there are: {names}")
        return [_moved(file, out / file.name) for file in chosen]


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatchcase(name.casefold(), one.casefold()) for one in patterns)


def _number(file: Path) -> tuple[int, str]:
    found = NUMBERED.match(file.name)
    return (int(found.group()[:-1]) if found else 0, file.name)


def _moved(file: Path, target: Path) -> Path:
    shutil.move(file, target)
    return target
