"""Instruments in a child process: notes to the sample, blocks that go on, MIDI files, SoundFonts, faults."""

import mido
import numpy as np
import pytest

from plugin_bridge import Board
from plugin_bridge.errors import PluginError
from plugin_bridge.plugins.instruments import HostedInstrument, SoundFontInstrument, timed
from tests.plugin_bridge.plugins.sound_fonts import sine_font
from tests.plugin_bridge.splitters import noise

RATE = 44100
ONSET, END = 0.5, 1.0


def note(pitch=69, start=ONSET, end=END, velocity=127, channel=0):
    return [
        mido.Message("note_on", note=pitch, velocity=velocity, channel=channel, time=start),
        mido.Message("note_off", note=pitch, channel=channel, time=end),
    ]


def frequency(audio, rate=RATE):
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(len(audio)), 1 << 18))
    return np.argmax(spectrum) * rate / (1 << 18)


@pytest.fixture
def synth(own_plugins):
    return HostedInstrument("SineSynth", {"level": 0.5}, plugin_paths=[own_plugins])


def sine(start, end, frames, rate=RATE, pitch=69, gain=0.5):
    """What the synthesiser plays, computed here."""
    first, last = round(start * rate), round(end * rate)
    audio = np.zeros((2, frames))
    audio[:, first:last] = gain * np.sin(
        2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * np.arange(last - first) / rate
    )
    return audio


@pytest.mark.parametrize("rate", [44100, 48000])
def test_notes_sound_at_their_sample_in_their_pitch(synth, rate):
    out = synth([*note(), *note(81, 1.2, 1.25)], 2.0, rate)
    assert out.shape == (2, 2 * rate)
    assert out.dtype == np.float32
    expected = sine(ONSET, END, 2 * rate, rate) + sine(1.2, 1.25, 2 * rate, rate, 81)
    assert np.abs(out - expected).max() < 2e-3  # the synthesiser's phase is a float32
    assert np.flatnonzero(out[0])[[0, -1]] == pytest.approx([ONSET * rate + 1, 1.25 * rate - 1], abs=1)


def test_calls_that_continue_are_one_long_call(synth):
    notes = note(start=0.4, end=1.1)
    whole = synth(notes, 1.5, RATE)
    first = synth(notes[:1], 0.75, RATE)
    rest = [notes[1].copy(time=1.1 - 0.75)]
    second = synth(rest, 0.75, RATE, reset=False)
    np.testing.assert_allclose(np.concatenate([first, second], axis=1), whole, atol=1e-6)
    assert not synth([], 0.5, RATE).any()  # reset: notes stop


def test_a_long_track_is_played_block_by_block_and_times_do_not_drift(synth):
    notes = [message for beat in range(100) for message in note(69, beat / 3, beat / 3 + 0.1)]
    blocks = list(synth.blocks(timed(notes), RATE, 34 * RATE))
    assert len(blocks) > 10
    out = np.concatenate(blocks, axis=1)
    assert out.shape == (2, 34 * RATE)
    starts = np.flatnonzero((out[0, 1:] != 0) & (out[0, :-1] == 0))
    clear = starts[np.diff(starts, prepend=-RATE) > 0.2 * RATE]
    np.testing.assert_allclose(clear, [round(beat / 3 * RATE) for beat in range(100)], atol=1)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_as_many_channels_as_are_asked_for(synth, channels):
    out = synth(note(), 1.0, RATE, channels)
    assert out.shape == (channels, RATE)
    np.testing.assert_array_equal(out[0], synth(note(), 1.0, RATE)[0])
    assert not out[2:].any()


def test_parameters_and_states(synth, own_plugins):
    synth.level = 0.25
    assert np.abs(synth(note(), 1.0, RATE)).max() == pytest.approx(0.25, abs=1e-4)
    again = HostedInstrument("SineSynth", state=synth.preset_data, plugin_paths=[own_plugins])
    np.testing.assert_array_equal(again(note(), 1.0, RATE), synth(note(), 1.0, RATE))
    again.close()
    np.testing.assert_array_equal(again(note(), 1.0, RATE), synth(note(), 1.0, RATE))


def test_forms_of_messages(synth):
    expected = synth(note(), 1.5, RATE)
    tuples = [(bytes([0x90, 69, 127]), ONSET), (bytes([0x80, 69, 0]), END)]
    np.testing.assert_array_equal(synth(tuples, 1.5, RATE), expected)
    file = mido.MidiFile(ticks_per_beat=480)
    file.tracks.append(mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(60))]))
    file.tracks.append(
        mido.MidiTrack(
            [
                mido.Message("note_on", note=69, velocity=127, time=240),
                mido.Message("note_off", note=69, time=240),
            ]
        )
    )
    np.testing.assert_array_equal(synth(file, 1.5, RATE), expected)
    for wrong in ([1], ["note"], [mido.MetaMessage("set_tempo")]):
        with pytest.raises(TypeError):
            synth(wrong, 1.0, RATE)
    with pytest.raises(ValueError, match="absolute seconds"):
        synth([(b"\x90\x45\x7f", -1.0)], 1.0, RATE)


def test_no_audio_goes_into_an_instrument(synth):
    with pytest.raises(ValueError, match="is an instrument, which takes MIDI messages and no audio"):
        Board([synth])(noise(2, 1000), RATE)
    assert synth.is_instrument
    assert not synth.is_effect


def test_an_effect_is_no_instrument(own_plugins):
    with pytest.raises(PluginError, match="FaultyGain: it is an effect, which plays no notes"):
        HostedInstrument("FaultyGain", plugin_paths=[own_plugins])


# -- SoundFonts ---------------------------------------------------------------------------------


@pytest.fixture
def font(tmp_path):
    pytest.importorskip(
        "fluidsynth", reason="needs pyfluidsynth and FluidSynth's library", exc_type=ImportError
    )
    (tmp_path / "sine.sf2").write_bytes(sine_font())
    return SoundFontInstrument(tmp_path / "sine.sf2")


@pytest.mark.parametrize("channel", [0, 9])
def test_a_soundfont_plays_notes(font, channel):
    out = font(note(channel=channel), 2.0, RATE)
    assert out.shape == (2, 2 * RATE)
    loud = np.flatnonzero(np.abs(out[0]) > 0.1 * np.abs(out).max())
    assert loud[0] == pytest.approx(ONSET * RATE, abs=200)
    assert frequency(out[0, round(0.6 * RATE) : round(0.9 * RATE)]) == pytest.approx(440, rel=1e-3)
    octave = font(note(81), 2.0, RATE)
    assert frequency(octave[0, round(0.6 * RATE) : round(0.9 * RATE)]) == pytest.approx(880, rel=1e-3)


def test_a_soundfont_follows_controllers_and_is_deterministic(font):
    def level(messages):
        return np.abs(font([*messages, *note()], 1.0, RATE)).max()

    quiet = level([mido.Message("control_change", control=7, value=40, time=0)])
    assert quiet < 0.3 * level([])
    left = font([mido.Message("control_change", control=10, value=0, time=0), *note()], 1.0, RATE)
    assert np.abs(left[1]).max() < 0.2 * np.abs(left[0]).max()
    np.testing.assert_array_equal(font(note(), 1.0, RATE), font(note(), 1.0, RATE))


def test_what_is_no_soundfont(font, tmp_path):
    (tmp_path / "bad.sf2").write_bytes(b"garbage")
    with pytest.raises(PluginError, match="it is no SoundFont that FluidSynth can read"):
        SoundFontInstrument(tmp_path / "bad.sf2")
    with pytest.raises(PluginError, match="there is no such SoundFont"):
        SoundFontInstrument(tmp_path / "missing.sf2")
