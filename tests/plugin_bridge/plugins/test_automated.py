"""Parameters that follow curves and levels, against plain numpy."""

from __future__ import annotations

import copy

import numpy as np
import pedalboard as pb
import pytest
from scipy.signal import butter, sosfilt

from plugin_bridge import (
    Automated,
    Board,
    Curve,
    Follower,
    HostedPlugin,
    StemRack,
    StreamedChain,
    sidechains,
)
from plugin_bridge.errors import PluginError
from plugin_bridge.plugins.built_ins import built_ins
from plugin_bridge.plugins.mix import StemMix
from tests.plugin_bridge.plugins.vst3 import needs_vst3
from tests.plugin_bridge.splitters import Bands, noise

RATE = 44100
TO_PLAIN_NUMPY_DB = -120


def close(made, expected):
    error = np.abs(made.astype(np.float64) - expected).max() / np.abs(expected).max()
    assert 20 * np.log10(error + 1e-30) < TO_PLAIN_NUMPY_DB


def steps(frames, step=64):
    """The first frame of each frame's block."""
    return np.arange(frames) // step * step


def levels_db(key, step=64, attack=0.005, release=0.2):
    """The level of each frame's block, in plain numpy."""
    padded = np.pad(key.astype(np.float64), ((0, 0), (0, -key.shape[1] % step)))
    powers = np.mean(np.square(padded.reshape(len(key), -1, step)), axis=2).max(axis=0)
    power, levels = 0.0, []
    for new in powers:
        keeps = np.exp(-step / ((attack if new > power else release) * RATE))
        power = keeps * power + (1 - keeps) * new
        levels.append(max(power, 1e-12))
    return np.repeat(10 * np.log10(levels), step)[: key.shape[1]]


def bursts(channels, frames):
    audio = noise(channels, frames, seed=3)
    audio[:, : frames // 3] = 0
    return audio


def streamed(plugins, audio, size, **options):
    chain = StreamedChain(plugins, RATE, len(audio), **options)
    blocks = [chain.process(audio[:, at : at + size]) for at in range(0, audio.shape[1], size)]
    return np.concatenate([*blocks, chain.flush()], axis=1)


@pytest.mark.parametrize("step", [64, 1, 1000])
def test_a_gain_follows_a_curve(step):
    audio = noise(2, 20011)
    curve = Curve([0.05, 0.2, 0.3], [0, -12, 3])
    made = Automated(pb.Gain(), {"gain_db": curve}, step)(audio, RATE)
    decibels = np.interp(steps(20011, step) / RATE, curve.times_seconds, curve.values)
    close(made, audio * 10 ** (decibels / 20))


def test_a_held_curve_jumps_and_chooses():
    audio = noise(1, 30000)
    made = Automated(pb.Gain(), {"gain_db": Curve([0, 0.3], [-6, 6], "hold")})(audio, RATE)
    change = int(np.ceil(0.3 * RATE / 64)) * 64
    close(made, audio * np.where(np.arange(30000) < change, 10 ** (-6 / 20), 10 ** (6 / 20)))
    modes = Automated(pb.LadderFilter(), {"mode": Curve([0, 0.3], ["LPF12", "HPF24"], "hold")})
    plain = pb.LadderFilter(pb.LadderFilter.Mode.LPF12)(audio, RATE)
    np.testing.assert_array_equal(modes(audio, RATE)[:, :change], plain[:, :change])
    assert np.abs(modes(audio, RATE) - plain)[:, change:].max() > 0.01


def test_a_plugin_keeps_its_state_when_a_parameter_changes():
    audio = noise(2, 30000)
    still = Automated(pb.Reverb(), {"room_size": Curve([0], [0.5])})
    np.testing.assert_array_equal(still(audio, RATE), pb.Reverb(0.5)(audio, RATE, 64))
    moving = Automated(pb.HighpassFilter(), {"cutoff_frequency_hz": Curve([0, 0.5], [50, 5000])})
    by_hand, plugin = [], pb.HighpassFilter()
    for start in range(0, 30000, 64):
        plugin.cutoff_frequency_hz = float(np.interp(start / RATE, [0, 0.5], [50, 5000]))
        by_hand.append(plugin(audio[:, start : start + 64], RATE, reset=False))
    np.testing.assert_array_equal(moving(audio, RATE), np.concatenate(by_hand, axis=1))


def test_every_built_in_runs_the_same_whole_in_blocks_and_again():
    audio = noise(2, 9000)
    for name, row in built_ins().items():
        numbers = [key for key, value in row.defaults.items() if isinstance(value, float | int)]
        numbers = [key for key in numbers if not isinstance(row.defaults[key], bool)]
        if name in ("PitchShift", "GSMFullRateCompressor", "Resample") or not numbers:
            continue
        key = numbers[0]
        values = [row.defaults[key] * scale for scale in (1, 1.5)]
        try:
            plugin = Automated(row.create({}), {key: Curve([0, 0.2], values)})
        except PluginError:
            plugin = Automated(row.create({}), {key: Curve([0, 0.2], values[:1] * 2)})
        made = plugin(audio, RATE)
        assert made.shape == audio.shape, name
        assert np.isfinite(made).all(), name
        if name != "Bitcrush":
            np.testing.assert_array_equal(streamed([plugin], audio, 1111), made, name)
            np.testing.assert_array_equal(copy.deepcopy(plugin)(audio, RATE), made, name)


def test_music_ducks_under_a_voice_in_a_rack():
    audio = bursts(2, 30000)
    duck = Automated(pb.Gain(), {"gain_db": Follower([-50, -20], [0, -12], stem="high")})
    made = StemRack(Bands(), {"low": [duck]}, remix=True)(audio, RATE)
    stems = Bands().separate(audio, RATE)
    decibels = np.interp(levels_db(stems["high"]), [-50, -20], [0, -12])
    expected = stems["low"].astype(np.float64) * 10 ** (decibels / 20) + stems["high"]
    close(made, expected)
    assert decibels.min() < -3


def test_music_ducks_under_a_track_whole_and_in_blocks():
    music, voice = noise(2, 30000), bursts(1, 20000)
    duck = Automated(
        pb.Gain(), {"gain_db": Follower([-50, -20], [0, -12], track="Voice", attack_seconds=0.02)}
    )
    with sidechains(tracks={"Voice": voice}):
        made = Board([duck])(music, RATE)
    padded = np.pad(voice, ((0, 0), (0, 10000)))
    decibels = np.interp(levels_db(padded, attack=0.02), [-50, -20], [0, -12])
    close(made, music * 10 ** (decibels / 20))
    np.testing.assert_array_equal(streamed([duck], music, 5000, offered={"tracks": {"Voice": voice}}), made)
    says = "no track 'Voice' to listen to here; there are: Vocals; see"
    with sidechains(tracks={"Vocals": voice}), pytest.raises(ValueError, match=says):
        duck(music, RATE)
    with pytest.raises(ValueError, match="no track 'Voice' to listen to here; there are: none"):
        duck(music, RATE)


def test_a_de_esser_listens_to_a_band_of_its_own_input():
    audio = bursts(2, 30000)
    follower = Follower([-40, -20], [0, -15], low_hz=4000, high_hz=9000, release_seconds=0.05)
    made = Automated(pb.HighShelfFilter(5000), {"gain_db": follower})(audio, RATE)
    band = audio.astype(np.float64)
    for kind, frequency in (("highpass", 4000), ("lowpass", 9000)):
        band = sosfilt(butter(2, frequency, kind, fs=RATE, output="sos"), band, axis=1)
    decibels = np.interp(levels_db(band, release=0.05), [-40, -20], [0, -15])
    shelf, blocks = pb.HighShelfFilter(5000), []
    for start in range(0, 30000, 64):
        shelf.gain_db = float(decibels[start])
        blocks.append(shelf(audio[:, start : start + 64], RATE, reset=False))
    close(made, np.concatenate(blocks, axis=1))
    assert decibels.min() < -5


def test_blocks_of_any_length_and_short_signals():
    audio = noise(2, 5000)
    plugin = Automated(pb.Gain(), {"gain_db": Curve([0, 0.1], [0, -20])})
    whole = plugin(audio, RATE)
    plugin.reset()
    blocks = [plugin(block, RATE, reset=False) for block in np.split(audio, [100, 101, 700, 4999], axis=1)]
    assert [block.shape[1] for block in blocks] == [64, 0, 576, 4352, 0]
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), whole[:, :4992])
    for frames in (0, 1, 63, 64, 65):
        np.testing.assert_array_equal(plugin(audio[:, :frames], RATE), whole[:, :frames])
    np.testing.assert_array_equal(plugin(audio[0], RATE), whole[0])


def test_what_cannot_be_is_said():
    curve = Curve([0], [1])
    for plugin, says in (
        (pb.PitchShift(), "PitchShift cannot be automated"),
        (pb.Chain([]), "automate the plug-ins inside"),
        (StemMix([[Bands()]]), "StemMix cannot be automated"),
        (StemRack(Bands()), "StemRack cannot be automated"),
    ):
        with pytest.raises(TypeError, match=says):
            Automated(plugin, {"x": curve})
    with pytest.raises(PluginError, match=r"no parameter 'gain' \(did you mean 'gain_db'"):
        Automated(pb.Gain(), {"gain": curve})
    with pytest.raises(PluginError, match=r"ratio cannot be 0\.5"):
        Automated(pb.Compressor(), {"ratio": Curve([0, 1], [2, 0.5])})
    with pytest.raises(ValueError, match="at least one parameter"):
        Automated(pb.Gain(), {})
    with pytest.raises(TypeError, match="a Curve or a Follower, not int"):
        Automated(pb.Gain(), {"gain_db": 3})
    with pytest.raises(ValueError, match="step_frames must be a whole number from 1 to 65536, not 0"):
        Automated(pb.Gain(), {"gain_db": curve}, 0)
    for make, says in (
        (lambda: Curve([0, 0], [1, 2]), "times_seconds must rise, and 0 does not follow 0"),
        (lambda: Curve([0], [1, 2]), "belong together"),
        (lambda: Curve([0], ["on"]), "values must be numbers, and 'on' is none"),
        (lambda: Curve([np.nan], [1]), "times_seconds must be numbers"),
        (lambda: Curve("0", [1]), "times_seconds must be a list of numbers"),
        (lambda: Curve([0], [1], "smooth"), "shape must be linear or hold, not 'smooth'"),
        (lambda: Follower([0, -9], [1, 2]), "levels_db must rise"),
        (lambda: Follower([0], [1], stem="a", track="b"), "not both"),
        (lambda: Follower([0], [1], attack_seconds=-1), "attack_seconds must be a number from 0 to 60"),
        (lambda: Follower([0], [1], low_hz=900, high_hz=300), "low_hz must lie below high_hz"),
    ):
        with pytest.raises(ValueError, match=says):
            make()


@needs_vst3("ZamCompX2")
def test_a_hosted_plugin_follows_a_curve():
    audio = noise(2, 12000)
    still = Automated(HostedPlugin("ZamCompX2"), {"threshold_db": Curve([0], [-40])}, 512)
    np.testing.assert_array_equal(
        still(audio, RATE), HostedPlugin("ZamCompX2", {"threshold_db": -40})(audio, RATE, 512)
    )
    moving = Automated(HostedPlugin("ZamCompX2"), {"threshold_db": Curve([0, 0.2], [0, -60])}, 512)
    made = moving(audio, RATE)
    assert np.sqrt(np.mean(made[:, 10000:] ** 2)) < 0.5 * np.sqrt(np.mean(made[:, :2000] ** 2))
    np.testing.assert_array_equal(moving(audio, RATE), made)
    with pytest.raises(PluginError, match=r"threshold_db must be a number from -80 to 0 dB, not 3"):
        Automated(HostedPlugin("ZamCompX2"), {"threshold_db": Curve([0], [3])})
