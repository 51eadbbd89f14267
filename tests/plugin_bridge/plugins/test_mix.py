"""Parallel paths of anything: summed, aligned to the sample, whatever stands in them."""

from __future__ import annotations

import numpy as np
import pedalboard as pb
import pytest

from plugin_bridge import Board, HostedPlugin, SeparatorPlugin, StemMix, StemRack, StreamedChain
from plugin_bridge.plugins.python_plugin import PythonPlugin
from tests.plugin_bridge.plugins.vst3 import needs_vst3
from tests.plugin_bridge.splitters import Bands, noise

RATE = 44100
TO_PLAIN_NUMPY_DB = -120


class Late(PythonPlugin):
    """Holds the first 300 frames of a signal back, as a plug-in with latency does, and compensates."""

    streams = True

    def run(self, audio, sample_rate, buffer_size, reset):
        if reset:
            self.left = 0
            return audio.copy()
        skipped = min(getattr(self, "left", 300), audio.shape[1])
        self.held = np.concatenate([getattr(self, "held", audio[:, :0]), audio], axis=1)
        self.left = getattr(self, "left", 300) - skipped
        ready, self.held = self.held[:, : audio.shape[1] - skipped], self.held[:, audio.shape[1] - skipped :]
        return ready


def streamed(plugins, audio, size):
    chain = StreamedChain(plugins, RATE, len(audio))
    blocks = [chain.process(audio[:, at : at + size]) for at in range(0, audio.shape[1], size)]
    return np.concatenate([*blocks, chain.flush()], axis=1)


def decibels(error, reference):
    return 20 * np.log10(np.abs(error).max() / np.abs(reference).max() + 1e-30)


def test_native_paths_give_the_bits_of_pedalboards_mix():
    audio = noise(2, 30000)

    def paths():
        return [None, pb.Chain([pb.Delay(0.01), pb.Gain(-3)]), pb.Reverb(0.4)]

    np.testing.assert_array_equal(StemMix(paths())(audio, RATE), pb.Mix(paths())(audio, RATE))
    np.testing.assert_array_equal(Board([StemMix(paths())])(audio, RATE), pb.Mix(paths())(audio, RATE))
    np.testing.assert_array_equal(StemMix([])(audio, RATE), np.zeros_like(audio))


def test_separators_racks_boards_and_mixes_stand_in_paths():
    audio = noise(2, 20000)
    rack = StemRack(Bands(), {"high": [pb.Gain(-6)]}, remix=True)
    mix = StemMix([rack, [pb.Invert()], StemMix([None, Board([pb.Gain(6)])])])
    high = Bands().separate(audio, RATE)["high"].astype(np.float64)
    low = Bands().separate(audio, RATE)["low"].astype(np.float64)
    expected = low + 10 ** (-6 / 20) * high - audio + audio + 10 ** (6 / 20) * audio
    assert decibels(mix(audio, RATE) - expected, expected) < TO_PLAIN_NUMPY_DB
    assert StemMix([SeparatorPlugin(Bands()), SeparatorPlugin(Bands(width=3))])(audio, RATE).shape[0] == 4
    # Behind a separator each stem goes through it on its own.
    np.testing.assert_array_equal(
        Board([Bands(), StemMix([None, [pb.Invert()]])])(audio, RATE), np.zeros((4, 20000), np.float32)
    )


def test_latency_in_one_path_moves_nothing_whole_or_in_blocks():
    audio = noise(2, 20000)
    for late in (lambda: [Late()], lambda: [pb.MP3Compressor(2), Late()]):
        alone = Board(late())(audio, RATE) if len(late()) > 1 else audio
        made = StemMix([[pb.Invert()], late()])(audio, RATE)
        assert decibels(made - (alone - audio), audio) < TO_PLAIN_NUMPY_DB
    np.testing.assert_array_equal(
        streamed([StemMix([[pb.Invert()], [Late()]])], audio, 777), np.zeros_like(audio)
    )
    mix = StemMix([[pb.Invert()], [Late()]])
    blocks = [mix(block, RATE, reset=False) for block in np.split(audio, 10, axis=1)]
    assert [block.shape[1] for block in blocks] == [1700, *[2000] * 9]
    assert not np.concatenate(blocks, axis=1).any()


def test_what_cannot_be_is_said():
    audio, gain = noise(2, 900), pb.Gain()
    with pytest.raises(ValueError, match=r"paths of a mix give equally many channels, not 2, 4; .* remixes"):
        StemMix([None, [Bands()]])(audio, RATE)
    with pytest.raises(RuntimeError, match="used twice"):
        StemMix([gain, [gain]])
    with pytest.raises(RuntimeError, match="used twice"):
        Board([gain, StemMix([[gain], None])])(audio, RATE)
    with pytest.raises(TypeError, match="not str"):
        StemMix(["gain"])
    with pytest.raises(RuntimeError, match="cannot run inside a native Mix"):
        pb.Mix([mix := StemMix([None])])(audio, RATE)
    assert mix.streams
    assert not StemMix([[Bands()]]).streams
    with pytest.raises(TypeError, match="StemMix works on whole signals"):
        StreamedChain([StemMix([[Bands()]])], RATE, 2)


def test_a_streamed_chain_runs_separators_at_the_end_if_it_may():
    audio = noise(2, 30000)
    plugins = [
        pb.HighpassFilter(99),
        StemMix([None, StemRack(Bands(), {"low": [pb.Gain(3)]}, True)]),
        Bands(),
    ]
    chain = StreamedChain(plugins, RATE, 2, whole_signals=True)
    assert chain.process(audio[:, :20000]).shape == (2, 0)
    chain.process(audio[:, 20000:])
    np.testing.assert_array_equal(chain.flush(), Board(plugins)(audio, RATE))


@needs_vst3("ZaMaximX2", "ZamCompX2")
def test_hosted_plugins_are_aligned_to_the_sample():
    audio = np.zeros((2, 30000), np.float32)
    audio[:, 7000] = 0.25
    late = HostedPlugin("ZaMaximX2")
    wet = late(audio, RATE)
    made = StemMix([None, [late]])(audio, RATE)
    assert decibels(made - (audio + wet), audio) < TO_PLAIN_NUMPY_DB
    assert np.argmax(np.abs(made[0])) == 7000
    np.testing.assert_array_equal(streamed([StemMix([None, [late]])], audio, 5000), made)


@needs_vst3("ZamCompX2")
def test_parallel_compression_with_a_third_party_compressor():
    audio = noise(2, 40000)
    values = {"threshold_db": -40, "ratio": 10, "makeup_db": 6}
    mix = StemMix([None, [HostedPlugin("ZamCompX2", values), pb.Gain(-6)]])
    wet = HostedPlugin("ZamCompX2", values)(audio, RATE).astype(np.float64)
    expected = audio + 10 ** (-6 / 20) * wet
    assert decibels(mix(audio, RATE) - expected, expected) < TO_PLAIN_NUMPY_DB
    assert decibels(mix(audio, RATE) - audio, audio) > -20
