"""Runs Pedalboard's own tests with Board in Pedalboard's place.

    python -m benchmarks.pedalboard_tests FOLDER [ARGUMENTS OF PYTEST ...]

FOLDER is ``tests`` of https://github.com/spotify/pedalboard, or some files of it; it is no part of this
repository. ``pedalboard.Pedalboard`` becomes Board, ``pedalboard.process`` runs a Board, and every built-in
plug-in that is called on its own runs in a Board of its own. Prints how many tests pass, and which fail
though they pass with Pedalboard itself, with the reason. Ends with status 1 if one fails for another reason
than those that are known.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pedalboard

from plugin_bridge import Board

KNOWN = {
    "sample_rate must be from": "Board refuses rates below 1 kHz, where PitchShift hangs and Reverb crashes",
    "buffer_size must be from": "Board refuses buffer sizes at which Pedalboard hangs or crashes",
    "'<Board with": "the test looks for the class's name in its repr, and a Board's is Board",
}
"""What a test's error says -> why it is no fault."""
HERE = "benchmarks.pedalboard_tests"


def pytest_configure() -> None:
    """Put Board in place, before pytest imports any test; this module is loaded as its plug-in."""
    boards: dict[int, Board] = {}  # each holds its plug-in, whose id so stays its own

    def on_its_own(self, *args, **kwargs):
        return boards.setdefault(id(self), Board([self]))(*args, **kwargs)

    def process(input_array, sample_rate, plugins, buffer_size=8192, reset=True):
        return Board(plugins)(input_array, sample_rate, buffer_size, reset)

    pedalboard.Plugin.process = pedalboard.Plugin.__call__ = on_its_own
    pedalboard.Pedalboard = Board
    pedalboard.process = process


def run(tests: list[str], folder: Path, in_board: bool) -> dict[str, str | None]:
    """Each test's name and, if it failed, why; not ``in_board`` only those that failed before."""
    which = ["-p", HERE] if in_board else ["--last-failed", "--last-failed-no-failures=none"]
    report = folder / "report.xml"
    options = ["-q", "-o", "addopts=", "-o", f"cache_dir={folder / 'cache'}", "-W", "ignore", *which]
    command = [sys.executable, "-m", "pytest", *options, f"--junit-xml={report}", *tests]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    found: dict[str, str | None] = {}
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        if case.find("skipped") is not None:
            continue
        wrong = [element for kind in ("failure", "error") if (element := case.find(kind)) is not None]
        reasons = [" ".join((element.get("message") or "").split()) for element in wrong]
        found[f"{case.get('classname')}::{case.get('name')}"] = reasons[0] if reasons else None
    return found


def known(reason: str) -> str:
    """Why ``reason`` is no fault of Board's, else ``reason`` itself."""
    return next((why for says, why in KNOWN.items() if says in reason), reason)


def main() -> int:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        ours, again = (run(sys.argv[1:], Path(folder), in_board) for in_board in (True, False))
    failed = {name: reason for name, reason in ours.items() if reason is not None}
    files = sorted({name.partition("::")[0].rpartition(".")[2] for name in ours})
    print(f"Pedalboard {pedalboard.__version__}, {', '.join(files)}:")
    print(f"{len(ours) - len(failed)} of {len(ours)} tests pass with Board.\n")
    only_ours = Counter(
        (name.partition("[")[0].rpartition(".")[2], known(reason))
        for name, reason in failed.items()
        if again.get(name) is None
    )
    for (name, reason), count in only_ours.items():
        print(f"- {count} of {name}: {reason}")
    if others := len(failed) - only_ours.total():
        print(f"- {others} fail with Pedalboard itself, too")
    return int(any(reason not in KNOWN.values() for _, reason in only_ours))


if __name__ == "__main__":
    sys.exit(main())
