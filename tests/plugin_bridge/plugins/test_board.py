"""Boards of native plug-ins give Pedalboard's bits; separators run between them."""

from __future__ import annotations

import gc

import numpy as np
import pedalboard
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pedalboard import (
    Chain,
    Compressor,
    Delay,
    Gain,
    HighpassFilter,
    Invert,
    Limiter,
    Mix,
    MP3Compressor,
    Pedalboard,
    PitchShift,
    Reverb,
)

from plugin_bridge import Board, SeparatorPlugin, StemRack
from plugin_bridge.plugins.python_plugin import PythonPlugin
from separators.errors import SeparatorWarning
from tests.plugin_bridge.splitters import Bands, Shares, noise

ROUNDING = 1e-6
"""Of signals around 1: sums of float32."""


def native_chain():
    return [HighpassFilter(60), Compressor(-25, 3), Reverb(0.3), Gain(-2), Limiter(-3)]


# -- a board is a Pedalboard --------------------------------------------------------------------


@pytest.mark.parametrize("sample_rate", [22050, 44100, 48000])
@pytest.mark.parametrize("buffer_size", [128, 8192, 65536])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_native_plugins_give_pedalboards_bits(sample_rate, buffer_size, channels):
    audio = noise(channels, 9000)
    expected = Pedalboard(native_chain())(audio, sample_rate, buffer_size)
    np.testing.assert_array_equal(Board(native_chain())(audio, sample_rate, buffer_size), expected)


CHAINS = {
    "empty": list,
    "latency": lambda: [MP3Compressor(), PitchShift(2), Reverb()],
    "nested native": lambda: [Gain(3), Chain([HighpassFilter(99), Mix([Delay(0.01), Invert()])]), Limiter()],
    "nested board": lambda: [Board([MP3Compressor(), Compressor(-30, 4)]), Gain(-3)],
}


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("frames", [1, 3, 1000, 20000])
def test_containers_and_latency_give_pedalboards_bits(chain, frames):
    audio = noise(1, frames)
    expected = Pedalboard(CHAINS[chain]())(audio, 44100)
    np.testing.assert_array_equal(Board(CHAINS[chain]())(audio, 44100), expected)


@pytest.mark.parametrize("view", [lambda x: x, lambda x: x.T, lambda x: x[0], lambda x: x.astype(np.float64)])
def test_layouts_and_types_are_pedalboards(view):
    audio = view(noise(2, 3000))
    expected = Pedalboard(native_chain())(audio, 44100)
    out = Board(native_chain())(audio, 44100)
    np.testing.assert_array_equal(out, expected)
    assert (out.dtype, out.flags.c_contiguous) == (np.float32, True)


def test_a_stream_of_blocks_gives_pedalboards_bits():
    audio, ours, theirs = noise(2, 30000), Board(native_chain()), Pedalboard(native_chain())
    for start in range(0, 30000, 4096):
        block = audio[:, start : start + 4096]
        np.testing.assert_array_equal(
            ours(block, 44100, reset=start == 0), theirs(block, 44100, reset=start == 0)
        )


@pytest.mark.parametrize("frames", [1, 2, 5, 6])
def test_no_more_frames_than_channels(frames):
    """Pedalboard alone would read (6, 4) as 4 channels; the frames that follow must not matter."""
    audio = noise(6, 100)
    whole = Pedalboard([HighpassFilter(1000)])(audio, 44100)
    board = Board([SeparatorPlugin(Shares(stems=1)), HighpassFilter(1000)])
    board(audio, 44100)  # now it knows that there are six channels
    np.testing.assert_allclose(board(audio[:, :frames], 44100), whole[:, :frames], atol=ROUNDING)


def test_it_is_a_pedalboard_and_keeps_python_objects_whole():
    board = Board([Gain(), Bands(width=3), StemRack(Bands(), {"low": [Bands(width=5)]})])
    board.append(Bands(width=7))
    board.insert(0, Board([Bands(width=9)]))
    board[1] = Bands(width=11)
    gc.collect()
    assert isinstance(board, Pedalboard)
    assert all(isinstance(plugin, pedalboard.Plugin) for plugin in board)
    assert [board[i].width for i in (1, 2, 4)] == [11, 3, 7]
    assert board[0][0].width == 9
    assert board[3].chains["low"][0].width == 5
    assert board[2] is board[2]
    assert repr(board).startswith("<Board with 5 plugins: [<Board with 1 plugin: [<plugin_bridge.Sep")


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["append", "insert", "set", "delete", "remove", "contains"]),
        st.integers(-4, 4),
        st.booleans(),
    ),
    max_size=12,
)


@given(OPERATIONS)
def test_the_list_is_pythons_list(operations):
    """Whatever is done to it: same members in the same order, same errors."""
    board, model = Board(), []
    for what, index, native in operations:
        new = Gain() if native else SeparatorPlugin(Bands())
        if what == "append":
            board.append(new)
            model.append(new)
        elif what == "insert" and -len(model) <= index <= len(model):
            board.insert(index, new)
            model.insert(index, new)
        elif what in ("set", "delete") and not -len(model) <= index < len(model):
            with pytest.raises(IndexError):
                board[index] = new
            with pytest.raises(IndexError):
                del board[index]
            with pytest.raises(IndexError):
                _ = board[index]
        elif what == "set":
            board[index] = model[index] = new
        elif what == "delete":
            del board[index], model[index]
        elif what == "remove" and model:
            board.remove(model.pop(index % len(model)))
        else:
            with pytest.raises(ValueError, match="not in list"):
                board.remove(new)
        del new
        gc.collect(0)
        assert list(board) == model
        assert list(reversed(board)) == model[::-1]
        assert len(board) == len(model)
        assert all(plugin in board for plugin in model)
        assert Gain() not in board


@pytest.mark.parametrize("wrong", [3, "Gain", Gain, [Gain()], lambda x, rate: x])
def test_only_plugins_and_separators_are_taken(wrong):
    board = Board([Gain()])
    for put in (lambda: Board([wrong]), lambda: board.append(wrong), lambda: board.__setitem__(0, wrong)):
        with pytest.raises(TypeError, match="plug-ins and separators"):
            put()
    assert len(board) == 1


def test_a_board_cannot_hold_itself():
    board = Board([Gain()])
    outer = Board([board])
    with pytest.raises(ValueError, match="hold itself"):
        board.append(board)
    with pytest.raises(ValueError, match="hold itself"):
        board[0] = Chain([outer])
    assert len(board) == 1
    chain = Chain([])
    loop = Board([chain])
    chain.append(loop)  # Pedalboard does not look
    with pytest.raises(RuntimeError, match=r"twice|inside a native Chain"):
        loop(noise(2, 100), 44100)


def test_one_instance_twice_raises_on_both_sides_of_a_separator():
    gain = Gain()
    for board in (Board([gain, gain]), Board([gain, Bands(), gain]), Board([gain, Board([Bands(), gain])])):
        with pytest.raises(RuntimeError, match="used twice"):
            board(noise(2, 100), 44100)


@pytest.mark.parametrize("bad", [0, -1, float("nan"), float("inf"), 1e12])
def test_sample_rates_and_buffer_sizes_that_would_kill_the_process(bad):
    with pytest.raises(ValueError, match="sample_rate must be"):
        Board([Reverb()])(noise(2, 100), bad)
    with pytest.raises((ValueError, TypeError), match="buffer_size must be"):
        Board([Reverb()])(noise(2, 100), 44100, bad)


# -- separators in a board ----------------------------------------------------------------------


def test_separators_run_between_native_plugins():
    audio = noise(2, 5000)
    out = Board([HighpassFilter(60), Bands(), Limiter(-3)])(audio, 44100)
    before = Pedalboard([HighpassFilter(60)])(audio, 44100)
    expected = Pedalboard([Limiter(-3)])(SeparatorPlugin(Bands())(before, 44100), 44100)
    np.testing.assert_array_equal(out, expected)


def test_the_channel_count_grows():
    board = Board([Shares(stems=3), Gain(0), Board([Shares(stems=2)])])
    assert board(noise(2, 1000), 44100).shape == (12, 1000)
    assert board(noise(2, 1000).T, 44100).shape == (1000, 12)
    assert board(noise(1, 1000)[0], 44100).shape == (6, 1000)
    assert board(np.zeros((2, 0), np.float32), 44100).shape == (12, 0)


@pytest.mark.parametrize(
    "native",
    [lambda p: Mix([Gain(), p]), lambda p: Chain([p]), lambda p: Pedalboard([Chain([p])])],
    ids=["Mix", "Chain", "Pedalboard"],
)
def test_a_separator_in_a_native_container_raises_with_its_name(native):
    separator, rack = SeparatorPlugin(Bands()), StemRack(Bands())
    for plugin in (separator, rack, Board([Bands()])):
        with pytest.raises(RuntimeError, match=f"{type(plugin).__name__} cannot run inside a native"):
            Board([native(plugin)])(noise(2, 100), 44100)


@pytest.mark.parametrize("make", [lambda: Board([Bands()]), lambda: StemRack(Bands())])
def test_in_pedalboards_own_hands_boards_and_racks_raise(make):
    for container in (Pedalboard, Chain, Mix):
        with pytest.raises(RuntimeError, match="put it into a Board"):
            container([make()])(noise(2, 100), 44100)


def test_a_users_own_python_plugin_runs_in_a_board_only():
    class Backwards(Pedalboard):
        def process(self, input_array, sample_rate, buffer_size=8192, reset=True):
            return input_array[:, ::-1]

    class Louder(Board):
        def process(self, input_array, sample_rate, buffer_size=8192, reset=True):
            return 2 * super().process(input_array, sample_rate, buffer_size, reset)

    audio = noise(2, 500)
    np.testing.assert_array_equal(Board([Backwards(), Louder()])(audio, 44100), 2 * audio[:, ::-1])
    with pytest.raises(RuntimeError, match="Backwards cannot run inside a native Mix"):
        Board([Mix([own := Backwards()])])(audio, 44100)
    assert isinstance(own, Backwards)


FEWER = {
    "alone": lambda: [MP3Compressor()],
    "inside a chain": lambda: [Chain([Gain(1), MP3Compressor()])],
    "between others": lambda: [Gain(-6), MP3Compressor(), Compressor(-20, 3), Gain(6)],
}


@pytest.mark.parametrize("chain", FEWER)
@pytest.mark.parametrize("first", [Bands, lambda: StemRack(Bands())])
def test_native_plugins_that_take_fewer_channels_get_one_stem_after_the_other(chain, first):
    """As each stem's own chain does; and it is said once."""
    audio = noise(2, 6000)
    make = FEWER[chain]
    expected = Board([StemRack(Bands(), {"low": make(), "high": make()})])(audio, 44100)
    with pytest.warns(SeparatorWarning, match="fewer channels than the 4 of all stems") as said:
        out = Board([first(), *make()])(audio, 44100)
    assert len(said) == 1
    np.testing.assert_allclose(out, expected, atol=ROUNDING)


@pytest.mark.parametrize("plugin", [MP3Compressor, lambda: Chain([Gain(), MP3Compressor()])])
def test_channel_limits_give_one_clear_error(plugin):
    for board in (Board([plugin()]), Board([Gain(), Board([plugin()])])):
        with pytest.raises(ValueError, match=r"MP3Compressor takes 1 or 2 channels, not 4; .* one by one"):
            board(noise(4, 3000), 44100)
    with pytest.raises(ValueError, match="takes 1 or 2 channels, not 3"):
        Board([Bands(), plugin()])(noise(3, 3000), 44100)


def test_a_signal_with_a_separator_cannot_be_continued():
    for board in (Board([Bands()]), Board([Gain(), StemRack(Bands(), remix=True)])):
        with pytest.raises(ValueError, match="whole signal"):
            board(noise(2, 100), 44100, reset=False)


def test_reset_clears_tails():
    board = Board([Gain(0), Board([Reverb(0.9)])])
    board(noise(2, 4000), 44100, reset=False)
    assert np.abs(board(np.zeros((2, 4000), np.float32), 44100, reset=False)).max() > 1e-3
    board.reset()
    assert np.abs(board(np.zeros((2, 4000), np.float32), 44100, reset=False)).max() == 0


class Late(PythonPlugin):
    """Holds back 100 frames, as a plug-in with latency does."""

    streams = True

    def __init__(self):
        super().__init__()
        self.held = np.zeros((2, 0), np.float32)

    def run(self, audio, sample_rate, buffer_size, reset):
        if reset:
            self.held = np.zeros((2, 0), np.float32)
        held = np.concatenate([self.held, audio], axis=1)
        ready = max(held.shape[1] - 100, 0)
        self.held = held[:, ready:]
        return held[:, :ready]


@pytest.mark.parametrize("sizes", [[500], [1000, 5000, 300], [90, 4000, 3]])
@pytest.mark.parametrize("first_reset", [True, False])
def test_native_plugins_keep_their_state_over_blocks_of_changing_length(sizes, first_reset):
    """Pedalboard alone clears a reverb that gets a longer block than before."""
    audio = noise(2, 12000)
    audio[:, 3000:] = 0
    expected = Pedalboard([Reverb(0.8)])(audio, 44100)
    chains = [[Reverb(0.8), Late()], [Late(), Reverb(0.8)], [Board([Late()]), Reverb(0.8)]]
    for board in map(Board, chains):
        out, position, turn = [], 0, 0
        while position < 12000:
            block = audio[:, position : position + sizes[turn % len(sizes)]]
            out.append(board(block, 44100, reset=first_reset and position == 0))
            position, turn = position + block.shape[1], turn + 1
        out = np.concatenate(out, axis=1)
        np.testing.assert_array_equal(out, expected[:, : out.shape[1]])
        assert out.shape[1] == 11900


class Centred(PythonPlugin):
    """Stereo only: the mean of both sides, on both."""

    by_stem = True

    def run(self, audio, sample_rate, buffer_size, reset):
        assert len(audio) <= 2
        return np.repeat(audio.mean(axis=0, keepdims=True), len(audio), axis=0)


@pytest.mark.parametrize("channels", [1, 2])
def test_behind_a_separator_plugins_that_take_one_stem_get_one_after_the_other(channels):
    audio = noise(channels, 2000)
    stems = Shares(stems=3).separate(audio, 44100)
    expected = np.concatenate([Centred().run(stem, 44100, 8192, True) for stem in stems.values()])
    chains = [
        [Shares(stems=3), Centred()],
        [Shares(stems=3), Gain(0), Board([Centred()])],
        [Board([Gain(0), StemRack(Shares(stems=3))]), Centred()],
    ]
    for chain in chains:
        np.testing.assert_array_equal(Board(chain)(audio, 44100), expected)
