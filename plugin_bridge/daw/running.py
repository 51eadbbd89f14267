"""Runs a DAW's own renderer: with a time limit, again where it failed, and never believing it unread.

Ardour 7.3's export tool aborts in one of four runs after it has written a whole and correct file; a few of
those files are damaged. A file therefore counts if the program ended well, or if two runs wrote the same.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from plugin_bridge.audio.files import AudioFileSource
from plugin_bridge.errors import AudioFileError, SessionError

ATTEMPTS = 4
LOUDEST = 1e4
"""+80 dB: no mix is louder, and memory that was overwritten is."""
SAME = 1e-5
"""-100 dB: what two runs of one mix may differ by."""
AT_ONCE = 1 << 17
"""Frames."""


@dataclass(frozen=True)
class Run:
    """One call of a program, and the file that it is to write."""

    command: Sequence[str]
    output: Path
    frames: int | None = None
    """How long the file must be; None if nothing says so."""
    environment: Mapping[str, str] | None = None


def find_program(names: Sequence[str], what: str) -> str:
    """The first of ``names`` that is installed. Raises :class:`SessionError`."""
    for name in names:
        if found := shutil.which(name):
            return found
    raise SessionError(f"{what} is not installed: none of {', '.join(names)} is found on the PATH")


def render(run: Run, time_limit: float, check: Callable[[], None] = lambda: None) -> Path:
    """Let the program write its file, and return that; ``check`` may raise to stop between attempts.

    Raises :class:`SessionError` if no attempt ends with a file that can be believed.
    """
    said = ""
    kept: list[Path] = []
    for attempt in range(ATTEMPTS):
        check()
        run.output.unlink(missing_ok=True)
        status, words = run_program(run.command, time_limit, run.environment)
        said = f"it ended with status {status}: {words}" if status else ""
        wrong = _fault(run)
        if wrong:
            said = f"{wrong}; {said}" if said else wrong
            continue
        if status == 0:
            return run.output
        earlier = run.output.with_name(f"{run.output.stem} attempt {attempt}{run.output.suffix}")
        run.output.replace(earlier)
        for other in kept:
            if same_sound(other, earlier):
                earlier.replace(run.output)
                return run.output
        kept.append(earlier)
    raise SessionError(
        f"{Path(run.command[0]).name} made no file in {ATTEMPTS} attempts; {said or 'no two agree'}"
    )


def run_program(
    command: Sequence[str], time_limit: float, environment: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Run ``command`` in a process group of its own; its status and the last line that it said.

    Raises :class:`SessionError` when the time is up; nothing of it goes on then.
    """
    try:
        process = subprocess.Popen(  # noqa: S603 - a DAW found on the PATH, never one that a project names
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    except OSError as error:
        raise SessionError(
            f"{command[0]}: cannot be run: {(error.strerror or str(error)).lower()}"
        ) from error
    try:
        output, _ = process.communicate(timeout=time_limit)
    except subprocess.TimeoutExpired:
        raise SessionError(
            f"{Path(command[0]).name} did not end within {time_limit:g} s; allow more with --time-limit"
        ) from None
    finally:
        _end(process)
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return process.returncode, lines[-1][:200] if lines else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """The whole group: a DAW starts helpers of its own."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    elif process.poll() is None:
        process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _fault(run: Run) -> str:
    """What is wrong with the file that was written; empty if nothing is."""
    try:
        with AudioFileSource(run.output) as source:
            if run.frames is not None and source.frames != run.frames:
                return f"it wrote {source.frames} frames where {run.frames} belong"
            for start in range(0, source.frames, AT_ONCE):
                block = source.read(start, min(AT_ONCE, source.frames - start))
                if not np.all(np.abs(block) < LOUDEST):
                    return "it wrote a file with damaged samples"
    except AudioFileError as error:
        return str(error)
    return ""


def same_sound(first: Path, second: Path) -> bool:
    """Whether two files hold the same sound."""
    with AudioFileSource(first) as one, AudioFileSource(second) as other:
        if (one.frames, one.channels, one.sample_rate) != (other.frames, other.channels, other.sample_rate):
            return False
        for start in range(0, one.frames, AT_ONCE):
            count = min(AT_ONCE, one.frames - start)
            if np.abs(one.read(start, count) - other.read(start, count)).max() > SAME:
                return False
    return True
