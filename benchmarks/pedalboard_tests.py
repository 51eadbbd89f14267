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


def run(tests: list[str], in_board: bool) -> dict[str, str | None]:
    """Each test's name and, if it failed, why."""
    plugin = ["-p", HERE] if in_board else []
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-o", "addopts=", "-W", "ignore", *plugin]
        subprocess.run([*command, f"--junit-xml={report}", *tests], stdout=subprocess.DEVNULL, check=False)
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
    ours, theirs = run(sys.argv[1:], True), run(sys.argv[1:], False)
    passed = [sum(reason is None for reason in results.values()) for results in (ours, theirs)]
    print(f"Pedalboard {pedalboard.__version__}: of {len(ours)} tests {passed[0]} pass with Board,")
    print(f"{passed[1]} with Pedalboard itself.\n")
    only_ours = {
        name: known(reason)
        for name, reason in ours.items()
        if reason is not None and theirs.get(name) is None
    }
    for (name, reason), count in Counter((n.partition("[")[0], r) for n, r in only_ours.items()).items():
        print(f"- {count} of {name}: {reason}")
    return int(any(reason not in KNOWN.values() for reason in only_ours.values()))


if __name__ == "__main__":
    sys.exit(main())
