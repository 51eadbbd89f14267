"""Child processes of third-party plug-ins: crashes and hangs harm nobody, and no child is left behind."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from plugin_bridge import HostedPlugin
from plugin_bridge.errors import PluginError
from tests.plugin_bridge.plugins.vst3 import needs_vst3
from tests.plugin_bridge.processes import started
from tests.plugin_bridge.splitters import noise

RATE = 44100
HANGS_WHILE_LOADING = "ZamVerb"
COMP = {"threshold_db": -30, "ratio": 4}
ROOT = Path(__file__).parents[3]

needs_zam = needs_vst3("ZamCompX2", "ZamComp", "ZaMaximX2")
posix = pytest.mark.skipif(os.name != "posix", reason="signals")


@pytest.fixture(scope="module")
def comp():
    """A stereo compressor."""
    plugin = HostedPlugin("ZamCompX2", COMP)
    yield plugin
    plugin.close()


def ends(pid, seconds=10.0):
    """Whether the process ``pid`` is gone, or a zombie, within ``seconds``."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


@needs_vst3(HANGS_WHILE_LOADING)
def test_a_plugin_that_hangs_while_loading_is_stopped():
    start = time.monotonic()
    with pytest.raises(PluginError, match="ZamVerb hung while loading and was stopped after 2 s"):
        HostedPlugin(HANGS_WHILE_LOADING, load_seconds=2)
    assert time.monotonic() - start < 10


@needs_zam
@posix
def test_a_crash_in_the_middle_of_a_signal_and_the_call_after_it():
    plugin = HostedPlugin("ZamCompX2", {"threshold_db": -40, "ratio": 4})
    audio = noise(2, 60 * RATE)
    expected = plugin(audio[:, :RATE], RATE)
    child = plugin._child._process.pid
    threading.Timer(0.1, os.kill, (child, signal.SIGSEGV)).start()
    with pytest.raises(PluginError, match=r"ZamCompX2 crashed while processing audio \(signal 11\)"):
        deque((plugin(audio, RATE) for _ in range(50)), maxlen=0)
    np.testing.assert_array_equal(plugin(audio[:, :RATE], RATE), expected)
    assert plugin._child._process.pid != child


@needs_zam
@posix
def test_a_plugin_that_hangs_while_processing_is_stopped():
    plugin = HostedPlugin("ZamCompX2", {"ratio": 4}, call_seconds=1)
    os.kill(plugin._child._process.pid, signal.SIGSTOP)
    with pytest.raises(PluginError, match=r"ZamCompX2 hung while .* and was stopped after 1 s"):
        plugin(noise(2, 1000), RATE)
    assert plugin(noise(2, 1000), RATE).shape == (2, 1000)


@needs_zam
@posix
def test_a_stream_is_not_continued_in_a_new_child():
    plugin = HostedPlugin("ZamCompX2")
    plugin(noise(2, 8192), RATE, reset=False)
    plugin._child._process.kill()
    plugin._child._process.wait()
    with pytest.raises(PluginError, match="ended between two blocks"):
        plugin(noise(2, 8192), RATE, reset=False)


@needs_zam
@posix
def test_the_child_ends_with_its_plugin():
    plugin = HostedPlugin("ZamComp")
    child = plugin._child._process.pid
    del plugin
    gc.collect()
    assert ends(child)


PARENT = """
import sys, threading
from plugin_bridge import HostedPlugin
from plugin_bridge.plugins.hosted_child import Child
start = Child.__init__
def init(self, *arguments):
    start(self, *arguments)
    print(self._process.pid, flush=True)
Child.__init__ = init
plugin = HostedPlugin(sys.argv[1], load_seconds=60)
threading.Event().wait()
"""


@needs_vst3("ZamComp", HANGS_WHILE_LOADING)
@posix
@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("name", ["ZamComp", HANGS_WHILE_LOADING])
@pytest.mark.parametrize("end", ["SIGINT", "SIGKILL"])
def test_no_child_outlives_its_parent(name, end):
    """While it waits for work, and while its plug-in hangs; Ctrl-C, and a kill that nobody can catch."""
    with started(
        [sys.executable, "-c", PARENT, name],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as parent:
        child = int(parent.stdout.readline())
        time.sleep(0.8)  # loading, or waiting
        assert not ends(child, 0.1)
        parent.send_signal(getattr(signal, end))
        parent.wait(10)
    assert ends(child)


@needs_zam
def test_the_child_is_small(comp):
    modules = Path("/proc") / str(comp._child._process.pid) / "maps"
    if not modules.exists():
        pytest.skip("no /proc")
    loaded_files = modules.read_text()
    assert "pedalboard" in loaded_files
    assert "torch" not in loaded_files
    assert "site-packages/scipy/" not in loaded_files


@needs_zam
def test_calls_from_several_threads_take_turns(comp):
    audio = [noise(2, 100_000, seed) for seed in range(4)]
    expected = [comp(one, RATE) for one in audio]
    with ThreadPoolExecutor(4) as threads:
        for out, right in zip(threads.map(lambda one: comp(one, RATE), audio), expected, strict=True):
            np.testing.assert_array_equal(out, right)


FORK = """
import os, sys
import numpy as np
from plugin_bridge import HostedPlugin
plugin = HostedPlugin("ZamCompX2", {"threshold_db": -30, "ratio": 4})
audio = 0.1 * np.random.default_rng(0).standard_normal((2, 50000)).astype(np.float32)
expected = plugin(audio, 44100)
children = [os.fork() for _ in range(2)]
for _ in range(5):
    assert np.array_equal(plugin(audio, 44100), expected)
if all(children):
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    assert np.array_equal(plugin(audio, 44100), expected)
    print("done", flush=True)
    os._exit(0)
plugin.close()
os._exit(0)
"""


@needs_zam
@posix
def test_after_a_fork_each_process_has_a_child_of_its_own():
    program = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK], cwd=ROOT, capture_output=True, timeout=120
    )
    assert program.stdout.split() == [b"done"], program.stderr
