"""A chain over blocks gives what one call over the whole signal gives, bit by bit."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pedalboard as pb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugin_bridge import Board, HostedPlugin, SeparatorPlugin, StemRack, StreamedChain
from plugin_bridge.plugins import streamed_chain as module
from plugin_bridge.plugins.block_stages import BLOCK_FRAMES, BlockStage, SegmentStage
from plugin_bridge.plugins.python_plugin import PythonPlugin
from separators import AudioError
from tests.plugin_bridge.plugins.vst3 import needs_vst3
from tests.plugin_bridge.splitters import Bands, noise

RATE = 44100

CHAINS = {
    "empty": list,
    "no latency": lambda: [pb.HighpassFilter(40), pb.Compressor(-20, 4), pb.Reverb(0.4), pb.Limiter(-3)],
    "modulation": lambda: [
        pb.Chorus(),
        pb.Phaser(),
        pb.Delay(0.05, 0.3),
        pb.LadderFilter(),
        pb.NoiseGate(-30),
    ],
    "MP3": lambda: [pb.MP3Compressor()],
    "pitch": lambda: [pb.PitchShift(3)],
    "GSM": lambda: [pb.GSMFullRateCompressor()],
    "resample": lambda: [pb.Resample(8000), pb.BrickwallLimiter(true_peak=True)],
    "latencies in a row": lambda: [pb.PitchShift(3), pb.MP3Compressor(), pb.PitchShift(-2), pb.Reverb()],
    "nested": lambda: [Board([pb.MP3Compressor(), pb.Chain([pb.PitchShift(1), pb.HighpassFilter(99)])])],
    "mix": lambda: [pb.Mix([pb.Gain(-6), pb.Chain([]), None, pb.Reverb()]), pb.Limiter()],
    "empty mix": lambda: [pb.Gain(1), pb.Mix([])],
    "mix with pitch": lambda: [pb.Mix([pb.PitchShift(5), pb.Gain(-6)])],
}


def mix_with_latencies():
    branches = [pb.BrickwallLimiter(), pb.Gain(-6), pb.Chain([pb.MP3Compressor(), pb.Reverb()])]
    return [pb.Gain(3), pb.Chain([pb.Mix(branches)]), pb.Limiter()]


def streamed(plugins, audio, sizes, rate=RATE):
    """``audio`` through a chain in blocks of ``sizes``, again and again."""
    chain, pieces, position, turn = StreamedChain(plugins, rate, len(audio)), [], 0, 0
    while position < audio.shape[1]:
        size = sizes[turn % len(sizes)]
        pieces.append(chain.process(audio[:, position : position + size]))
        position, turn = position + size, turn + 1
    return np.concatenate([*pieces, chain.flush()], axis=1)


def whole(plugins, audio, rate=RATE):
    return Board(plugins).run(audio, rate, BLOCK_FRAMES, True)


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize(
    ("channels", "frames"), [(1, 0), (2, 1), (2, 2), (1, 3), (1, 8191), (2, 8192), (1, 8193), (2, 40000)]
)
def test_blocks_give_the_bits_of_one_call(chain, channels, frames):
    audio = noise(channels, frames)
    expected = whole(CHAINS[chain](), audio)
    out = streamed(CHAINS[chain](), audio, [777, 13000, 3])
    np.testing.assert_array_equal(out, expected)
    assert out.dtype == np.float32


@pytest.mark.parametrize("frames", [8191, 40000])
def test_a_mix_with_latencies_gives_the_bits_of_one_call(frames):
    audio = noise(2, frames)
    expected = whole(mix_with_latencies(), audio)
    np.testing.assert_array_equal(streamed(mix_with_latencies(), audio, [777, 13000]), expected)


@pytest.mark.parametrize("frames", [1, 2, 500, 20000])
def test_a_mix_is_the_sum_of_its_branches(frames):
    """Of a few frames too, where Pedalboard's own Mix reads memory that it never wrote."""

    def branches():
        return [pb.BrickwallLimiter(), pb.Gain(-6), pb.Chain([pb.MP3Compressor(), pb.Reverb()])]

    audio = noise(2, frames)
    expected = np.zeros_like(audio)
    for branch in branches():
        expected += whole([branch], audio)
    np.testing.assert_array_equal(streamed([pb.Mix(branches())], audio, [300]), expected)


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from(["no latency", "MP3", "mix", "resample"]),
    st.integers(0, 60000),
    st.lists(st.integers(1, 30000), min_size=1, max_size=5),
)
def test_the_sizes_of_the_blocks_do_not_matter(chain, frames, sizes):
    audio = noise(2, frames)
    np.testing.assert_array_equal(streamed(CHAINS[chain](), audio, sizes), whole(CHAINS[chain](), audio))


@pytest.mark.parametrize("rate", [32000, 48000])
def test_other_sample_rates_and_more_channels(rate):
    audio = noise(6, 20000)
    plugins = CHAINS["no latency"]
    np.testing.assert_array_equal(streamed(plugins(), audio, [4096], rate), whole(plugins(), audio, rate))


def test_an_impulse_stays_where_it_is():
    audio = np.zeros((1, 30000), np.float32)
    audio[0, 12345] = 0.9
    for chain in (CHAINS["MP3"], CHAINS["resample"], mix_with_latencies):
        out = streamed(chain(), audio, [5000])
        assert abs(int(np.abs(out).argmax()) - 12345) <= 1


def test_plugins_start_clean_and_blocks_are_not_modified():
    plugins, audio = CHAINS["no latency"](), noise(2, 20000)
    first = streamed(plugins, audio, [6000])
    before = audio.copy()
    np.testing.assert_array_equal(streamed(plugins, audio, [6000]), first)
    np.testing.assert_array_equal(audio, before)
    chain = StreamedChain([], RATE, 2)
    assert not np.may_share_memory(chain.process(audio), audio)


def test_memory_does_not_grow_with_the_signal():
    chain, block = StreamedChain(mix_with_latencies(), RATE, 2), noise(2, 20000)
    given = 0
    tracemalloc.start()
    try:
        for _ in range(10):
            given += chain.process(block).shape[1]
        early = tracemalloc.get_traced_memory()[1]
        for _ in range(60):
            given += chain.process(block).shape[1]
        late = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    given += chain.flush().shape[1]
    assert given == 70 * 20000
    assert late < early + 2 * block.nbytes


def test_pitch_shifts_of_long_signals_are_cut_into_segments_and_faded(monkeypatch):
    """A steady tone stays a steady tone an octave higher: no gap, no click, no change of length."""
    monkeypatch.setattr(module, "SEGMENT_SECONDS", 4)
    monkeypatch.setattr(module, "LEAD_SECONDS", 1)
    frames = 11 * RATE
    tone = (0.3 * np.sin(2 * np.pi * 441 * np.arange(frames) / RATE)).astype(np.float32)[np.newaxis]
    chain = StreamedChain([pb.PitchShift(12)], RATE, 1)
    pieces = [chain.process(tone[:, i : i + 30000]) for i in range(0, frames, 30000)]
    assert sum(piece.shape[1] for piece in pieces) == 8 * RATE  # two segments before the end
    out = np.concatenate([*pieces, chain.flush()], axis=1)[0]
    assert len(out) == frames
    spectrum = np.abs(np.fft.rfft(out * np.hanning(frames)))
    assert abs(spectrum.argmax() * RATE / frames / 882 - 1) < 0.01
    middle = out[RATE : 10 * RATE].reshape(-1, 2205)
    loudness = np.sqrt(np.mean(middle**2, axis=1))
    quiet = loudness < 0.5 * np.median(loudness)
    assert quiet.sum() <= 4  # only where two phases meet in a cross-fade, 50 ms each
    assert np.abs(np.diff(out[RATE : 10 * RATE])).max() < 2 * np.pi * 882 / RATE * 0.5


def test_segments_are_faded_into_each_other():
    calls = []

    def run(audio):
        calls.append(audio.shape[1])
        return audio + np.float32(len(calls) - 1)  # each call adds an offset of its own

    stage = SegmentStage(run, 1, segment=100, lead=20, fade=10)
    audio = np.zeros((1, 330), np.float32)
    out = np.concatenate(
        [stage.process(audio[:, :200]), stage.process(audio[:, 200:]), stage.flush()], axis=1
    )
    assert calls == [120, 140, 150]
    assert out.shape == (1, 330)
    np.testing.assert_allclose(out[0, [0, 99, 110, 199, 210, 329]], [0, 0, 1, 1, 2, 2])
    np.testing.assert_allclose(out[0, 100:110], (np.arange(10) + 0.5) / 10, rtol=1e-6)


@given(
    frames=st.integers(0, 300),
    latency=st.integers(0, 120),
    size=st.integers(1, 64),
    cuts=st.lists(st.integers(1, 100), min_size=1, max_size=4),
)
def test_any_latency_is_made_up_for(frames, latency, size, cuts):
    seen = []

    def run(block):
        """Holds ``latency`` frames back."""
        had = sum(seen)
        held = np.concatenate([np.zeros((1, 0), np.float32), *store, block], axis=1)
        seen.append(block.shape[1])
        ready = max(0, had + block.shape[1] - latency) - max(0, had - latency)
        store[:] = [held[:, ready:]]
        return held[:, :ready]

    store: list = []
    stage = BlockStage(run, 1, patience_frames=1000, size=size)
    audio = np.arange(1, frames + 1, dtype=np.float32)[np.newaxis]
    out, position, turn = [], 0, 0
    while position < frames:
        cut = cuts[turn % len(cuts)]
        out.append(stage.process(audio[:, position : position + cut]))
        position, turn = position + cut, turn + 1
    np.testing.assert_array_equal(np.concatenate([*out, stage.flush()], axis=1), audio)


def test_a_plugin_that_never_gives_anything_back_ends_with_an_error():
    stage = BlockStage(lambda block: block[:, :0], 1, patience_frames=10000)
    stage.process(np.zeros((1, 100), np.float32))
    with pytest.raises(RuntimeError, match="held back 100 frames for ever"):
        stage.flush()


@pytest.mark.parametrize(
    "plugin",
    [
        lambda: SeparatorPlugin(Bands()),
        lambda: StemRack(Bands(), remix=True),
        lambda: Board([pb.Gain(), Bands()]),
    ],
)
def test_separators_cannot_be_streamed(plugin):
    with pytest.raises(TypeError, match="works on whole signals"):
        StreamedChain([pb.Gain(), plugin()], RATE, 2)


def test_what_a_derived_board_overrides_is_not_skipped():
    class Louder(Board):
        def run(self, audio, sample_rate, buffer_size, reset):
            return 2 * super().run(audio, sample_rate, buffer_size, reset)

    class LouderStream(PythonPlugin):
        streams = True

        def run(self, audio, sample_rate, buffer_size, reset):
            return audio

        def __call__(self, input_array, sample_rate, buffer_size=8192, reset=True):
            return 2 * super().__call__(input_array, sample_rate, buffer_size, reset)

    with pytest.raises(TypeError, match="Louder works on whole signals"):
        StreamedChain([Board([Louder([pb.Gain()])])], RATE, 2)
    for audio in (noise(2, 20000), noise(2, 2)):
        np.testing.assert_array_equal(streamed([Board([LouderStream()])], audio, [3000]), 2 * audio)


def test_a_board_held_by_a_name_in_a_native_container():
    board = Board([pb.HighpassFilter(99), pb.Reverb(0.3)])
    chain, audio = [pb.Chain([pb.Mix([board, pb.Gain(-6)])])], noise(2, 20000)
    np.testing.assert_array_equal(streamed(chain, audio, [777, 13000]), whole(chain, audio))


def test_python_overrides_and_python_in_native_containers_are_refused():
    class Backwards(pb.Pedalboard):
        def process(self, input_array, sample_rate, buffer_size=8192, reset=True):
            return input_array[:, ::-1]

    with pytest.raises(TypeError, match="Backwards"):
        StreamedChain([Backwards()], RATE, 2)
    with pytest.raises(RuntimeError, match="cannot run inside a native Mix"):
        StreamedChain([pb.Mix([separator := SeparatorPlugin(Bands())])], RATE, 2)
    assert separator
    gain = pb.Gain()
    with pytest.raises(RuntimeError, match="used twice"):
        StreamedChain([gain, gain], RATE, 2)


@pytest.mark.parametrize(
    "block",
    [
        np.zeros((1, 10), np.float32),
        np.zeros(10, np.float32),
        np.zeros((2, 10)),
        np.zeros((2, 2, 2), np.float32),
    ],
    ids=lambda block: f"{block.dtype} {block.shape}",
)
def test_wrong_blocks_are_refused(block):
    with pytest.raises(AudioError, match=r"float32 of shape \(2, frames\)"):
        StreamedChain([pb.Gain()], RATE, 2).process(block)


def test_one_chain_serves_one_signal():
    chain = StreamedChain([pb.Gain()], RATE, 1)
    assert chain.flush().shape == (1, 0)
    with pytest.raises(RuntimeError, match="flushed"):
        chain.process(np.zeros((1, 10), np.float32))
    with pytest.raises(ValueError, match="sample_rate"):
        StreamedChain([], 0, 1)


def test_a_python_plugin_that_streams_gets_its_blocks_in_order():
    class Negative(PythonPlugin):
        streams = True

        def run(self, audio, sample_rate, buffer_size, reset):
            assert not reset
            return -audio

    audio = noise(2, 20000)
    out = streamed([pb.Gain(0), Board([Negative()]), pb.Invert()], audio, [3000])
    np.testing.assert_array_equal(out, audio)


@needs_vst3("ZaMaximX2", "ZamCompX2")
def test_third_party_plugins_with_latency_between_native_ones():
    def plugins():
        return [
            pb.HighpassFilter(50),
            HostedPlugin("ZaMaximX2", {"threshold_db": -20}),
            Board([HostedPlugin("ZamCompX2", {"threshold_db": -30}), pb.MP3Compressor()]),
        ]

    made = plugins()
    for channels, frames in ((2, 50000), (1, 3000)):
        audio = noise(channels, frames)
        np.testing.assert_array_equal(streamed(made, audio, [777, 13000]), whole(made, audio))
