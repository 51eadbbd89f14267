"""What people read is one line a line, whatever names hold; one place makes it so."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest

from plugin_bridge.jobs.progress import BarReporter, Event, LineReporter
from plugin_bridge.terminal import one_line, say, say_json, table, write

ROOT = Path(__file__).parents[2]
FORGED = "kick\x1b[2J\x07\nfailed: snare\r\x9b31m\u202egpj\u2028\x7f\udcff"
SHOWN = r"kick\u001b[2J\u0007\nfailed: snare\r\u009b31m\u202egpj\u2028\u007f\udcff"


def test_what_controls_is_shown_and_what_is_read_is_kept():
    assert one_line(FORGED) == SHOWN
    for name in (
        "Snare",
        "Größe",
        "ドラム",
        "درام\u200cها",
        "\N{WOMAN}\u200d\N{MICROPHONE}",
        "a\u0301",
        "1 \xa0 2",
    ):
        assert one_line(name) == name


def test_lines_tables_and_json_come_out_safe(capsys):
    say(FORGED, "plain")
    say(FORGED, err=True)
    said = capsys.readouterr()
    assert said.out == f"{SHOWN}\nplain\n"
    assert said.err == f"{SHOWN}\n"
    header, _, row = table(("name", "n"), [(FORGED, 1)])
    assert row == f"{SHOWN}  1"
    assert header.startswith("name ")
    say_json({"name": FORGED, "tag": "\U000e0041"})
    text = capsys.readouterr().out
    assert text.isascii()
    assert json.loads(text) == {"name": FORGED, "tag": "\U000e0041"}


def test_progress_of_jobs_with_such_names_is_safe():
    for kind in (LineReporter, BarReporter):
        stream = io.StringIO()
        with kind(stream) as reporter:
            reporter.begin(1)
            reporter.update(Event(FORGED, "reading", 0.1))
            reporter.finish(FORGED, "done")
            reporter.say(FORGED)
        assert "\nfailed" not in stream.getvalue()
        assert not set("\x07\x9b\u202e\x7f") & set(stream.getvalue())
        assert "\x1b[2J" not in stream.getvalue()


class Gone(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


@pytest.mark.parametrize("stream", [Gone(), None])
def test_a_reader_who_is_gone_stops_no_work(stream):
    write("a line", stream)
    closed = io.StringIO()
    closed.close()
    write("a line", closed)
    read = io.StringIO()
    write("a line", read)
    assert read.getvalue() == "a line\n"


def test_there_is_no_other_way_out():
    """Nothing but :mod:`plugin_bridge.terminal` prints; the bars get their text from it.

    What a child process prints is read by its parent, and reaches nobody else.
    """
    children = {"facts.py"}
    for path in (ROOT / "plugin_bridge").rglob("*.py"):
        if path.name == "terminal.py" or path.name in children:
            continue
        for line in path.read_text(encoding="utf-8").splitlines():
            if ">>>" in line or "_console.print(one_line(" in line or path.parent.name == "plugin_bridge":
                continue  # doctests, bars, and the example of the package
            assert not re.search(r"click\.s?echo\(|\bprint\(|sys\.std(out|err)\.write\(", line), (
                f"{path}: {line}"
            )
