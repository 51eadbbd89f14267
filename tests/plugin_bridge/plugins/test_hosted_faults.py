"""Plug-ins that crash, hang, eat memory or give back NaN; more channels; states and preset files."""

import base64
import struct
import time

import numpy as np
import pytest

from plugin_bridge import Board, HostedPlugin, vst_presets
from plugin_bridge.errors import PluginError
from plugin_bridge.plugins.built_ins import get
from separators.errors import SeparatorWarning
from tests.plugin_bridge.plugins.vst3 import needs_vst3
from tests.plugin_bridge.splitters import Shares, noise

RATE = 44100
NONE, CRASH, HANG, EAT, NAN = range(5)


@pytest.fixture
def gain(own_plugins):
    """A new stereo plug-in with these arguments."""

    def make(parameters=None, **arguments):
        return HostedPlugin("FaultyGain", parameters, plugin_paths=[own_plugins], **arguments)

    return make


# -- faults -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (CRASH, r"crashed while processing audio \(signal 6\)"),
        (HANG, "hung while processing audio and was stopped after 1 s"),
        (EAT, "took more than 0.25 GB of memory while processing audio and was stopped"),
        (NAN, "gave back NaN or infinity"),
    ],
)
def test_each_fault_is_one_clear_line_and_the_plugin_can_be_used_again(gain, fault, says):
    plugin = gain({"gain": 2, "fault": fault}, call_seconds=1 if fault == HANG else 60, memory_gb=0.25)
    audio = noise(2, 5000)
    start = time.monotonic()
    with pytest.raises(PluginError, match=f"^FaultyGain {says}") as error:
        plugin(audio, RATE)
    assert "\n" not in str(error.value)
    assert time.monotonic() - start < 30
    plugin.fault = NONE
    np.testing.assert_array_equal(plugin(audio, RATE), 2 * audio)


def test_a_child_is_small_and_tells_its_memory(gain):
    plugin = gain()
    if not plugin.memory_bytes:
        pytest.skip("this system does not tell")
    assert 5e6 < plugin.memory_bytes < 200e6
    plugin.close()
    assert plugin.memory_bytes == 0


def test_a_childs_memory_is_limited_by_the_system_too(gain):
    """Where nobody watches: between two requests, and for what grows faster than is looked."""
    resource = pytest.importorskip("resource")
    plugin = gain(memory_gb=1)
    limits = resource.prlimit(plugin._child._process.pid, resource.RLIMIT_DATA)
    assert limits[0] == 2 << 30


# -- channels -----------------------------------------------------------------------------------


def test_a_plugin_of_four_channels_takes_four(own_plugins):
    plugin = HostedPlugin("FaultyQuad", {"gain": 0.5}, plugin_paths=[own_plugins])
    assert plugin.channels == (4,)
    audio = noise(4, 5000)
    np.testing.assert_array_equal(plugin(audio, RATE), 0.5 * audio)
    with pytest.raises(PluginError, match="FaultyQuad: it takes 4 channels, not 3"):
        plugin(audio[:3], RATE)


def test_stems_of_a_multichannel_file_go_through_it_stem_by_stem(own_plugins):
    plugin = HostedPlugin("FaultyQuad", {"gain": 0.5}, plugin_paths=[own_plugins])
    audio = noise(4, 20_000)
    with pytest.warns(SeparatorWarning, match="FaultyQuad takes fewer channels than the 12 of all stems"):
        out = Board([Shares(stems=3), plugin])(audio, RATE)
    np.testing.assert_array_equal(out, 0.5 * Board([Shares(stems=3)])(audio, RATE))


# -- states -------------------------------------------------------------------------------------


def test_raw_state_and_preset_data_are_read_and_set(gain):
    plugin, other = gain({"gain": 3}), gain()
    audio = noise(2, 5000)
    for form in ("preset_data", "raw_state"):
        plugin.gain = 3
        setattr(other, form, getattr(plugin, form))
        np.testing.assert_array_equal(other(audio, RATE), 3 * audio)
        other.close()  # a new child has it, too
        np.testing.assert_array_equal(other(audio, RATE), 3 * audio)
        other.gain = 1
        with pytest.raises(PluginError, match="FaultyGain"):
            setattr(other, form, b"garbage")
        np.testing.assert_array_equal(other(audio, RATE), audio)
    assert isinstance(plugin.preset_data, bytes)
    assert isinstance(plugin.raw_state, bytes)
    np.testing.assert_array_equal(gain(state=plugin.preset_data)(audio, RATE), 3 * audio)
    np.testing.assert_array_equal(gain(state=plugin.state)(audio, RATE), 3 * audio)


def test_a_vstpreset_file_is_loaded(gain, tmp_path):
    plugin = gain({"gain": 3})
    (tmp_path / "loud.vstpreset").write_bytes(plugin.preset_data)
    other = gain()
    other.load_preset(tmp_path / "loud.vstpreset")
    audio = noise(2, 5000)
    np.testing.assert_array_equal(other(audio, RATE), 3 * audio)
    other.close()
    np.testing.assert_array_equal(other(audio, RATE), 3 * audio)


def test_a_vstpreset_of_the_components_state_alone_is_enough(gain, tmp_path):
    """As it is rebuilt from a DAW's project."""
    plugin = gain({"gain": 3})
    component = vst_presets.parsed(plugin.preset_data).component
    other = gain(class_id=plugin.class_id)
    path = tmp_path / "loud.vstpreset"
    path.write_bytes(vst_presets.vst_preset(plugin.class_id, component))
    other.load_preset(path)
    audio = noise(2, 5000)
    np.testing.assert_array_equal(other(audio, RATE), 3 * audio)


def test_another_class_than_the_one_meant_is_refused(gain):
    with pytest.raises(PluginError, match="FaultyGain: the one that is installed is another plug-in"):
        gain(class_id="0" * 32)


def fxp(kind, rest, count=2):
    return struct.pack(">4si4si4sii28s", b"CcnK", 0, kind, 1, b"Test", 1, count, b"Loud") + rest


def test_an_fxp_with_values_sets_the_parameters_in_order(gain, tmp_path):
    (tmp_path / "loud.fxp").write_bytes(fxp(b"FxCk", struct.pack(">2f", 0.75, 0)))
    plugin = gain()
    plugin.load_preset(tmp_path / "loud.fxp")
    audio = noise(2, 5000)
    np.testing.assert_array_equal(plugin(audio, RATE), 3 * audio)
    plugin.close()
    np.testing.assert_array_equal(plugin(audio, RATE), 3 * audio)


def test_an_fxp_with_a_chunk_is_given_to_the_plugin_as_its_state(gain, tmp_path):
    plugin = gain({"gain": 3})
    chunk = vst_presets.parsed(plugin.preset_data).component
    (tmp_path / "loud.fxp").write_bytes(fxp(b"FPCh", struct.pack(">i", len(chunk)) + chunk))
    other = gain()
    other.load_preset(tmp_path / "loud.fxp")
    audio = noise(2, 5000)
    np.testing.assert_array_equal(other(audio, RATE), 3 * audio)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "it is no .vstpreset file, or cut short"),
        (b"garbage" * 20, "it is no .vstpreset file, or cut short"),
        (vst_presets.vst_preset("0" * 32, b"x"), "it is for another plug-in"),
        (vst_presets.vst_preset("0" * 32, b"x")[:-10], "cut short"),
        (fxp(b"FxCk", b"\0" * 4), "2 parameters do not fit into 4 bytes"),
        (fxp(b"FxCk", b"\0" * 12, 3), "the preset holds 3 parameters, and the plug-in has 2"),
        (fxp(b"FPCh", struct.pack(">i", 100) + b"x"), "it is cut short: 100 bytes"),
        (
            fxp(b"FPCh", struct.pack(">i", 4) + b"junk"),
            "not take this state|Failed to set",
        ),
        (fxp(b"FxBk", b""), "it is a bank of programs"),
        (fxp(b"????", b""), "of an unknown kind"),
    ],
)
def test_damaged_and_foreign_preset_files_are_one_line_and_change_nothing(gain, tmp_path, data, says):
    path = tmp_path / "bad.vstpreset"
    path.write_bytes(data)
    plugin = gain({"gain": 3})
    with pytest.raises(PluginError, match=f"^FaultyGain: .*bad.vstpreset: .*({says})") as error:
        plugin.load_preset(path)
    assert "\n" not in str(error.value)
    audio = noise(2, 100)
    np.testing.assert_array_equal(plugin(audio, RATE), 3 * audio)


def test_preset_files_that_are_none(gain, tmp_path):
    with pytest.raises(PluginError, match="cannot be read"):
        gain().load_preset(tmp_path / "missing.vstpreset")
    with pytest.raises(PluginError, match="cannot be read"):
        gain().load_preset(tmp_path)


@needs_vst3("ZamCompX2")
def test_a_state_of_one_plugin_is_refused_by_another(gain, tmp_path):
    (tmp_path / "gain.vstpreset").write_bytes(gain().preset_data)
    with pytest.raises(PluginError, match="it is for another plug-in"):
        HostedPlugin("ZamCompX2").load_preset(tmp_path / "gain.vstpreset")


def test_numpys_numbers_are_taken_by_built_ins_too():
    assert get("Gain").create({"gain_db": np.float32(-6)}).gain_db == -6
    assert get("Compressor").create({"ratio": np.int64(4)}).ratio == 4
    with pytest.raises(PluginError, match="must be a number"):
        get("Gain").create({"gain_db": np.bool_(True)})


def test_states_are_text_too(gain):
    assert base64.b64decode(gain({"gain": 2}).state)[:4] == b"VST3"


def test_an_instrument_is_no_effect(own_plugins):
    with pytest.raises(PluginError, match="SineSynth: it is an instrument, which takes no audio"):
        HostedPlugin("SineSynth", plugin_paths=[own_plugins])
