"""Racks change only what they are told to."""

from __future__ import annotations

import re

import numpy as np
import pedalboard
import pytest
from pedalboard import (
    Gain,
    HighpassFilter,
    Invert,
    MP3Compressor,
    Pedalboard,
    Reverb,
)

from plugin_bridge import Board, SeparatorPlugin, StemRack
from tests.plugin_bridge.splitters import Bands, Shares, noise

ROUNDING = 1e-6
"""Of signals around 1: sums of float32."""
SUM_DB = -120


def level_db(error, reference):
    return 20 * np.log10(np.sqrt(np.mean(np.square(error))) / np.sqrt(np.mean(np.square(reference))) + 1e-30)


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
