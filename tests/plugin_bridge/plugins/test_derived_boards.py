"""Boards inside native containers, and what derived classes override: honoured or refused, never skipped."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from pedalboard import (
    Chain,
    Gain,
    HighpassFilter,
    Invert,
    Mix,
    Pedalboard,
    Reverb,
)

from plugin_bridge import Board, SeparatorPlugin, StemRack, save_preset
from plugin_bridge.errors import PresetError
from separators import NMF
from tests.plugin_bridge.splitters import Bands, noise

ROUNDING = 1e-6
"""Of signals around 1: sums of float32."""

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
    assert np.std(outer(held)(audio, 44100) - expected) > 0.1 * np.std(expected)


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
