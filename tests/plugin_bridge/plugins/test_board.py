"""Boards of native plug-ins give Pedalboard's bits; racks change only what they are told to."""

from __future__ import annotations

import gc
import re

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

from plugin_bridge import Board, SeparatorPlugin, StemRack, save_preset
from plugin_bridge.errors import PresetError
from plugin_bridge.plugins.python_plugin import PythonPlugin
from separators import NMF
from tests.plugin_bridge.splitters import Bands, Shares, noise

ROUNDING = 1e-6
"""Of signals around 1: sums of float32."""
SUM_DB = -120


def native_chain():
    return [HighpassFilter(60), Compressor(-25, 3), Reverb(0.3), Gain(-2), Limiter(-3)]


def level_db(error, reference):
    return 20 * np.log10(np.sqrt(np.mean(np.square(error))) / np.sqrt(np.mean(np.square(reference))) + 1e-30)


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


@pytest.mark.parametrize("plugin", [MP3Compressor, lambda: Chain([Gain(), MP3Compressor()])])
def test_channel_limits_give_one_clear_error(plugin):
    with pytest.raises(ValueError, match=r"MP3Compressor takes 1 or 2 channels, not 4; .* chain of a stem"):
        Board([Bands(), plugin()])(noise(2, 3000), 44100)
    out = Board([StemRack(Bands(), {"low": [plugin()]})])(noise(2, 3000), 44100)
    assert out.shape == (4, 3000)


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


# -- racks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("chains", [{}, {"low": [], "high": []}], ids=["no chains", "empty chains"])
def test_an_empty_rack_that_remixes_returns_its_input(channels, chains):
    audio = noise(channels, 4000)
    out = StemRack(Bands(), chains, remix=True)(audio, 44100)
    np.testing.assert_array_equal(out, audio)
    assert not np.may_share_memory(out, audio)


def test_chains_that_do_nothing_leave_the_input_within_the_sums_tolerance():
    audio = noise(2, 50000)
    out = StemRack(Bands(), {"low": [Gain(0)], "high": [Gain(0)]}, remix=True)(audio, 44100)
    assert level_db(out - audio, audio) < SUM_DB


@pytest.mark.parametrize("view", [lambda x: x, lambda x: x.T, lambda x: x[0]])
def test_remix_keeps_the_inputs_shape_and_sums_the_processed_stems(view):
    audio = noise(2, 5000)
    stems = Bands().separate(view(audio).T if view(audio).shape == (5000, 2) else view(audio), 44100)
    out = StemRack(Bands(), {"low": [Gain(6), HighpassFilter(100)], "high": Gain(-6)}, remix=True)(
        view(audio), 44100
    )
    low = Pedalboard([Gain(6), HighpassFilter(100)])(stems["low"], 44100)
    high = Pedalboard([Gain(-6)])(stems["high"], 44100)
    assert out.shape == view(audio).shape
    expected = low + high
    np.testing.assert_allclose(
        out, expected.T if out.shape == (5000, 2) else expected.reshape(out.shape), atol=ROUNDING
    )


def test_without_remix_all_stems_are_passed_on_in_order():
    audio = noise(2, 5000)
    out = StemRack(Shares(stems=3), {"share-2": [Invert()]})(audio, 44100)
    shares = [weight * audio for weight in Shares(stems=3).weights()]
    np.testing.assert_allclose(out, np.concatenate([shares[0], -shares[1], shares[2]]), atol=ROUNDING)


def test_chains_with_latency_stay_aligned():
    audio = np.zeros((2, 30000), np.float32)
    audio[:, 12000] = 0.9
    out = StemRack(Shares(), {"share-1": [MP3Compressor()]}, remix=True)(audio, 44100)
    assert np.abs(out[0]).argmax() == 12000


def test_racks_chains_are_boards_that_can_be_changed_and_nested():
    rack = StemRack(
        Bands(), {"low": [StemRack(Bands(width=4), {"high": [Gain(-100)]}, remix=True)]}, remix=True
    )
    audio = noise(2, 3000)
    assert isinstance(rack.chains["low"], Board)
    inner = Bands().separate(audio, 44100)
    low = Bands(width=4).separate(inner["low"], 44100)["low"]
    np.testing.assert_allclose(rack(audio, 44100), low + inner["high"], atol=1e-5)
    rack.chains["low"].append(Gain(-100))
    np.testing.assert_allclose(rack(audio, 44100), inner["high"], atol=1e-5)


def test_unknown_stems_are_refused_with_the_right_ones():
    with pytest.raises(ValueError, match="bands gives no stem 'kick' here; its stems are: low, high"):
        StemRack(Bands(), {"kick": [Gain()]})


class PerChannel(Bands):
    """One stem per channel, as independent component analysis has it."""

    name = "per-channel"

    def stem_names(self, channels):
        return tuple(f"channel-{k + 1}" for k in range(channels))

    def fit(self, sample, sample_rate):
        return lambda block: np.eye(len(block), dtype=np.float32)[:, :, np.newaxis] * block


def test_stems_that_depend_on_the_channels_are_checked_when_audio_comes():
    rack = StemRack(PerChannel(), {"channel-3": [Gain(-6)]})
    assert rack(noise(3, 100), 44100).shape == (9, 100)
    with pytest.raises(ValueError, match="no stem 'channel-3' here; its stems are: channel-1, channel-2"):
        rack(noise(2, 100), 44100)


def test_a_chain_that_changes_a_stems_channels_is_refused():
    rack = StemRack(Bands(), {"low": [Bands(width=4)]})
    with pytest.raises(ValueError, match="chain of stem 'low'"):
        rack(noise(2, 100), 44100)


def test_a_racks_repr_and_properties():
    rack = StemRack(SeparatorPlugin(Bands(width=3)), {"low": [Gain(6)]}, remix=True)
    assert isinstance(rack, pedalboard.Plugin)
    assert rack.separator == Bands(width=3)
    assert rack.stem_names(2) == ("low", "high")
    assert re.fullmatch(
        r"<plugin_bridge.StemRack bands width=3 remix=True "
        r"chains={low: \[<pedalboard.Gain gain_db=6 at 0x[0-9a-f]+>\]} at 0x[0-9a-f]+>",
        repr(rack),
    )


def test_nan_is_refused_by_separators_before_chains_smear_it():
    audio = noise(2, 1000)
    audio[0, 10] = np.nan
    for rack in (StemRack(Bands()), StemRack(Bands(), {"low": [Reverb()]}, remix=True)):
        with pytest.raises(ValueError, match="frame 10 of channel 1"):
            rack(audio, 44100)


# -- boards inside native containers, and derived classes -----------------------------------------

NATIVE_AROUND = {
    "Mix": lambda board: Mix([board, Gain(-6)]),
    "Chain": lambda board: Chain([Gain(1), board]),
    "Pedalboard": lambda board: Pedalboard([board]),
    "Mix in Chain": lambda board: Chain([Mix([board, Gain(-6)])]),
    "Mix in a board in a Mix": lambda board: Mix([Board([Mix([board, Invert()])]), Gain(-6)]),
}


@pytest.mark.parametrize("around", NATIVE_AROUND)
@pytest.mark.parametrize("with_separator", [False, True])
def test_a_board_of_native_plugins_in_native_containers(around, with_separator):
    """Held by a name or made in place, called natively or in a board: always the same."""

    def made(cls):
        return cls([HighpassFilter(100), Board([Reverb(0.3)])])

    def outer(inside):
        return Board([inside, Bands(), Gain(2)] if with_separator else [inside, Gain(2)])

    audio = noise(2, 5000)
    native = NATIVE_AROUND[around](made(Pedalboard))(audio, 44100)
    expected = outer(Gain(0))(native, 44100)
    named = made(Board)
    held = NATIVE_AROUND[around](named)
    np.testing.assert_array_equal(outer(held)(audio, 44100), expected)
    np.testing.assert_array_equal(outer(NATIVE_AROUND[around](made(Board)))(audio, 44100), expected)
    np.testing.assert_array_equal(held(audio, 44100), native)
    named.append(Gain(-100))
    assert level_db(outer(held)(audio, 44100) - expected, expected) > -20


class LouderCall(Board):
    def __call__(self, input_array, sample_rate, buffer_size=8192, reset=True):
        return 2 * super().__call__(input_array, sample_rate, buffer_size, reset)


class LouderProcess(Board):
    def process(self, input_array, sample_rate, buffer_size=8192, reset=True):
        return 2 * super().process(input_array, sample_rate, buffer_size, reset)


class LouderRun(Board):
    def run(self, audio, sample_rate, buffer_size, reset):
        return 2 * super().run(audio, sample_rate, buffer_size, reset)


class LouderGain(Gain):
    def __call__(self, input_array, sample_rate, buffer_size=8192, reset=True):
        return 2 * super().__call__(input_array, sample_rate, buffer_size, reset)


class LouderChain(Chain):
    def process(self, input_array, sample_rate, buffer_size=8192, reset=True):
        return 2 * super().process(input_array, sample_rate, buffer_size, reset)


def louder_by_attribute():
    board = Board([Gain(0)])
    inner = board.process
    board.process = lambda *args, **kwargs: 2 * inner(*args, **kwargs)
    return board


LOUDER = {
    "call": lambda: LouderCall([Gain(0)]),
    "process": lambda: LouderProcess([Gain(0)]),
    "run": lambda: LouderRun([Gain(0)]),
    "empty": lambda: LouderRun(),
    "native call": lambda: LouderGain(0),
    "native process": lambda: LouderChain([Gain(0)]),
    "attribute": louder_by_attribute,
}


@pytest.mark.parametrize("kind", LOUDER)
@pytest.mark.parametrize("frames", [2, 3000])
def test_what_a_derived_class_overrides_is_honoured_in_boards_and_racks(kind, frames):
    audio = noise(1, frames)
    for board in (Board([LOUDER[kind]()]), Board([Gain(0), Board([Board([LOUDER[kind]()])]), Gain(0)])):
        np.testing.assert_allclose(board(audio, 44100), 2 * audio, atol=ROUNDING)
    rack = StemRack(Bands(), {"low": LOUDER[kind](), "high": [LOUDER[kind]()]}, remix=True)
    np.testing.assert_allclose(rack(audio, 44100), 2 * audio, atol=ROUNDING)


@pytest.mark.parametrize("kind", [kind for kind in LOUDER if "native" not in kind])
@pytest.mark.parametrize("native", [Pedalboard, Chain, Mix])
def test_what_a_derived_board_overrides_is_never_skipped_by_native_containers(kind, native):
    """Not even where nobody holds the board, so that only its C++ list is left."""
    louder = LOUDER[kind]()
    with pytest.raises(RuntimeError, match="put it into a Board"):
        Board([native([louder])])(noise(2, 100), 44100)
    dropped = native([LOUDER[kind]()])
    gc.collect()
    with pytest.raises(RuntimeError, match="put it into a Board"):
        Board([dropped])(noise(2, 100), 44100)
    with pytest.raises(RuntimeError):
        dropped(noise(2, 100), 44100)


def test_a_separator_that_nobody_holds_in_a_native_container_is_named_as_such():
    for native in (Pedalboard, Chain, Mix):
        held_by_nobody = native([Gain(), SeparatorPlugin(Bands())])
        gc.collect()
        with pytest.raises(RuntimeError, match=r"a separator .* put it into a Board"):
            Board([held_by_nobody])(noise(2, 100), 44100)


def test_an_override_above_another_is_refused():
    class Unclear(LouderGain):
        def process(self, input_array, sample_rate, buffer_size=8192, reset=True):
            return input_array

    with pytest.raises(TypeError, match="Unclear overrides process, and a class above it __call__"):
        Board([Unclear()])(noise(2, 100), 44100)


def test_what_gives_no_audio_back_is_named():
    class Lost(Pedalboard):
        def process(self, input_array, sample_rate, buffer_size=8192, reset=True):
            return None

    with pytest.raises(RuntimeError, match="Lost gave back None"):
        Board([Lost()])(noise(2, 100), 44100)


class HalfStems(SeparatorPlugin):
    def run(self, audio, sample_rate, buffer_size, reset):
        return 0.5 * super().run(audio, sample_rate, buffer_size, reset)


class HalfStemsCall(SeparatorPlugin):
    def __call__(self, input_array, sample_rate, buffer_size=8192, reset=True):
        return 0.5 * super().__call__(input_array, sample_rate, buffer_size, reset)


@pytest.mark.parametrize("half", [HalfStems, HalfStemsCall])
def test_a_rack_honours_what_a_separators_plugin_overrides(half):
    audio = noise(2, 3000)
    expected = 0.5 * SeparatorPlugin(Bands())(audio, 44100)
    np.testing.assert_allclose(StemRack(half(Bands()))(audio, 44100), expected, atol=ROUNDING)
    np.testing.assert_allclose(Board([half(Bands())])(audio, 44100), expected, atol=ROUNDING)

    class OneStem(SeparatorPlugin):
        def run(self, audio, sample_rate, buffer_size, reset):
            return audio

    with pytest.raises(ValueError, match="OneStem gave"):
        StemRack(OneStem(Bands()))(audio, 44100)


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


def test_a_preset_refuses_what_python_code_overrides(tmp_path):
    louder = LouderGain()
    boards = [
        LouderRun([NMF()]),
        Board([HalfStems(NMF())]),
        Board([StemRack(HalfStemsCall(NMF()))]),
        Board([StemRack(NMF(), {"stem-1": LouderRun()})]),
        Board([Mix([louder]), NMF()]),
        Board([LouderCall([Gain()]), NMF()]),
        Board([louder_by_attribute(), NMF()]),
    ]
    for board in boards:
        with pytest.raises(PresetError, match=r"no Python code|not a "):
            save_preset(board, tmp_path / "preset.toml", "Louder")
