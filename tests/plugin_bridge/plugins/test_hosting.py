"""Third-party plug-ins in a child process: found by name, the same audio, parameters and states."""

from __future__ import annotations

import base64
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pedalboard
import pytest

from plugin_bridge import Board, HostedPlugin, StemRack, load_preset, save_preset
from plugin_bridge.errors import PluginError
from plugin_bridge.plugins.folders import find_plugin, installed, system_folders
from separators import NMF
from separators.remarks import heard_by
from tests.plugin_bridge.plugins import in_process
from tests.plugin_bridge.plugins.vst3 import REQUIRED, needs_vst3
from tests.plugin_bridge.splitters import Bands, Shares, noise

RATE = 44100
HANGS_WHILE_LOADING = "ZamVerb"
COMP = {"threshold_db": -30, "ratio": 4}

needs_zam = needs_vst3("ZamCompX2", "ZamComp", "ZaMaximX2")


@pytest.fixture(scope="module")
def comp():
    """A stereo compressor."""
    plugin = HostedPlugin("ZamCompX2", COMP)
    yield plugin
    plugin.close()


@pytest.fixture(scope="module")
def pedalboards():
    """Calls a function of :mod:`tests.plugin_bridge.plugins.in_process` in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield lambda *call: pool.submit(*call).result(60)


# -- finding ------------------------------------------------------------------------------------


def test_required_plugins_are_installed():
    if not REQUIRED:
        pytest.skip("STEMBRIDGE_REQUIRE_VST3 is not set")
    assert {"ZamCompX2", "ZamComp", "ZaMaximX2", HANGS_WHILE_LOADING} <= set(installed())


def test_plugins_are_found_by_name_in_given_folders_before_the_systems(tmp_path):
    bundle = tmp_path / "Maker" / "My Comp.vst3"
    (bundle / "Contents" / "Inner.vst3").mkdir(parents=True)
    (tmp_path / "Other.vst3").touch()
    (tmp_path / "notes.txt").touch()
    assert find_plugin("My Comp", [tmp_path]) == bundle
    assert find_plugin("My Comp", [bundle]) == bundle
    own = {name for name, path in installed([tmp_path]).items() if tmp_path in path.parents}
    assert own == {"My Comp", "Other"}
    with pytest.raises(PluginError, match=r"no plug-in 'My Camp' \(did you mean 'My Comp'\?\)"):
        find_plugin("My Camp", [tmp_path])


@pytest.mark.parametrize("name", ["../Evil", "/tmp/Evil.vst3", "Evil.vst3", "", ".", "Maker/Evil"])
def test_a_name_is_not_a_path(name, tmp_path):
    folder = tmp_path / "plugins"
    (folder / "Maker" / "Evil.vst3").mkdir(parents=True)
    (tmp_path / "Evil.vst3").mkdir()
    with pytest.raises(PluginError, match="no plug-in"):
        find_plugin(name, [folder])
    with pytest.raises(PluginError, match="no plug-in"):
        HostedPlugin(name, plugin_paths=[folder])


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_every_system_has_its_folders(platform, monkeypatch):
    monkeypatch.setattr(sys, "platform", platform)
    folders = system_folders()
    assert len(folders) >= 2
    assert all(folder.name.lower() in ("vst3", ".vst3", "components") for folder in folders)


def test_what_is_no_plugin_is_one_clear_error(tmp_path):
    (tmp_path / "Broken.vst3").write_bytes(b"not a plug-in")
    with pytest.raises(PluginError, match="Broken: Failed to load plugin") as error:
        HostedPlugin("Broken", plugin_paths=[tmp_path])
    assert "\n" not in str(error.value)


# -- audio --------------------------------------------------------------------------------------


@needs_zam
@pytest.mark.parametrize("buffer_size", [512, 8192, 100_000])
@pytest.mark.parametrize("frames", [1000, 150_000])
def test_the_audio_is_that_of_pedalboards_own_hosting(comp, pedalboards, frames, buffer_size):
    audio = noise(2, frames)
    expected = pedalboards(in_process.run, "ZamCompX2", COMP, audio, RATE, buffer_size)
    np.testing.assert_array_equal(comp(audio, RATE, buffer_size), expected)
    np.testing.assert_array_equal(comp(audio.T, RATE, buffer_size), expected.T)


@needs_zam
def test_latency_is_compensated_as_pedalboard_does(pedalboards):
    audio, values = noise(2, 50_000), {"threshold_db": -20}
    assert pedalboards(in_process.latency, "ZaMaximX2", values, audio, RATE) > 0
    expected = pedalboards(in_process.run, "ZaMaximX2", values, audio, RATE)
    np.testing.assert_array_equal(HostedPlugin("ZaMaximX2", values)(audio, RATE), expected)


@needs_zam
@pytest.mark.parametrize("frames", [0, 1, 2, 3])
def test_no_more_frames_than_channels(comp, frames):
    audio = noise(2, 100)
    whole = comp(audio, RATE)
    np.testing.assert_array_equal(comp.run(audio[:, :frames], RATE, 8192, True), whole[:, :frames])


@needs_zam
def test_a_stereo_plugin_gets_a_mono_signal_on_both_sides(comp):
    audio = noise(1, 20_000)
    assert comp.channels == (2,)
    stereo = comp(np.repeat(audio, 2, axis=0), RATE)
    np.testing.assert_array_equal(comp(audio[0], RATE), stereo.mean(axis=0))
    with pytest.raises(PluginError, match=r"ZamCompX2: it takes 2 channels \(or a mono signal\), not 3"):
        comp(noise(3, 100), RATE)


@needs_zam
def test_a_mono_plugin_has_an_instance_for_each_channel(pedalboards):
    plugin = HostedPlugin("ZamComp", {"threshold_db": -35})
    assert plugin.channels == (1,)
    audio = noise(3, 20_000) * np.array([[1], [0.1], [2]], np.float32)
    plugin(audio[:1], RATE)
    plugin.ratio = 8  # instances that come later have it too
    out = plugin(audio, RATE)
    values = {"threshold_db": -35, "ratio": 8}
    expected = [pedalboards(in_process.run, "ZamComp", values, channel, RATE) for channel in audio]
    np.testing.assert_array_equal(out, np.stack(expected))


@needs_zam
def test_blocks_with_reset_false_continue_the_signal(comp, pedalboards):
    audio = noise(2, 30_000)
    expected = pedalboards(in_process.run_blocks, "ZamCompX2", COMP, audio, RATE, 8192)
    comp.reset()
    for index, block in enumerate(np.split(audio, range(8192, 30_000, 8192), axis=1)):
        np.testing.assert_array_equal(comp(block, RATE, reset=False), expected[index])


DELAY = {"time_ms": 100, "feedback": 0.5, "dry_wet": 0.5}
SILENCE = np.zeros((1, 12_000), np.float32)
CALLS = {
    "tail": lambda audio: [(audio[:, :12_000], True), (SILENCE, False), (SILENCE, False)],
    "reset at the first block": lambda audio: [
        (block, i == 0) for i, block in enumerate(np.split(audio, range(4096, 30_000, 4096), axis=1))
    ],
    "never reset": lambda audio: [(audio[:, :12_000], False), (SILENCE, False)],
    "reset in between": lambda audio: [(audio[:, :12_000], False), (SILENCE, True), (SILENCE, False)],
    "shorter blocks": lambda audio: [
        (audio[:, :9000], True),
        (SILENCE[:, :500], False),
        (SILENCE[:, :3000], False),
    ],
}


@needs_vst3("ZamDelay", "ZaMaximX2", "ZamCompX2")
@pytest.mark.parametrize("calls", CALLS)
@pytest.mark.parametrize(
    ("name", "values", "channels"),
    [("ZamDelay", DELAY, 1), ("ZaMaximX2", {"threshold_db": -20}, 2), ("ZamCompX2", COMP, 2)],
)
def test_tails_and_state_go_on_as_in_pedalboards_own_hosting(pedalboards, calls, name, values, channels):
    planned = [
        (np.repeat(audio, channels, axis=0) if len(audio) < channels else audio, reset)
        for audio, reset in CALLS[calls](noise(channels, 30_000))
    ]
    plugin = HostedPlugin(name, values)
    expected = pedalboards(in_process.run_calls, name, values, planned, RATE)
    for (audio, reset), right in zip(planned, expected, strict=True):
        np.testing.assert_array_equal(plugin(audio, RATE, reset=reset), right)


@needs_vst3("ZamDelay")
def test_a_delays_tail_is_heard_after_reset_and_until_reset():
    plugin = HostedPlugin("ZamDelay", DELAY)
    board = Board([pedalboard.Gain(0), HostedPlugin("ZamDelay", DELAY)])
    for one in (plugin, board):
        one(noise(1, 12_000), RATE)
        assert np.abs(one(SILENCE, RATE, reset=False)).max() > 0.01
        one(noise(1, 12_000), RATE)
        one.reset()
        assert np.abs(one(SILENCE, RATE, reset=False)).max() < 1e-6


@needs_vst3("ZamDelay")
def test_reading_state_and_parameters_does_not_disturb_a_signal():
    plugin, other = (HostedPlugin("ZamDelay", DELAY) for _ in range(2))
    audio = noise(1, 12_000)
    for one in (plugin, other):
        one(audio, RATE)
        one.feedback = 0.6
    assert HostedPlugin("ZamDelay", state=plugin.state).feedback == pytest.approx(0.6, abs=0.01)
    assert plugin.time_ms == other.time_ms
    tail = plugin(SILENCE, RATE, reset=False)
    np.testing.assert_array_equal(tail, other(SILENCE, RATE, reset=False))
    assert np.abs(tail).max() > 0.01


@needs_vst3("ZamAutoSat")
def test_a_plugin_without_parameters_in_stereo_and_in_presets(tmp_path, pedalboards):
    audio = noise(2, 20_000)
    plugin = HostedPlugin("ZamAutoSat")
    expected = [pedalboards(in_process.run, "ZamAutoSat", {}, channel, RATE) for channel in audio]
    np.testing.assert_array_equal(plugin(audio, RATE), np.stack(expected))
    again = HostedPlugin("ZamAutoSat", state=plugin.state)
    np.testing.assert_array_equal(again(audio, RATE), np.stack(expected))
    separator = NMF(stems=2, components=4, iterations=2)
    board = Board([plugin, StemRack(separator, {"stem-1": [HostedPlugin("ZamAutoSat")]}, remix=True)])
    save_preset(board, tmp_path / "saturated.toml", "Saturated")
    np.testing.assert_array_equal(load_preset(tmp_path / "saturated.toml")(audio, RATE), board(audio, RATE))


@needs_zam
@pytest.mark.parametrize("channels", [1, 2])
def test_behind_a_separator_stems_go_through_one_by_one(comp, channels):
    audio = noise(channels, 20_000)
    stems = Shares(stems=3).separate(audio, RATE)
    expected = np.concatenate([comp(stem, RATE) for stem in stems.values()])
    lines = []
    with heard_by(lines.append):
        np.testing.assert_array_equal(Board([Shares(stems=3), comp])(audio, RATE), expected)
        np.testing.assert_array_equal(
            Board([Shares(stems=3), Board([pedalboard.Gain(0), comp])])(audio, RATE), expected
        )
    said = f"ZamCompX2 takes fewer channels than the {3 * channels} of all stems, and gets stem by stem"
    assert lines == [said, said]
    with pytest.raises(PluginError, match="not 6; stems behind a separator go through it one by one"):
        comp(noise(6, 100), RATE)


@needs_zam
@pytest.mark.parametrize("sizes", [[1000, 5000, 300], [500]])
@pytest.mark.parametrize("name", ["ZamCompX2", "ZaMaximX2"])
def test_a_reverb_beside_a_hosted_plugin_keeps_its_state(name, sizes):
    """Silence behind a noise: the reverb's tail lasts as long as in one call."""
    audio = noise(2, 20_000)
    audio[:, 4000:] = 0
    whole = pedalboard.Pedalboard([pedalboard.Reverb(0.9, wet_level=1)])(audio, RATE)
    hosted = HostedPlugin(name, {"threshold_db": 0})
    for order in (slice(None), slice(None, None, -1)):
        board = Board([pedalboard.Reverb(0.9, wet_level=1), hosted][order])
        made, position, turn = [], 0, 0
        while position < 20_000:
            block = audio[:, position : position + sizes[turn % len(sizes)]]
            made.append(board(block, RATE, reset=position == 0))
            position, turn = position + block.shape[1], turn + 1
        out = np.concatenate(made, axis=1)
        tail, expected = (np.sqrt(np.mean(x[:, 12_000:19_000] ** 2)) for x in (out, whole))
        assert tail == pytest.approx(expected, rel=0.1)


@needs_zam
@pytest.mark.parametrize("number", [np.float32, np.float64, np.int64, np.int16])
def test_numpys_numbers_are_numbers(comp, number):
    plugin = HostedPlugin("ZamCompX2", {"threshold_db": number(-20)})
    assert plugin.threshold_db == pytest.approx(-20, abs=0.1)
    plugin.ratio = number(4)
    assert type(plugin.values["ratio"]) in (int, float)
    name, value = next((n, row.choices[0]) for n, row in comp.parameters.items() if row.kind == "str")
    plugin.set({name: np.str_(value)})
    with pytest.raises(PluginError, match="must be a number"):
        plugin.ratio = np.bool_(True)
    with pytest.raises(PluginError, match="must be a number"):
        plugin.ratio = np.float64("nan")


@needs_zam
def test_the_order_in_which_values_were_last_set_is_kept():
    """The program sets the threshold; what is set after it stays, in a new child too."""
    plugin = HostedPlugin("ZamCompX2", {"threshold_db": -40})
    plugin.current_program = "PoppySnare"
    plugin.threshold_db = -25
    plugin.close()
    assert plugin.threshold_db == pytest.approx(-25, abs=0.1)


@needs_zam
def test_in_boards_and_racks_and_never_silently_in_native_containers(comp, pedalboards):
    audio = noise(2, 20_000)
    board = Board([pedalboard.Gain(3), comp, pedalboard.Limiter(-1)])
    expected = pedalboards(in_process.run_between, "ZamCompX2", COMP, audio, RATE, 3, -1)
    np.testing.assert_array_equal(board(audio, RATE), expected)
    stems = Bands().separate(audio, RATE)
    rack = StemRack(Bands(), {"low": [comp]})
    np.testing.assert_array_equal(rack(audio, RATE)[:2], comp(stems["low"], RATE))
    assert isinstance(comp, pedalboard.Plugin)
    for container in (pedalboard.Pedalboard, pedalboard.Chain, pedalboard.Mix):
        with pytest.raises(RuntimeError, match=r"HostedPlugin cannot run .* put it into a Board"):
            container([comp])(audio, RATE)


# -- parameters and state -----------------------------------------------------------------------


@needs_zam
def test_parameters_are_attributes_that_are_read_back(comp):
    assert (comp.threshold_db, comp.values["ratio"]) == (-30, 4)
    row = comp.parameters["threshold_db"]
    assert (row.kind, row.minimum, row.maximum, row.unit) == ("float", -80, 0, "dB")
    assert comp.parameters["current_program"].choices[0] == "Zero"
    plugin = HostedPlugin("ZamCompX2")
    plugin.threshold_db = -25.5
    assert plugin.threshold_db == pytest.approx(-25.5, abs=row.step)
    plugin.current_program = "PoppySnare"
    assert plugin.threshold_db == pytest.approx(-18, abs=row.step)  # the program sets it
    assert {"threshold_db", "process"} <= set(dir(plugin))
    assert repr(plugin).startswith(
        "<plugin_bridge.HostedPlugin ZamCompX2 threshold_db=-25.5 current_program='P"
    )


@needs_zam
@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("threshold_db", -81, "must be a number from -80 to 0 dB, not -81"),
        ("threshold_db", float("nan"), "must be a number from -80 to 0 dB, not nan"),
        ("threshold_db", True, "must be a number"),
        ("threshold_db", "-20", "must be a number"),
        ("current_program", "Nil", "must be one of Zero, PoppySnare, VocalLeveller, not 'Nil'"),
        ("treshold_db", -20, r"no parameter 'treshold_db' \(did you mean 'threshold_db'\?\)"),
    ],
)
def test_wrong_parameters_are_refused_and_change_nothing(comp, key, value, says):
    with pytest.raises(PluginError, match=f"ZamCompX2.*{says}"):
        comp.set({"ratio": 4, key: value})
    assert comp.threshold_db == -30


@needs_zam
def test_unknown_attributes_are_not_set_silently(comp):
    with pytest.raises(AttributeError, match="no parameter 'treshold_db'"):
        comp.treshold_db = -20
    with pytest.raises(AttributeError, match="no attribute 'treshold_db'"):
        _ = comp.treshold_db


@needs_zam
def test_a_value_that_another_parameter_overrides_is_noticed():
    with pytest.raises(PluginError, match="threshold_db was set to -70, but the plug-in says -18"):
        HostedPlugin("ZamCompX2", {"threshold_db": -70, "current_program": "PoppySnare"})


@needs_zam
def test_the_state_holds_what_was_set_last_and_gives_the_same_audio(comp):
    plugin = HostedPlugin("ZamCompX2", {"threshold_db": -30})
    plugin.ratio = 9  # no audio has run since
    again = HostedPlugin("ZamCompX2", state=plugin.state)
    assert again.ratio == pytest.approx(9, abs=comp.parameters["ratio"].step)
    audio = noise(2, 20_000)
    np.testing.assert_array_equal(again(audio, RATE), plugin(audio, RATE))
    assert np.abs(again(audio, RATE) - comp(audio, RATE)).max() > 1e-3
    assert again.state == plugin.state


@needs_zam
def test_damaged_and_foreign_states_are_refused(comp):
    state = base64.b64decode(comp.state)
    foreign = state[:8] + b"0" * 32 + state[40:]
    for bad in (b"garbage", state[:-10], foreign):
        with pytest.raises(PluginError, match="ZamCompX2"):
            HostedPlugin("ZamCompX2", state=base64.b64encode(bad).decode())
    with pytest.raises(PluginError, match="ZamCompX2"):
        HostedPlugin("ZamCompX2", state="*")
