"""Ctrl-C: soon whatever the program does, a second one at once, and never lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from plugin_bridge.engine.stopping import prompt_stop
from plugin_bridge.jobs import workspace
from tests.plugin_bridge.processes import started

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
STUBBORN = """
import signal, sys, time
from pathlib import Path
from plugin_bridge.engine.stopping import prompt_stop
from plugin_bridge.jobs import workspace
from plugin_bridge.jobs.workspace import workspace
signal.signal(signal.SIGINT, signal.default_int_handler)
with prompt_stop(130, lambda: print("Stopped.", flush=True)), workspace(Path(sys.argv[1])):
    ready = False
    while True:
        try:
            if not ready:
                ready = True
                print("ready", flush=True)
            time.sleep(1)
        except KeyboardInterrupt:
            pass  # as native code that takes long
"""


def stubborn(folder):
    return started(
        [sys.executable, "-c", STUBBORN, folder], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("times", [1, 2])
def test_a_job_that_does_not_hear_is_ended_and_cleaned_up_behind(tmp_path, times):
    with stubborn(tmp_path) as process:
        assert process.stdout.readline() == "ready\n"
        begin = time.monotonic()
        for _ in range(times):
            process.send_signal(signal.SIGINT)
            time.sleep(0.1)
        assert process.wait(30) == 130
        seconds = time.monotonic() - begin
        assert process.stdout.read() == "Stopped.\n"
    assert seconds < (1.5 if times == 2 else 10)  # 1.6 and a little, on a machine that does nothing else
    assert len(list(tmp_path.iterdir())) == (0 if times == 1 else 1)  # that one the next run sweeps


def _swallow():
    with prompt_stop(130, lambda: None), suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.usefixtures("ctrl_c")
def test_an_interrupt_that_a_library_swallows_is_raised_at_the_end():
    with pytest.raises(KeyboardInterrupt):
        _swallow()


@pytest.mark.usefixtures("ctrl_c")
def test_an_interrupt_of_the_cleaning_up_leaves_nothing(tmp_path, monkeypatch):
    removed = workspace._remove

    def interrupted(path):
        monkeypatch.setattr(workspace, "_remove", removed)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(workspace, "_remove", interrupted)
    with pytest.raises(KeyboardInterrupt), prompt_stop(130, lambda: None), workspace.workspace(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_without_a_signal_nothing_happens_and_others_are_left_alone():
    ended, heard = [], []
    with prompt_stop(130, lambda: ended.append(True)):
        pass
    if hasattr(signal, "SIGUSR1"):
        before = signal.signal(signal.SIGUSR1, lambda number, frame: heard.append(number))
        with prompt_stop(130, lambda: ended.append(True)):
            signal.raise_signal(signal.SIGUSR1)
        assert heard == [signal.SIGUSR1]
        signal.signal(signal.SIGUSR1, before)
    assert not ended
