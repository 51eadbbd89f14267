"""Pickles and copies of boards give the same audio, bit by bit."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pedalboard as pb
import pytest

from plugin_bridge import Board, HostedPlugin, SeparatorPlugin, StemMix, StemRack
from plugin_bridge.plugins.built_ins import built_ins
from plugin_bridge.plugins.python_plugin import PythonPlugin
from tests.plugin_bridge.plugins.vst3 import needs_vst3
from tests.plugin_bridge.splitters import Bands, noise

RATE = 44100


class Louder(PythonPlugin):
    """An own plug-in with an attribute."""

    def __init__(self, gain):
        super().__init__()
        self.gain = gain

    def run(self, audio, sample_rate, buffer_size, reset):
        return np.float32(self.gain) * audio


class OwnBoard(Board):
    """A board with a constructor of its own."""

    def __init__(self, name):
        super().__init__([pb.Gain(3)])
        self.title = name


BOARDS = {
    "native": lambda: Board([row.create({}) for row in built_ins().values() if row.name != "Bitcrush"]),
    "containers": lambda: Board([pb.Mix([None, pb.Chain([pb.Gain(1)])]), pb.Pedalboard([pb.Invert()])]),
    "separators": lambda: Board([StemRack(Bands(), {"low": [pb.Reverb()]}, True), SeparatorPlugin(Bands())]),
    "mix": lambda: Board([StemMix([None, [Louder(3), Board([pb.Gain(2)])]])]),
    "convolution": lambda: Board([pb.Convolution(noise(2, 800), 0.4, 48000)]),
    "own": lambda: OwnBoard("mine"),
}


@pytest.mark.parametrize("again", [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy, copy.copy])
@pytest.mark.parametrize("board", BOARDS)
def test_boards(board, again):
    made = BOARDS[board]()
    other, audio = again(made), noise(2, 20000)
    assert type(other) is type(made)
    assert other is not made
    np.testing.assert_array_equal(other(audio, RATE), made(audio, RATE))
    assert repr(other).startswith(f"<{type(made).__name__} with {len(made)} plugin")
    assert getattr(other, "title", None) == getattr(made, "title", None)


def test_a_deep_copy_shares_nothing():
    made = Board([pb.Gain(3), StemMix([[gain := pb.Gain(1)], None])])
    other = copy.deepcopy(made)
    gain.gain_db = 12
    made[0].gain_db = 12
    assert other[0].gain_db == 3
    assert other[1].paths[0][0].gain_db == 1


@needs_vst3("ZamCompX2")
def test_hosted_plugins_with_their_values_and_state():
    made = Board([HostedPlugin("ZamCompX2", {"threshold_db": -33, "ratio": 7})])
    other, audio = pickle.loads(pickle.dumps(made)), noise(2, 20000)
    assert other[0].values == made[0].values
    np.testing.assert_array_equal(other(audio, RATE), made(audio, RATE))
