"""One object called from several threads gives each of them its own result."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest
from pedalboard import Chain, Gain, HighpassFilter, Mix, Reverb

from plugin_bridge import Board, SeparatorPlugin, StemRack
from plugin_bridge.plugins.array_contract import LayoutMemory
from separators import NMF
from tests.plugin_bridge.splitters import Bands, Shares, noise

RATE = 44100
THREADS = 8
CALLS = 160

MAKE = {
    "native board": lambda: Board([HighpassFilter(80), Reverb(0.2), Gain(-3)]),
    "board of separators": lambda: Board([Gain(-3), Shares(stems=2), Board([Gain(2), Bands()])]),
    "board in a mix": lambda: Board([Mix([Board([Gain(-6)]), Chain([Gain(-3)])]), Bands()]),
    "plugin": lambda: SeparatorPlugin(Bands()),
    "rack": lambda: StemRack(Bands(), {"low": [Reverb(0.3)], "high": [Gain(-6)]}, remix=True),
    "open rack": lambda: StemRack(Shares(stems=3), {"share-2": [HighpassFilter(200)]}),
    "nmf": lambda: SeparatorPlugin(NMF(stems=2, components=4, iterations=2)),
}


def arrays():
    """Arrays of all layouts and types, of different lengths."""
    made = []
    for number, channels in enumerate((2, 2, 1, 2, 3, 2)):
        audio = noise(channels, 1500 + 100 * number, seed=number)
        made += [audio, np.ascontiguousarray(audio.T), audio[0], audio.astype(np.float64)]
    return made


@pytest.mark.parametrize("name", MAKE)
def test_threads_with_mixed_layouts(name):
    inputs = arrays()
    expected = [MAKE[name]()(audio, RATE) for audio in inputs]
    one = MAKE[name]()
    order = np.random.default_rng(1).integers(0, len(inputs), CALLS)
    with ThreadPoolExecutor(THREADS) as threads:
        results = list(threads.map(lambda number: one(inputs[number], RATE), order))
    for number, result in zip(order, results, strict=True):
        np.testing.assert_array_equal(result, expected[number])


def test_a_board_may_be_changed_while_it_runs():
    board, audio, done = Board([Gain(-3), Bands()]), noise(2, 2000), Event()

    def change():
        while not done.is_set():
            board.insert(0, Gain(0))
            board.append(Gain(0))
            del board[0]
            del board[len(board) - 1]

    expected = board(audio, RATE)
    with ThreadPoolExecutor(4) as threads:
        changing = threads.submit(change)
        try:
            for out in threads.map(lambda _: board(audio, RATE), range(200)):
                np.testing.assert_array_equal(out, expected)
        finally:
            done.set()
    changing.result()
    assert len(board) == 2


def test_each_thread_has_its_own_last_call():
    memory = LayoutMemory()
    square = np.zeros((4, 4), np.float32)
    with ThreadPoolExecutor(1) as thread:
        memory.read(np.zeros((4, 100), np.float32))
        first = thread.submit(memory.read, square).result()  # read as the last call of all threads was
        assert first.channels_first
        assert not thread.submit(memory.read, np.zeros((100, 4), np.float32)).result().channels_first
        assert memory.read(square).channels_first
        assert not thread.submit(memory.read, square).result().channels_first
        memory.forget()
        for read in (memory.read, lambda array: thread.submit(memory.read, array).result()):
            with pytest.raises(RuntimeError, match="not square first"):
                read(square)
