"""A separator behaves as a Pedalboard plug-in: same arrays, same errors, and never a silent pass-through."""

from __future__ import annotations

import gc
import re

import numpy as np
import pedalboard
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_bridge import SeparatorPlugin, StemRack
from plugin_bridge.plugins.array_contract import BUFFER_SIZES, SAMPLE_RATES_HZ
from plugin_bridge.plugins.python_plugin import PythonPlugin
from separators import ChannelError
from tests.plugin_bridge.splitters import Bands, Shares, noise

ROUNDING = 1e-6
"""Of signals around 1: float32 rounding of the shares and of the scaling in between."""


@pytest.mark.parametrize("sample_rate", [22050, 44100, 48000.0])
@pytest.mark.parametrize("buffer_size", [1, 64, 8192, 65536])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_stems_come_out_stem_by_stem(sample_rate, buffer_size, channels):
    audio = noise(channels, 4000)
    shares = Shares(stems=3)
    out = SeparatorPlugin(shares)(audio, sample_rate, buffer_size)
    expected = np.concatenate([weight * audio for weight in shares.weights()])
    assert out.shape == (3 * channels, 4000)
    np.testing.assert_allclose(out, expected, atol=ROUNDING)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.dtype(">f4"), np.dtype(">f8")])
@pytest.mark.parametrize("method", ["process", "__call__"])
@pytest.mark.parametrize(
    "view",
    [
        lambda x: x,
        lambda x: np.asfortranarray(x),
        lambda x: np.repeat(x, 2, axis=1)[:, ::2],
        lambda x: x[:, ::-1][:, ::-1],
    ],
    ids=["C", "Fortran", "strided", "reversed twice"],
)
def test_every_float_array_gives_new_contiguous_float32(dtype, method, view):
    audio = view(noise(2, 3000).astype(dtype))
    before = audio.copy()
    plugin = SeparatorPlugin(Bands())
    out = getattr(plugin, method)(input_array=audio, sample_rate=44100, buffer_size=8192, reset=True)
    assert out.dtype == np.float32
    assert out.dtype.isnative
    assert out.flags.c_contiguous
    assert not np.may_share_memory(out, audio)
    np.testing.assert_array_equal(audio, before)
    np.testing.assert_array_equal(out, plugin(noise(2, 3000), 44100))


def test_the_layout_that_comes_in_goes_out():
    plugin, audio = SeparatorPlugin(Bands()), noise(2, 3000)
    stems = plugin(audio, 44100)
    np.testing.assert_array_equal(plugin(audio.T, 44100), stems.T)
    assert plugin(audio.T, 44100).flags.c_contiguous
    np.testing.assert_allclose(plugin(audio[0], 44100), stems[[0, 2]], atol=ROUNDING)


@pytest.mark.parametrize("shape", [(0,), (1, 0), (2, 0), (0, 2)])
def test_nothing_in_gives_nothing_out_with_the_right_channels(shape):
    out = SeparatorPlugin(Shares(stems=3))(np.zeros(shape, np.float32), 44100)
    expected = {(0,): (3, 0), (1, 0): (3, 0), (2, 0): (6, 0), (0, 2): (0, 6)}
    assert out.shape == expected[shape]


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_fewer_frames_than_stem_channels(frames):
    plugin = SeparatorPlugin(Shares(stems=4))
    plugin(noise(2, 100), 44100)  # now it knows that there are two channels
    audio = noise(2, frames)
    np.testing.assert_allclose(plugin(audio, 44100)[6:], 0.4 * audio, atol=ROUNDING)


def test_one_sample_mono():
    assert SeparatorPlugin(Bands())(np.ones(1, np.float32), 44100).shape == (2, 1)


BAD_ARRAYS = [
    np.zeros((2, 100), np.int8),
    np.zeros((2, 100), np.int16),
    np.zeros((2, 100), np.int64),
    np.zeros((2, 100), np.uint8),
    np.zeros((2, 100), np.float16),
    np.zeros((2, 100), np.longdouble),
    np.zeros((2, 100), np.complex64),
    np.zeros((2, 100), bool),
    np.zeros((2, 2, 100), np.float32),
    np.float32(1),
    np.array(1, np.float32),
    np.zeros((3, 3), np.float32),
    np.zeros((0, 0), np.float32),
    [0.0] * 100,
    "audio",
    None,
]


@pytest.mark.parametrize("audio", BAD_ARRAYS, ids=lambda x: f"{getattr(x, 'dtype', type(x))} {np.shape(x)}")
def test_wrong_arrays_raise_what_pedalboard_raises(audio):
    raised = []
    for plugin in (pedalboard.Gain(), SeparatorPlugin(Bands())):
        with pytest.raises((TypeError, RuntimeError, ValueError)) as error:
            plugin.process(audio, 44100)
        raised.append(error.type)
    assert raised[0] is raised[1]


@pytest.mark.parametrize(
    "arguments",
    [{}, {"sample_rate": "44100"}, {"sample_rate": None}, {"sample_rate": 44100, "buffer_size": 1.5}],
    ids=str,
)
def test_wrong_types_of_arguments_raise_what_pedalboard_raises(arguments):
    for plugin in (pedalboard.Gain(), SeparatorPlugin(Bands())):
        with pytest.raises(TypeError):
            plugin.process(noise(2, 100), **arguments)


@pytest.mark.parametrize("sample_rate", [0, -1, -44100.0, float("nan"), float("inf"), 1, 50, 1e9])
def test_sample_rates_that_crash_or_hang_pedalboard_are_refused(sample_rate):
    with pytest.raises(ValueError, match=f"from {SAMPLE_RATES_HZ[0]} to {SAMPLE_RATES_HZ[1]} Hz"):
        SeparatorPlugin(Bands())(noise(2, 100), sample_rate)


@pytest.mark.parametrize("buffer_size", [0, -1, 1_000_001, 10_000_000])
def test_buffer_sizes_that_crash_or_hang_pedalboard_are_refused(buffer_size):
    with pytest.raises(ValueError, match=f"from {BUFFER_SIZES[0]} to {BUFFER_SIZES[1]} frames"):
        SeparatorPlugin(Bands())(noise(2, 100), 44100, buffer_size)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused(value):
    audio = noise(2, 1000)
    audio[1, 500] = value
    with pytest.raises(ValueError, match="frame 500 of channel 2"):
        SeparatorPlugin(Bands())(audio, 44100)


def test_a_signal_cannot_be_continued():
    with pytest.raises(ValueError, match="whole signal"):
        SeparatorPlugin(Bands())(noise(2, 100), 44100, reset=False)


def test_channels_that_the_separator_refuses():
    with pytest.raises(ChannelError, match="at most 8"):
        SeparatorPlugin(Bands())(noise(9, 100), 44100)


class Shift(PythonPlugin):
    """Delays by one frame, as ``NATIVE_SHIFT`` does: shows which dimension was taken for the frames."""

    def run(self, audio, sample_rate, buffer_size, reset):
        return np.pad(audio, ((0, 0), (1, 0)))[:, :-1] if audio.shape[1] else audio


SIDES = st.integers(0, 5)


@given(st.lists(st.one_of(st.none(), st.tuples(SIDES), st.tuples(SIDES, SIDES)), min_size=1, max_size=6))
def test_shapes_are_read_as_pedalboard_reads_them(shapes):
    """Whatever came before; None in ``shapes`` is a call of reset()."""
    sample_rate = 1000
    native = pedalboard.Delay(delay_seconds=1 / sample_rate, feedback=0, mix=1)
    ours = Shift()
    for shape in shapes:
        if shape is None:
            native.reset()
            ours.reset()
            continue
        audio = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
        results = []
        for plugin in (native, ours):
            try:
                results.append(plugin(audio, sample_rate))
            except RuntimeError:
                results.append(None)
        if audio.size == 0:
            continue  # for an empty square Pedalboard's answer depends on its memory
        assert (results[0] is None) == (results[1] is None), shape
        if results[0] is not None:
            np.testing.assert_array_equal(results[0], results[1])


CONTAINERS = {
    "Pedalboard": lambda plugin: pedalboard.Pedalboard([plugin]),
    "Chain": lambda plugin: pedalboard.Chain([pedalboard.Gain(0), plugin]),
    "Mix": lambda plugin: pedalboard.Mix([plugin, pedalboard.Gain(0)]),
    "Mix in Chain": lambda plugin: pedalboard.Chain([pedalboard.Mix([plugin])]),
    "process": lambda plugin: lambda audio, rate: pedalboard.process(audio, rate, [plugin]),
    "append": lambda plugin: _appended(plugin),
}


def _appended(plugin):
    board = pedalboard.Pedalboard()
    board.append(plugin)
    return board


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("keep", [True, False], ids=["kept", "dropped"])
def test_in_a_native_container_it_raises_and_never_passes_audio_through(container, keep):
    plugin = SeparatorPlugin(Bands())
    native = CONTAINERS[container](plugin)
    if not keep:
        del plugin
        gc.collect()
    # pedalboard.process is a function of its own, and says it in its own words.
    says = "same plugin instance" if container == "process" else "put it into a Board"
    for call in (native, getattr(native, "process", native)):
        with pytest.raises(RuntimeError, match=says):
            call(noise(2, 1000), 44100)


def test_native_containers_are_otherwise_as_they_were():
    audio = noise(2, 1000)
    gain = pedalboard.Gain()
    for native in (pedalboard.Pedalboard, pedalboard.Chain, pedalboard.Mix):
        with pytest.raises(RuntimeError, match="same plugin instance is being used multiple times"):
            native([gain, gain])(audio, 44100)
        with pytest.raises(TypeError):
            native([gain]).process(audio)
        out = native([gain]).process(input_array=audio, sample_rate=1000, reset=False)
        np.testing.assert_array_equal(out, gain(audio, 1000))


def test_it_is_a_plugin_with_the_separators_parameters_as_read_only_attributes():
    separator = Bands(width=5)
    plugin = SeparatorPlugin(separator)
    assert isinstance(plugin, pedalboard.Plugin)
    assert plugin.is_effect
    assert not plugin.is_instrument
    assert plugin.separator is separator
    assert (plugin.width, plugin.label) == (5, "plain")
    assert dict(plugin.parameters) == {"width": 5, "label": "plain"}
    assert {"width", "label", "separate"} <= set(dir(plugin))
    with pytest.raises(AttributeError, match="read-only"):
        plugin.width = 6
    with pytest.raises(AttributeError, match="read-only"):
        plugin.separator = Bands()
    with pytest.raises(AttributeError, match="no attribute 'depth'"):
        _ = plugin.depth
    with pytest.raises(TypeError):
        plugin.parameters["width"] = 6


def test_repr_is_pedalboards():
    assert re.fullmatch(
        r"<plugin_bridge.SeparatorPlugin bands width=5 label='x' at 0x[0-9a-f]+>",
        repr(SeparatorPlugin(Bands(width=5, label="x"))),
    )
    assert re.fullmatch(
        r"<plugin_bridge.SeparatorPlugin bands at 0x[0-9a-f]+>", repr(SeparatorPlugin(Bands()))
    )


def test_separate_gives_the_same_stems_by_name():
    plugin, audio = SeparatorPlugin(Bands()), noise(2, 3000)
    stems = plugin.separate(audio, 44100)
    assert stems.names == plugin.stem_names(2) == ("low", "high")
    np.testing.assert_array_equal(np.concatenate(list(stems.values())), plugin(audio, 44100))
    np.testing.assert_array_equal(plugin.separate(audio.T, 44100).array, stems.array)
    assert plugin.separate(audio[0], 44100)["low"].shape == (1, 3000)
    with pytest.raises(TypeError, match="int16"):
        plugin.separate(np.zeros((2, 100), np.int16), 44100)
    with pytest.raises(ValueError, match="sample_rate must be"):
        plugin.separate(audio, 0)


@pytest.mark.parametrize(
    "use",
    [
        len,
        list,
        reversed,
        lambda p: p[0],
        lambda p: pedalboard.Gain() in p,
        lambda p: p.append(pedalboard.Gain()),
        lambda p: p.insert(0, pedalboard.Gain()),
        lambda p: p.remove(pedalboard.Gain()),
        lambda p: p.__setitem__(0, pedalboard.Gain()),
        lambda p: p.__delitem__(0),
    ],
)
def test_it_is_not_a_list(use):
    plugin = SeparatorPlugin(Bands())
    assert plugin
    with pytest.raises(TypeError, match="one plug-in, not a list"):
        use(plugin)


@pytest.mark.parametrize("wrong", [None, "nmf", pedalboard.Gain(), Bands])
def test_only_separators_are_taken(wrong):
    with pytest.raises(TypeError, match=r"separators\.Separator"):
        SeparatorPlugin(wrong)


@pytest.mark.parametrize("make", [lambda: SeparatorPlugin(Bands()), lambda: StemRack(Bands(), remix=True)])
def test_a_typo_is_not_set_silently(make):
    plugin = make()
    for name in ("typo", "remx", "mix"):
        with pytest.raises(AttributeError, match=f"no attribute '{name}' to set"):
            setattr(plugin, name, 3)
        assert not hasattr(plugin, name)
    with pytest.raises(AttributeError):
        plugin.gives_stems = 3


def test_a_racks_remix_may_be_changed():
    rack = StemRack(Bands(), remix=True)
    assert rack(noise(1, 100)[0], 44100).shape == (100,)
    rack.remix = False
    assert rack(noise(1, 100)[0], 44100).shape == (2, 100)


def test_derived_classes_have_attributes_of_their_own():
    class Counting(SeparatorPlugin):
        def __init__(self, separator):
            super().__init__(separator)
            self.calls = 0

        def run(self, audio, sample_rate, buffer_size, reset):
            self.calls += 1
            return super().run(audio, sample_rate, buffer_size, reset)

    plugin = Counting(Bands())
    plugin(noise(1, 100), 44100)
    assert plugin.calls == 1
