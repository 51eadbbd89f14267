"""Preset files: what is wrong is said with file, key and remedy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import separators
from plugin_bridge import Board, Preset, load_preset
from plugin_bridge.errors import PresetError
from plugin_bridge.plugins.built_ins import built_ins
from plugin_bridge.presets import files as preset_files
from plugin_bridge.presets.files import MAXIMUM_BYTES, folder
from separators.parameters import Content
from tests.plugin_bridge.splitters import noise

SHIPPED = ["blind-4", "drum-loop", "mic-bleed-instant", "stereo-unpan"]
RATE = 44100
BANDS = 'title = "Test"\n[separator]\nname = "bands"\n'


pytestmark = pytest.mark.usefixtures("splitters")


# -- shipped presets ----------------------------------------------------------------------------


def test_the_shipped_presets_are_found():
    assert set(SHIPPED) <= set(Preset.names())


@pytest.mark.parametrize("name", Preset.names())
def test_a_shipped_preset_says_what_it_is_for_and_makes_a_board(name):
    preset = Preset.load(name)
    assert all((preset.title, preset.description, preset.purpose))
    assert tomllib.loads(preset.dump()) == tomllib.loads((folder() / f"{name}.toml").read_text())
    preset.check(plugin_paths=())
    assert isinstance(load_preset(name), Board)


@pytest.mark.parametrize(
    ("name", "stems"),
    [
        ("blind-4", ("stem-1", "stem-2", "stem-3", "stem-4")),
        ("drum-loop", ("kick", "snare", "hihat")),
        ("mic-bleed-instant", ("source-1", "source-2")),
        ("stereo-unpan", ("source-1", "source-2")),
    ],
)
def test_a_shipped_preset_gives_its_stems_that_sum_to_the_mixture(name, stems):
    audio = noise(2, 30000)
    audio[0] += np.sin(np.arange(30000) / 20, dtype=np.float32)
    board = load_preset(name)
    assert board[0].stem_names(2) == stems
    out = board(audio, RATE)
    assert out.shape == (len(stems) * 2, 30000)
    error = out.reshape(len(stems), 2, -1).sum(axis=0) - audio
    assert 10 * np.log10(np.mean(error**2) / np.mean(audio**2)) < -120


def test_listing_imports_neither_torch_nor_separators_nor_pedalboard():
    code = (
        "import sys; from plugin_bridge import Preset\n"
        "assert [Preset.read(name).title for name in Preset.names()]\n"
        "loaded = {'torch', 'scipy', 'pedalboard', 'separators.nmf', 'separators.ica'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_in_a_wheel_they_lie_inside_the_package(tmp_path, monkeypatch):
    (tmp_path / "shipped_presets").mkdir()
    (tmp_path / "shipped_presets" / "own.toml").write_text(BANDS)
    monkeypatch.setattr("plugin_bridge.presets.files._PACKAGE", tmp_path)
    assert Preset.names() == ["own"]
    assert Preset.load("own").title == "Test"


# -- reading: what is wrong, where, and what would be right ---------------------------------------

WRONG = {
    "not TOML": ("title = ", "not TOML"),
    "deep": ("x = " + "[" * 50000, "not TOML"),
    "nested": (BANDS + "[[before" + ".plugins" * 300 + ']]\nplugin = "Gain"', "nested more than 32 deep"),
    "no title": ('[separator]\nname = "bands"', "title: is missing"),
    "no separator": ('title = "x"', "separator: is missing"),
    "wrong type": ('title = 3\n[separator]\nname = "bands"', "title: .* string, not 3"),
    "unknown key": (
        "remx = true\n" + BANDS,
        r"remx: no such key \(did you mean 'remix'\?\); there are: title,",
    ),
    "unknown output": (BANDS + '[output]\nformt = "wav"', r"output.formt: .*'format'"),
    "format": (BANDS + '[output]\nformat = "mp4"', "output.format: input should be 'wav', .*, not 'mp4'"),
    "bit depth": (
        BANDS + "[output]\nbit_depth = 20",
        "output.bit_depth: input should be 16, 24 or 'float32'",
    ),
    "template": (BANDS + '[output]\nname = "../{track}"', "output.name: name template .* relative path"),
    "field": (BANDS + '[output]\nname = "{trak}"', "output.name: .* no field {trak}; there are {track}"),
    "no such stem": (
        BANDS + '[output]\nstems = ["mid"]',
        "stems: bands gives no stem 'mid' here; .* low, high",
    ),
    "separator": (
        'title = "x"\n[separator]\nname = "band"',
        r"separator.name: no separator 'band' \(did you mean 'bands'\?\); there are: bands, danet",
    ),
    "parameter": (
        BANDS + "widht = 3",
        r"separator.widht: bands has no such parameter \(did you mean 'width'\?\); it has: width, label",
    ),
    "range": (
        BANDS + "width = 0",
        "separator: bands: width must be a whole number from 1 to 100 samples, not 0",
    ),
    "plugin": (
        BANDS + '[[before]]\nplugin = "Compresor"',
        r"before\[0\]: Pedalboard has no plug-in 'Compresor' \(did you mean 'Compressor'\?\); it has: Bit",
    ),
    "plugin parameter": (
        BANDS + '[[before]]\nplugin = "Gain"\n[[before]]\nplugin = "Gain"\ngain = 3',
        r"before\[1\]: Gain has no parameter 'gain' \(did you mean 'gain_db'\?\); it has: gain_db",
    ),
    "plugin range": (
        BANDS + '[[stems.low]]\nplugin = "Compressor"\nthreshold_db = -20\nratio = 0.5',
        r"stems.low\[0\]: Compressor: ratio cannot be 0.5: .*1",
    ),
    "plugin type": (
        BANDS + '[[before]]\nplugin = "Gain"\ngain_db = "loud"',
        r"before\[0\]: Gain: gain_db must be a number, not 'loud'",
    ),
    "plugin NaN": (
        BANDS + '[[before]]\nplugin = "Gain"\ngain_db = nan',
        r"Gain: gain_db must be a number, not nan",
    ),
    "plugin bool": (
        BANDS + '[[before]]\nplugin = "BrickwallLimiter"\ntrue_peak = 1',
        "true_peak must be true or false, not 1",
    ),
    "plugin choice": (
        BANDS + '[[before]]\nplugin = "LadderFilter"\nmode = "LPF6"',
        "LadderFilter: mode must be one of LPF12, HPF12, .*, not 'LPF6'",
    ),
    "plugin that would hang": (
        BANDS + '[[before]]\nplugin = "Phaser"\nrate_hz = 1e30',
        "Phaser: rate_hz must be a number from",
    ),
    "all memory": (
        BANDS + '[[before]]\nplugin = "Resample"\ntarget_sample_rate = 1e-9',
        "Resample: target_sample_rate must be a number from 100 to",
    ),
    "a path": (
        BANDS + '[[before]]\nplugin = "Convolution"\nimpulse_response_filename = "/etc/passwd"',
        r"before\[0\]: Convolution: /etc/passwd: ",
    ),
    "no impulse": (
        BANDS + '[[before]]\nplugin = "Convolution"\nimpulse_response_filename = "hall.wav"',
        "Convolution: hall.wav: No such file",
    ),
    "impulse text": (
        BANDS + '[[before]]\nplugin = "Convolution"\nimpulse_response = "hall"',
        "impulse_response must be base64 of float32",
    ),
    "chain and separator": (BANDS + '[[chain]]\nplugin = "Gain"', "chain: .* leave out separator"),
    "chain of stems": (
        'title = "x"\n[[chain]]\nplugin = "Gain"\n[output]\nlayout = "multichannel"',
        "output: a chain gives one file",
    ),
    "tail": ("tail_seconds = 90\n" + BANDS, "tail_seconds.*60"),
    "tail word": ('tail_seconds = "long"\n' + BANDS, "tail_seconds"),
    "curve key": (
        BANDS + '[[before]]\nplugin = "Gain"\nautomate.gain_db = {times = [0], values = [1]}',
        r"before\[0\]: automate.gain_db: no such key 'times'; there are: times_seconds, values, shape",
    ),
    "curve times": (
        BANDS + '[[before]]\nplugin = "Gain"\nautomate.gain_db = {times_seconds = [1, 0], values = [1, 2]}',
        "times_seconds must rise, and 0 does not follow 1",
    ),
    "curve parameter": (
        BANDS + '[[before]]\nplugin = "Gain"\nautomate.gain = {times_seconds = [0], values = [1]}',
        r"Gain has no parameter 'gain' \(did you mean 'gain_db'",
    ),
    "curve range": (
        BANDS + '[[before]]\nplugin = "Compressor"\nautomate.ratio = {times_seconds = [0], values = [0.5]}',
        "ratio cannot be 0.5",
    ),
    "curve of a container": (
        BANDS + '[[before]]\nplugin = "Chain"\nplugins = []\nautomate.x = {}',
        "automate belongs to one plug-in",
    ),
    "not to be automated": (
        BANDS + '[[before]]\nplugin = "PitchShift"\nautomate.semitones = {times_seconds = [0], values = [1]}',
        "PitchShift cannot be automated",
    ),
    "no such stem to follow": (
        BANDS + '[[stems.low]]\nplugin = "Gain"\n'
        'automate.gain_db = {stem = "hihg", levels_db = [-60, 0], values = [0, -9]}',
        r"stems.low\[0\]: there is no stem 'hihg' to listen to \(did you mean 'high'\?\): low, high",
    ),
    "a stem outside": (
        BANDS + '[[before]]\nplugin = "Gain"\n'
        'automate.gain_db = {stem = "high", levels_db = [-60, 0], values = [0, -9]}',
        "no stem 'high' to listen to: none: only the chain of a stem",
    ),
    "separator inside": (
        'title = "x"\n[[chain]]\nseparator = {name = "bands", width = 0}',
        r"chain\[0\]: separator: bands: width must be a whole number",
    ),
    "stems inside": (
        'title = "x"\n[[chain]]\nseparator = {name = "bands"}\nstems.kick = []',
        r"chain\[0\]: stems: bands gives no stem 'kick'",
    ),
    "loose stems": ('title = "x"\n[[chain]]\nplugin = "Gain"\nremix = true', "belong beside separator"),
    "stem": (
        BANDS + '[[stems.kick]]\nplugin = "Gain"',
        "stems: bands gives no stem 'kick' here; its stems are: low",
    ),
    "both": (
        BANDS + '[[before]]\nplugin = "Gain"\nexternal = "Gain"',
        r"before\[0\]: must hold either plugin",
    ),
    "neither": (BANDS + "[[before]]\ngain_db = 3", r"before\[0\]: must hold either plugin"),
    "loose external": (
        BANDS + '[[before]]\nexternal = "X"\ngain = 3',
        r"before\[0\]: .* under parameters .*: gain",
    ),
    "stateful built-in": (
        BANDS + '[[before]]\nplugin = "Gain"\nstate = "AA=="',
        "beside its name, not under",
    ),
    "no list": (BANDS + '[[before]]\nplugin = "Mix"', "belongs to Mix and Chain"),
    "no container": (BANDS + '[[before]]\nplugin = "Gain"\nplugins = []', "belongs to Mix and Chain"),
    "nested range": (
        BANDS + '[[before]]\nplugin = "Chain"\nplugins = [{plugin = "Mix", plugins = [{plugin = "Gian"}]}]',
        r"before\[0\]: Pedalboard has no plug-in 'Gian'",
    ),
    "after without remix": (BANDS + '[[after]]\nplugin = "Gain"', "after: .* needs remix = true"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_one_line_with_file_key_and_remedy(case, tmp_path):
    text, says = WRONG[case]
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(PresetError, match=says) as error:
        Preset.load(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message


def test_names_and_files_that_are_not_there(tmp_path):
    with pytest.raises(
        PresetError, match=r"no preset 'drumloop' \(did you mean 'drum-loop'\?\); there are: .*blind-4"
    ):
        Preset.load("drumloop")
    for path in (tmp_path / "none.toml", tmp_path, f"{tmp_path}/none", "../drum-loop", "none.toml"):
        with pytest.raises(PresetError, match="no such file"):
            Preset.load(path)


def test_a_name_never_leads_out_of_the_presets_folder(tmp_path):
    for name in ("..", "", ".", "drum-loop\0", "*"):
        with pytest.raises(PresetError, match="no preset"):
            Preset.load(name)


def test_files_that_are_not_presets(tmp_path):
    long = tmp_path / "long.toml"
    with long.open("wb") as file:
        file.truncate(MAXIMUM_BYTES + 1)
    with pytest.raises(PresetError, match="too long"):
        Preset.load(long)
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00RIFF")
    with pytest.raises(PresetError, match="not UTF-8"):
        Preset.load(binary)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from(["title", "remix", "separator", "before", "stems", "after", "output", "other"]),
)
def test_any_value_in_any_key_is_a_preset_or_one_clear_line(value, key):
    values = {"title": "x", "separator": {"name": "bands"}, key: value}
    if value is None:
        del values[key]
    try:
        text = tomli_w.dumps(values)
    except (TypeError, UnicodeEncodeError):
        return
    said = None
    try:
        preset = Preset.parse(text, "own.toml")
        preset.check()
    except PresetError as error:
        said = str(error)
    if said is None:
        assert Preset.parse(preset.dump(), "own.toml") == preset
    else:
        assert said.startswith("own.toml: ")
        assert "\n" not in said


# -- the schema ---------------------------------------------------------------------------------


def test_the_schema_holds_every_separators_and_built_ins_table():
    schema = json.loads(json.dumps(Preset.model_json_schema()))
    found = {row["properties"]["name"]["const"]: row for row in schema["$defs"]["SeparatorTable"]["oneOf"]}
    assert set(found) == set(separators.names())
    for name, row in found.items():
        table = separators.get(name).parameters
        assert set(row["properties"]) == {"name", *table}
        assert row["additionalProperties"] is False
        for key, parameter in table.items():
            default = parameter.default
            text = str(default) if isinstance(default, Content) else default
            assert row["properties"][key]["default"] == text
            assert row["properties"][key].get("minimum") == parameter.minimum
    entries = schema["$defs"]["PluginEntry"]["oneOf"]
    names = [entry["properties"]["plugin"]["const"] for entry in entries if "plugin" in entry["properties"]]
    assert names == [*built_ins(), "Chain", "Mix", "StemMix", "Convolution"]
    assert set(schema["properties"]) == set(Preset.model_fields)
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("a" + ".a" * 50_000 + " = 1", "nested more than 32 deep", id="dots"),
        pytest.param('"a"' + ' . "a"' * 40 + " = 1", "nested more than 32 deep", id="quoted dots"),
        pytest.param("x = {a" + ".a" * 40 + " = 1}", "nested more than 32 deep", id="inline dots"),
        pytest.param("a" + ".a" * 500_000 + " = 1", "characters beside its texts are too many", id="length"),
        pytest.param("".join(f"[a{n}]\n" for n in range(50_000)), "too many for a preset", id="tables"),
        pytest.param("a = " + "[" * 50_000, "not TOML", id="brackets"),
        pytest.param("a = " + "{a = " * 1000 + "1" + "}" * 1000, "not TOML", id="braces"),
        pytest.param("a = " + "9" * 5000, "not TOML: Exceeds the limit", id="digits"),
        pytest.param('a = "' + "x\\n" * 40_000, "not TOML", id="a text that does not end"),
        pytest.param(" " * 130_000 + "x" * 1000, "not TOML", id="blanks"),
    ],
)
def test_toml_that_would_cost_memory_or_time_is_refused(tmp_path, text, words):
    resource = pytest.importorskip("resource")
    path = tmp_path / "a.toml"
    path.write_text(text)
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(PresetError, match=words) as caught:
        Preset.read(path)
    assert "\n" not in str(caught.value)
    assert time.process_time() - started < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kilobytes


def test_long_texts_and_many_numbers_are_no_bombs():
    """States of plug-ins are megabytes of text."""
    text = f'a = "{"x." * 2_000_000}"\nb = [{"0.5, " * 5000}]\nc.d = 1 # {"." * 99}'
    values = preset_files.tables(text, "a.toml")
    assert (len(values["a"]), len(values["b"]), values["c"]) == (4_000_000, 5000, {"d": 1})


def test_a_pipe_is_no_preset(tmp_path):
    os.mkfifo(tmp_path / "a.toml")
    with pytest.raises(PresetError, match="not a regular file"):
        Preset.read(tmp_path / "a.toml")
