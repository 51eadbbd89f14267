"""A board saved as a preset comes back with the same audio."""

from __future__ import annotations

import threading
import tomllib

import numpy as np
import pedalboard
import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from plugin_bridge import Board, HostedPlugin, Preset, SeparatorPlugin, StemRack, load_preset, save_preset
from plugin_bridge.errors import PluginError, PresetError
from plugin_bridge.plugins import hosting
from plugin_bridge.plugins.automated import Automated
from plugin_bridge.plugins.automation import Curve, Follower
from plugin_bridge.plugins.built_ins import built_in_of, built_ins
from plugin_bridge.plugins.mix import StemMix
from plugin_bridge.plugins.python_plugin import PythonPlugin
from plugin_bridge.presets.entries import entry_of
from tests.plugin_bridge.plugins.vst3 import needs_vst3
from tests.plugin_bridge.splitters import Bands, noise

RATE = 44100
BANDS = 'title = "Test"\n[separator]\nname = "bands"\n'


pytestmark = pytest.mark.usefixtures("splitters")


def same_audio(board, path, channels=2):
    audio = noise(channels, 20000)
    np.testing.assert_array_equal(load_preset(path)(audio, RATE), board(audio, RATE))


BOARDS = {
    "separator": lambda: [Bands(width=3, label='quotes " and \\ and ü')],
    "before": lambda: [pedalboard.HighpassFilter(33.3), SeparatorPlugin(Bands())],
    "rack": lambda: [StemRack(Bands(), {"low": [pedalboard.Compressor(-20.3, 3.7)], "high": []})],
    "remix": lambda: [
        pedalboard.Gain(-0.1),
        StemRack(Bands(width=9), {"high": [pedalboard.Reverb(0.31), pedalboard.PitchShift(1)]}, remix=True),
        pedalboard.Limiter(-1.1, 80),
    ],
    "empty remix": lambda: [StemRack(Bands(), remix=True)],
    "containers": lambda: [
        pedalboard.Mix([pedalboard.Chain([]), pedalboard.Delay(0.013, 0.2), None]),
        pedalboard.Chain([pedalboard.Gain(1), pedalboard.Pedalboard([pedalboard.Invert()])]),
        Board([pedalboard.Clipping(-9)]),
        StemRack(Bands(), {"low": Board([Board([pedalboard.Gain(2)])])}, remix=True),
    ],
    "choices": lambda: [
        pedalboard.LadderFilter(pedalboard.LadderFilter.Mode.BPF24, 900, 0.3, 2),
        pedalboard.Resample(9000, pedalboard.Resample.Quality.Linear),
        pedalboard.BrickwallLimiter(true_peak=True),
        Bands(),
    ],
    "empty": lambda: [],
    "no separator": lambda: [pedalboard.Gain(3), pedalboard.Limiter()],
    "two separators": lambda: [Bands(), pedalboard.Gain(3), Bands(width=3)],
    "nested": lambda: [Board([Bands()])],
    "rack in a chain": lambda: [
        StemRack(Bands(), {"low": [StemRack(Bands(width=3), {"high": [pedalboard.Invert()]}, remix=True)]}),
    ],
    "after without remix": lambda: [Bands(), pedalboard.Gain(3)],
    "convolution": lambda: [
        pedalboard.Convolution(noise(2, 900), 0.3, 48000),
        pedalboard.Convolution(noise(1, 700)[0], 0.71, 44100),
        Bands(),
    ],
    "mix": lambda: [
        StemMix([None, [StemRack(Bands(), {"high": [pedalboard.Gain(-6)]}, remix=True)], pedalboard.Reverb()])
    ],
    "automation": lambda: [
        Automated(pedalboard.Gain(), {"gain_db": Curve([0, 0.2], [0, -12])}),
        Automated(
            pedalboard.LadderFilter(),
            {"mode": Curve([0, 0.1], ["LPF12", "HPF24"], "hold"), "cutoff_hz": Curve([0, 0.3], [99, 9000])},
            step_frames=100,
        ),
        StemRack(
            Bands(),
            {"low": [Automated(pedalboard.Gain(), {"gain_db": Follower([-50, -9], [0, -20], stem="high")})]},
            remix=True,
        ),
    ],
}


@pytest.mark.parametrize("board", BOARDS)
def test_a_saved_board_comes_back_with_the_same_audio(board, tmp_path):
    made, path = Board(BOARDS[board]()), tmp_path / "own.toml"
    save_preset(made, path, "Own", description="Dés\ncription", output={"format": "flac", "bit_depth": 24})
    same_audio(made, path)
    preset = Preset.load(path)
    assert (preset.title, preset.description, preset.output.format) == ("Own", "Dés\ncription", "flac")
    assert Preset.from_board(preset.board(), "Own").board() is not None


@given(st.data())
def test_every_built_ins_parameters_come_back_exactly(data):
    row = data.draw(st.sampled_from(list(built_ins().values())))
    values = {}
    for key, default in row.defaults.items():
        if isinstance(default, bool):
            values[key] = data.draw(st.booleans())
        elif key in row.choices:
            values[key] = data.draw(st.sampled_from(list(row.choices[key].__members__)))
        else:
            # Around the default, wherever the plug-in's own range lies.
            values[key] = default * data.draw(st.floats(0.5, 1.5))
    try:
        plugin = row.create(values)
    except PluginError:
        return
    again = row.create(tomllib.loads(tomli_w.dumps(row.values(plugin))))
    for key in row.defaults:
        assert getattr(again, key) == getattr(plugin, key)


def test_the_table_holds_pedalboards_effects():
    assert {"Compressor", "Reverb", "LadderFilter", "MP3Compressor", "PitchShift"} <= set(built_ins())
    assert not {"Plugin", "IIRFilter", "Mix", "Pedalboard", "VST3Plugin", "Convolution"} & set(built_ins())
    assert built_ins()["Compressor"].defaults == {
        "threshold_db": 0,
        "ratio": 1,
        "attack_ms": 1,
        "release_ms": 100,
    }
    assert built_in_of(pedalboard.Gain()).name == "Gain"


class OwnGain(pedalboard.Gain):
    """Overrides in Python."""

    def process(self, input_array, sample_rate, buffer_size=8192, reset=True):
        return input_array


class Unregistered(Bands):
    name = "unregistered"


UNFIT = {
    "own class in a mix": (lambda: [StemMix([[OwnGain()], None])], "not a OwnGain"),
    "own separator in a chain": (lambda: [Board([Unregistered()])], "'unregistered' is not registered"),
    "own class": (lambda: [OwnGain(), Bands()], "not a OwnGain"),
    "unregistered": (lambda: [Unregistered()], "'unregistered' is not registered"),
}


@pytest.mark.parametrize("board", UNFIT)
def test_a_board_that_a_preset_cannot_hold_is_a_clear_error(board, tmp_path):
    make, says = UNFIT[board]
    with pytest.raises(PresetError, match=says):
        save_preset(Board(make()), tmp_path / "own.toml", "Own")
    assert list(tmp_path.iterdir()) == []


def test_saving_is_whole_or_not_at_all(tmp_path):
    board, path = Board([Bands()]), tmp_path / "own.toml"
    path.write_text("mine")
    with pytest.raises(PresetError, match="cannot be written"):
        save_preset(board, tmp_path / "no folder" / "own.toml", "Own")
    path.unlink()
    path.mkdir()
    with pytest.raises(PresetError, match="cannot be written"):
        save_preset(board, path, "Own")
    assert [p.name for p in tmp_path.iterdir()] == ["own.toml"]


def test_the_stems_of_tracks_separated_together():
    text = 'title = "x"\ntogether = true\n[separator]\nname = "ica"\n[[stems.bleed]]\nplugin = "Gain"\n'
    preset = Preset.parse(text, "own.toml")
    preset.check()
    assert isinstance(preset.make_chain("stems.bleed")[0], pedalboard.Gain)
    with pytest.raises(PresetError, match="a job makes and a board does not"):
        preset.board()
    with pytest.raises(PresetError, match="no stem 'low' here; its stems are: direct, bleed"):
        Preset.parse(text.replace("bleed", "low")).check()


def test_chains_are_made_anew_each_time():
    preset = Preset.parse(BANDS + '[[before]]\nplugin = "Reverb"\n[[stems.low]]\nplugin = "Gain"')
    assert preset.make_chain("before")[0] is not preset.make_chain("before")[0]
    assert len(preset.make_chain("stems.low")) == 1
    assert preset.make_chain("stems.high") == preset.make_chain("after") == []


# -- third-party plug-ins -----------------------------------------------------------------------


@needs_vst3("ZamCompX2", "ZamComp")
def test_a_board_with_third_party_plugins_comes_back_with_the_same_audio(tmp_path):
    comp = HostedPlugin("ZamCompX2", {"threshold_db": -30, "ratio": 4})
    comp.makeup_db = 6
    inner = HostedPlugin("ZamComp", {"threshold_db": -40})
    board = Board([Board([comp]), StemRack(Bands(), {"low": [inner, pedalboard.Gain(2)]}, remix=True)])
    save_preset(board, tmp_path / "own.toml", "Own")
    same_audio(board, tmp_path / "own.toml")
    entry = tomllib.loads((tmp_path / "own.toml").read_text())["stems"]["low"][0]
    assert entry["external"] == "ZamComp"
    assert entry["parameters"] == {"threshold_db": -40}
    assert len(entry["state"]) > 100
    assert "/" not in entry["external"]


@needs_vst3("ZamCompX2")
@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("parameters = {threshold = -3}", r" has no parameter 'threshold' \(did you mean 'threshold_db'\?\)"),
        ("parameters = {threshold_db = -300}", ": threshold_db must be a number from -80 to 0 dB, not -300"),
        ('state = "bm90IGEgc3RhdGU="', ": Failed to set preset data"),
        ('state = "not base64"', ": "),
    ],
    ids=["name", "range", "garbage", "not base64"],
)
def test_third_party_plugins_are_checked_by_asking_them(entry, says):
    preset = Preset.parse(BANDS + f'[[before]]\nexternal = "ZamCompX2"\n{entry}\n', "own.toml")
    preset.check()
    with pytest.raises(PresetError, match=rf"own.toml: before\[0\]: ZamCompX2{says}"):
        preset.check(plugin_paths=[])


def test_a_missing_third_party_plugin_names_the_folders(tmp_path):
    preset = Preset.parse(BANDS + '[[before]]\nexternal = "../../tmp/evil"\n', "own.toml")
    with pytest.raises(PresetError, match=rf"before\[0\]: no plug-in '../../tmp/evil' in {tmp_path}"):
        preset.board(plugin_paths=[tmp_path])


def test_a_loaded_file_is_not_kept():
    class Loaded(pedalboard.ExternalPlugin):
        pass

    loaded = Loaded.__new__(Loaded)
    with pytest.raises(PluginError, match="put a HostedPlugin"):
        entry_of(loaded)


@pytest.mark.parametrize(("number", "channels"), [(0, 2), (1, 4)])
def test_of_a_file_with_several_plugins_the_preset_names_the_class(own_plugins, tmp_path, number, channels):
    """By its name alone the first one would come back."""
    names = pedalboard.VST3Plugin.get_plugin_names_for_file(str(own_plugins / "FaultyPair.vst3"))
    assert len(names) == 2
    alone = HostedPlugin(("FaultyGain", "FaultyQuad")[number], {"gain": 3}, plugin_paths=[own_plugins])
    plugin = HostedPlugin("FaultyPair", {"gain": 3}, plugin_paths=[own_plugins], class_id=alone.class_id)
    assert plugin.channels == (channels,)
    Board([plugin]).save(tmp_path / "own.toml")
    entry = tomllib.loads((tmp_path / "own.toml").read_text())["chain"][0]
    assert (entry["external"], entry["class_id"]) == ("FaultyPair", alone.class_id)
    (again,) = load_preset(tmp_path / "own.toml", [own_plugins])
    assert (again.class_id, again.channels, again.gain) == (alone.class_id, (channels,), 3)
    assert not alone.is_one_of_several
    Board([alone]).save(tmp_path / "one.toml")
    assert "class_id" not in (tmp_path / "one.toml").read_text()


@pytest.mark.parametrize("wrong", ['class_id = "56"', 'class_id = "x"\nplugin = "Gain"'])
def test_a_class_is_32_digits_of_a_third_party_plugin(wrong):
    entry = wrong if "plugin" in wrong else f'external = "A"\n{wrong}'
    with pytest.raises(PresetError, match=r"chain\[0\].*class_id"):
        Preset.parse(f'title = "A"\n[[chain]]\n{entry}')


MANY = """title = "Many"
[separator]
name = "bands"
[[before]]
plugin = "Mix"
plugins = [{external = "One"}, {plugin = "Chain", plugins = [{external = "Two"}]}]
[[stems.low]]
external = "Three"
[[stems.high]]
external = "Four"
"""


def test_third_party_plugins_of_all_chains_are_loaded_side_by_side(monkeypatch):
    """Each waits until the others are being loaded, too; they stand where they belong."""
    together = threading.Barrier(4, timeout=20)

    class Waiting(PythonPlugin):
        def __init__(self, name, **_):
            super().__init__()
            self.name = name
            together.wait()

        def set(self, values):
            assert not values

    monkeypatch.setattr(hosting, "HostedPlugin", Waiting)
    before, rack = Preset.parse(MANY).board()
    assert [before.paths[0][0].name, before.paths[1][0].name] == ["One", "Two"]
    assert [rack.chains["low"][0].name, rack.chains["high"][0].name] == ["Three", "Four"]


def test_of_several_that_are_missing_the_first_in_the_preset_is_named(tmp_path):
    preset = Preset.parse(MANY, "many.toml")
    with pytest.raises(PresetError, match=r"^many.toml: before\[0\]: no plug-in 'One'"):
        preset.board([tmp_path])
    with pytest.raises(PresetError, match=r"^many.toml: stems.low\[0\]: no plug-in 'Three'"):
        preset.make_chains(["stems.low", "stems.high"], [tmp_path])
