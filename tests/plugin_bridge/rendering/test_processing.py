"""Effects and instruments of sessions, from states to samples; what breaks on the way."""

import shutil
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import numpy as np
import pytest

from plugin_bridge import HostedInstrument, HostedPlugin, JobsFailedError, bounce, open_session
from plugin_bridge.errors import SessionError
from plugin_bridge.plugins.folders import find_plugin
from plugin_bridge.rendering import devices
from plugin_bridge.rendering.processing import BrokenPluginError, Processing
from plugin_bridge.rendering.tracks import MixSource, TrackSource, selected_tracks
from plugin_bridge.sessions.model import MidiMessage, PluginState, Track
from plugin_bridge.sessions.notes import messages_of
from separators.score import Note
from tests.plugin_bridge.plugins import in_process
from tests.plugin_bridge.plugins.sound_fonts import sine_font
from tests.plugin_bridge.plugins.vst3 import needs_vst3
from tests.plugin_bridge.session_helpers import RATE, item, noise, project, read, save, track, write
from tests.plugin_bridge.sessions.dawproject import helpers as dawprojects
from tests.plugin_bridge.sessions.rpp.vst_blocks import chain, vst3

CRASH, HANG, EAT = 1, 2, 3
SECONDS = 4.0


@pytest.fixture(scope="module")
def alone():
    """Calls a function of :mod:`tests.plugin_bridge.plugins.in_process` in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield lambda *call: pool.submit(*call).result(120)


@pytest.fixture
def audio(tmp_path):
    made = noise(SECONDS, channels=2)
    write(tmp_path / "a.wav", made)
    return made


def preset_of(own_plugins, **values):
    return HostedPlugin("FaultyGain", values, plugin_paths=[own_plugins]).preset_data


def effects(own_plugins, **fields):
    return Processing(effects=True, plugin_paths=(own_plugins,), **fields)


def rendered(path, processing, index=0):
    session = open_session(path)
    with TrackSource(session, session.tracks[index], processing=processing) as source:
        blocks = [
            source.read(start, min(50_000, source.frames - start))
            for start in range(0, source.frames, 50_000)
        ]
        return np.concatenate(blocks, axis=1), source


# -- states to samples --------------------------------------------------------------------------


def test_an_rpp_with_a_state_renders_bit_equal_to_the_plugin_driven_with_it(
    own_plugins, alone, tmp_path, audio
):
    preset = preset_of(own_plugins, gain=1.5)
    path = save(tmp_path, project(track("A", item(length=SECONDS), strip=chain(vst3(preset)))))
    state = open_session(path).tracks[0].chain[0]
    assert (state.format, state.file, state.role, state.bypassed) == (
        "VST3",
        "FaultyGain.vst3",
        "effect",
        False,
    )
    expected = alone(in_process.run_state, own_plugins / "FaultyGain.vst3", preset, audio, RATE)
    out, source = rendered(path, effects(own_plugins))
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(out, np.float32(1.5) * audio)
    assert source.not_honoured == []
    dry, source = rendered(path, Processing())
    np.testing.assert_array_equal(dry, audio)


@needs_vst3("ZamCompX2", "ZaMaximX2")
def test_real_plugins_in_a_row_with_latency_are_bit_equal_too(alone, tmp_path, audio):
    presets = {
        name: HostedPlugin(name, values).preset_data
        for name, values in {
            "ZamCompX2": {"threshold_db": -30, "ratio": 8},
            "ZaMaximX2": {"threshold_db": -20},
        }.items()
    }
    blocks = [vst3(preset, name) for name, preset in presets.items()]
    path = save(tmp_path, project(track("A", item(length=SECONDS), strip=chain(*blocks))))
    expected = audio
    for name, preset in presets.items():
        expected = alone(in_process.run_state, find_plugin(name), preset, expected, RATE)
    out, source = rendered(path, Processing(effects=True))
    np.testing.assert_array_equal(out, expected)
    assert np.abs(out - audio).max() > 0.01
    assert source.not_honoured == []


@needs_vst3("ZamCompX2", "ZaMaximX2")
def test_a_dawproject_with_states_renders_bit_equal_to_the_plugins_driven_with_them(alone, tmp_path, audio):
    states = {
        name: HostedPlugin(name, values)
        for name, values in {
            "ZamCompX2": {"threshold_db": -30, "ratio": 8},
            "ZaMaximX2": {"threshold_db": -20},
        }.items()
    }
    presets = {name: plugin.preset_data for name, plugin in states.items()}
    devices = "".join(
        f'<Vst3Plugin deviceID="{plugin.class_id}" deviceName="{name}" deviceRole="audioFX">'
        f'<State path="plugins/{name}.vstpreset"/><Enabled value="true"/></Vst3Plugin>'
        for name, plugin in states.items()
    )
    media = dawprojects.audio(SECONDS).replace('channels="1"', 'channels="2"')
    members = {"audio/a.wav": dawprojects.wav(audio)}
    path = dawprojects.save(
        tmp_path / "song.dawproject",
        dawprojects.project(
            dawprojects.track(channel=f"><Devices>{devices}</Devices>"),
            dawprojects.lanes(dawprojects.clip(duration=2 * SECONDS, inner=media)),
        ),
        members | {f"plugins/{name}.vstpreset": preset for name, preset in presets.items()},
    )
    expected = audio
    for name, preset in presets.items():
        expected = alone(in_process.run_state, find_plugin(name), preset, expected, dawprojects.RATE)
    out, source = rendered(path, Processing(effects=True))
    np.testing.assert_array_equal(out, expected)
    assert np.abs(out - audio).max() > 0.01
    assert source.not_honoured == []
    (job,) = bounce(path, tmp_path / "out", with_fx=True).jobs
    np.testing.assert_array_equal(read(job.outputs[0]), expected)


def test_bounce_with_effects_says_only_what_is_left_out(own_plugins, tmp_path, audio):
    lv2 = '      <LV2 "LV2: Some EQ" urn:eq\n      >\n'
    vst2 = '      <VST "VST: Old Comp (Maker)" oldcomp.so 0 "" 1234567890\n        AAAA\n      >\n'
    strip = chain(vst3(preset_of(own_plugins, gain=2)), lv2, vst2)
    path = save(tmp_path, project(track("A", item(length=SECONDS), strip=strip)))
    dry = bounce(path, tmp_path / "dry").jobs[0]
    assert [line for line in dry.not_honoured if "FaultyGain" in line]
    wet = bounce(path, tmp_path / "wet", with_fx=True, plugin_paths=[own_plugins]).jobs[0]
    np.testing.assert_array_equal(read(wet.outputs[0]), 2 * audio)
    assert wet.not_honoured == [
        "A: plug-in LV2: Some EQ is left out: only VST3 is hosted, not LV2",
        "A: plug-in VST: Old Comp (Maker) is left out: only VST3 is hosted, not VST2",
    ]
    with pytest.raises(JobsFailedError, match="only VST3 is hosted"):
        bounce(path, tmp_path / "strict", with_fx=True, plugin_paths=[own_plugins], strict=True)


def test_bypassed_plugins_stay_bypassed_and_the_mix_has_effects_before_faders(own_plugins, tmp_path, audio):
    loud = vst3(preset_of(own_plugins, gain=4))
    path = save(
        tmp_path,
        project(
            track("A", item(length=SECONDS), strip="VOLPAN 0.5 0 -1 -1 1\n" + chain(loud)),
            track("B", item(length=SECONDS), strip=chain(loud, bypass="1 0 0")),
        ),
    )
    session = open_session(path)
    with MixSource(session, processing=effects(own_plugins)) as mix:
        np.testing.assert_allclose(mix.read(1000, 5000), (0.5 * 4 + 1) * audio[:, 1000:6000], atol=1e-6)


def test_effects_on_the_master_come_before_its_fader(own_plugins, tmp_path, audio):
    loud = chain(vst3(preset_of(own_plugins, gain=4))).replace("<FXCHAIN", "<MASTERFXLIST")
    text = project(track("A", item(length=SECONDS)), head=f"MASTER_VOLUME 0.5 0 -1 -1 1\n{loud}")
    session = open_session(save(tmp_path, text))
    (said,) = session.not_honoured
    assert said.startswith("Master: plug-in VST3: FaultyGain")
    with MixSource(session) as mix:
        assert mix.still_true(session.not_honoured) == [said]
        np.testing.assert_array_equal(mix.read(0, 5000), 0.5 * audio[:, :5000])
    with MixSource(session, processing=effects(own_plugins)) as mix:
        assert mix.still_true(session.not_honoured) == []
        np.testing.assert_allclose(mix.read(0, 5000), 2 * audio[:, :5000], atol=1e-6)


def test_effects_in_subprojects_are_heard_or_said(own_plugins, tmp_path, audio):
    strip = chain(vst3(preset_of(own_plugins, gain=4)), '      <LV2 "LV2: Some EQ" urn:eq\n      >\n')
    save(tmp_path, project(track("I", item(length=SECONDS), item(file="lost.wav"), strip=strip)), "sub.rpp")
    inner = item(1.0, 2.0, source="<SOURCE RPP_PROJECT\nFILE sub.rpp\n>")
    path = save(tmp_path, project(track("T", inner)))
    session = open_session(path)
    gain, eq, lost = session.not_honoured
    assert gain.startswith("T: sub.rpp: I: plug-in VST3: FaultyGain")
    assert eq == "T: sub.rpp: I: plug-in LV2: Some EQ is left out"
    assert lost == "T: sub.rpp: I: lost.wav is missing"
    out, source = rendered(path, effects(own_plugins))
    np.testing.assert_array_equal(out, 4 * audio[:, : 2 * RATE])
    assert source.still_true(session.not_honoured) == [lost]
    assert source.not_honoured == [f"{eq}: only VST3 is hosted, not LV2"]


def test_a_mono_clip_reaches_both_sides_of_a_stereo_plugin(own_plugins, tmp_path):
    write(tmp_path / "a.wav", mono := noise(SECONDS))
    path = save(
        tmp_path, project(track("A", item(length=SECONDS), strip=chain(vst3(preset_of(own_plugins, gain=2)))))
    )
    out, _ = rendered(path, effects(own_plugins))
    np.testing.assert_array_equal(out, 2 * np.repeat(mono, 2, axis=0))


# -- what must not be, and what breaks ----------------------------------------------------------


def test_a_plugin_in_the_sessions_own_folder_is_never_loaded(own_plugins, tmp_path, audio):
    shutil.copytree(own_plugins / "FaultyGain.vst3", tmp_path / "Evil.vst3")
    preset = preset_of(own_plugins, gain=2)
    for file in ("Evil.vst3", "./Evil.vst3", str(tmp_path / "Evil.vst3"), "..\\\\Evil.vst3"):
        block = vst3(preset, "Evil", file=f'"{file}"')
        path = save(tmp_path, project(track("A", item(length=SECONDS), strip=chain(block))))
        out, source = rendered(path, Processing(effects=True))
        np.testing.assert_array_equal(out, audio)
        assert source.not_honoured == [
            "A: plug-in VST3: Evil (Stembridge tests) is left out: it is not installed"
        ]


def test_a_plugin_of_another_class_than_the_sessions_is_not_taken_for_it(own_plugins, tmp_path, audio):
    preset = bytearray(preset_of(own_plugins))
    preset[8:40] = b"0" * 32
    path = save(tmp_path, project(track("A", item(length=SECONDS), strip=chain(vst3(bytes(preset))))))
    with pytest.raises(BrokenPluginError, match=r"^A: FaultyGain: .* is another plug-in"):
        rendered(path, effects(own_plugins))


def test_a_crash_fails_its_track_alone_or_is_bypassed(own_plugins, tmp_path, audio):
    good, bad = (vst3(preset_of(own_plugins, gain=2, fault=fault)) for fault in (0, CRASH))
    path = save(
        tmp_path,
        project(
            track("Bad", item(length=SECONDS), strip=chain(good, bad)),
            track("Good", item(length=SECONDS), strip=chain(good)),
        ),
    )
    settings = {"with_fx": True, "plugin_paths": [own_plugins]}
    with pytest.raises(JobsFailedError) as error:
        bounce(path, tmp_path / "failed", **settings)
    bad_job, good_job = error.value.results.jobs
    assert bad_job.error.startswith("FaultyGain crashed while processing audio (signal 6)")
    assert "\n" not in bad_job.error
    np.testing.assert_array_equal(read(good_job.outputs[0]), 2 * audio)
    assert not list((tmp_path / "failed").glob("Bad*"))
    results = bounce(path, tmp_path / "bypassed", bypass_broken=True, **settings)
    np.testing.assert_array_equal(read(results.jobs[0].outputs[0]), 2 * audio)
    (line,) = results.jobs[0].not_honoured
    assert line.startswith("Bad: FaultyGain crashed while processing audio")
    assert line.endswith("; bypassed")
    mixed = bounce(path, tmp_path / "mix", mix=True, bypass_broken=True, **settings)
    np.testing.assert_allclose(read(mixed.jobs[0].outputs[0]), 4 * audio, atol=1e-6)


@pytest.mark.parametrize(
    ("fault", "says"), [(HANG, "hung while processing audio"), (EAT, "of memory while processing audio")]
)
def test_hangs_and_eaten_memory_are_one_line(own_plugins, tmp_path, audio, monkeypatch, fault, says):
    limits = {"call_seconds": 2.0 if fault == HANG else 60.0, "memory_gb": 0.25}
    monkeypatch.setattr("plugin_bridge.rendering.processing.LIMITS", limits)
    path = save(
        tmp_path,
        project(track("A", item(length=SECONDS), strip=chain(vst3(preset_of(own_plugins, fault=fault))))),
    )
    results = bounce(path, tmp_path / "out", with_fx=True, plugin_paths=[own_plugins], bypass_broken=True)
    assert says in results.jobs[0].not_honoured[0]
    np.testing.assert_array_equal(read(results.jobs[0].outputs[0]), audio)


def test_wrong_channel_counts_fail_the_track(own_plugins, tmp_path):
    write(tmp_path / "a.wav", noise(SECONDS, channels=3))
    path = save(
        tmp_path,
        project(track("A", item(length=SECONDS), strip="NCHAN 4\n" + chain(vst3(preset_of(own_plugins))))),
    )
    with pytest.raises(BrokenPluginError, match="A: FaultyGain: it takes 2 channels"):
        rendered(path, effects(own_plugins))


# -- instruments --------------------------------------------------------------------------------

NOTES = [(0.5, 1.0, 69, 127), (1.25, 1.5, 81, 64)]


def midi_item(length=2.0):
    """A REAPER item at 120 quarter notes a minute, 960 ticks each."""
    events, last = "", 0
    for at, data in sorted(
        [(start, f"90 {pitch:x} {velocity:x}") for start, _, pitch, velocity in NOTES]
        + [(end, f"80 {pitch:x} 0") for _, end, pitch, _ in NOTES]
        + [(0.25, "b0 40 7f")]
    ):
        tick = round(at * 1920)
        events += f"        E {tick - last} {data}\n"
        last = tick
    return item(length=length, source=f"<SOURCE MIDI\n        HASDATA 1 960 QN\n{events}      >")


def test_an_instrument_plays_the_notes_with_the_sessions_state(own_plugins, alone, tmp_path):
    preset = HostedInstrument("SineSynth", {"level": 0.25}, plugin_paths=[own_plugins]).preset_data
    synth = vst3(preset, "SineSynth", "VST3i", instrument=True)
    gain = vst3(preset_of(own_plugins, gain=2))
    path = save(tmp_path, project(track("Lead", midi_item(), strip=chain(synth, gain))))
    session = open_session(path)
    assert session.tracks[0].chain[0].role == "instrument"
    assert selected_tracks(session) == []
    processing = effects(own_plugins, instruments=True)
    assert selected_tracks(session, processing=processing) == session.tracks
    messages = [(bytes(one.bytes()), one.time) for one in messages_of(session.tracks[0])]
    frames = round(1.5 * RATE)
    expected = 2 * alone(
        in_process.play_state, own_plugins / "SineSynth.vst3", preset, messages, frames, RATE
    )
    job = bounce(path, tmp_path / "out", with_fx=True, instruments=True, plugin_paths=[own_plugins]).jobs[0]
    out = read(job.outputs[0])
    assert out.shape == (2, frames)
    np.testing.assert_allclose(out, expected, atol=1e-6)
    assert np.abs(out).max() == pytest.approx(0.5, abs=1e-3)
    assert job.not_honoured == []
    without = bounce(path, tmp_path / "dry", instruments=True, plugin_paths=[own_plugins]).jobs[0]
    np.testing.assert_allclose(read(without.outputs[0]), expected / 2, atol=1e-6)
    assert [line for line in without.not_honoured if "FaultyGain" in line]


def test_the_controllers_of_midi_items_are_kept(tmp_path):
    session = open_session(save(tmp_path, project(track("Lead", midi_item()))))
    (lead,) = session.tracks
    assert lead.messages == [MidiMessage(0.25, bytes([0xB0, 64, 127]))]
    assert [message.type for message in messages_of(lead)] == [
        "control_change", "note_on", "note_off", "note_on", "note_off",
    ]  # fmt: skip


def test_notes_alone_bring_program_volume_and_pan():
    notes = [
        Note(1.0, 0.5, 60, 100, 2, 0.25, 0.0, 5),
        Note(0.0, 1.0, 62, 90, 2, 0.25, 0.0, 5),
    ]
    found = [(m.time, m.type) for m in messages_of(Track("T", notes=notes))]
    assert found == [
        (0.0, "program_change"), (0.0, "control_change"), (0.0, "control_change"), (0.0, "note_on"),
        (1.0, "note_off"), (1.0, "note_on"), (1.5, "note_off"),
    ]  # fmt: skip


def test_a_missing_instrument_is_said_or_a_soundfont_plays(own_plugins, tmp_path):
    preset = HostedInstrument("SineSynth", plugin_paths=[own_plugins]).preset_data
    path = save(
        tmp_path,
        project(track("Lead", midi_item(), strip=chain(vst3(preset, "Lost", "VST3i", instrument=True)))),
    )
    job = bounce(path, tmp_path / "silent", instruments=True).jobs[0]
    assert not read(job.outputs[0]).any()
    assert "name a SoundFont" in " ".join(job.not_honoured)
    pytest.importorskip("fluidsynth", reason="needs pyfluidsynth and libfluidsynth", exc_type=ImportError)
    (tmp_path / "sine.sf2").write_bytes(sine_font())
    job = bounce(path, tmp_path / "out", instruments=True, sound_font=tmp_path / "sine.sf2").jobs[0]
    out = read(job.outputs[0])
    loud = np.flatnonzero(np.abs(out[0]) > 0.1 * np.abs(out).max())
    assert loud[0] == pytest.approx(0.5 * RATE, abs=200)
    assert any("Lost" in line for line in job.not_honoured)


def test_without_a_processing_notes_are_no_audio(tmp_path):
    session = open_session(save(tmp_path, project(track("Lead", midi_item()))))
    with pytest.raises(SessionError, match="no track with audio"):
        selected_tracks(session, ["Lead"])


# -- DAWproject's own devices -------------------------------------------------------------------

EQUALIZER = b"""<Equalizer deviceName="EQ"><Band type="bell"><Freq value="1000" unit="hertz"/>
<Gain value="12" unit="decibel"/><Q value="2" unit="linear"/></Band><Band type="highPass" order="4">
<Freq value="200" unit="hertz"/></Band></Equalizer>"""
COMPRESSOR = b"""<Compressor deviceName="C"><Threshold value="-20" unit="decibel"/>
<Ratio value="4" unit="linear"/>
<OutputGain value="6" unit="decibel"/></Compressor>"""


def device_session(tmp_path, *states):
    write(tmp_path / "a.wav", noise(SECONDS, channels=2))
    session = open_session(save(tmp_path, project(track("A", item(length=SECONDS)))))
    session.tracks[0].chain = list(states)
    session.not_honoured = [f"A: plug-in {state.name} is left out" for state in states]
    return session


def device(data):
    tag = data[1:].split()[0].decode()
    return PluginState(tag, devices.FORMAT, tag, data)


def test_built_in_devices_are_off_unless_asked_for_and_said_to_be_near(tmp_path):
    session = device_session(tmp_path, device(EQUALIZER), device(COMPRESSOR))
    dry = read(tmp_path / "a.wav")
    for processing in (Processing(), Processing(effects=True)):
        with TrackSource(session, session.tracks[0], processing=processing) as source:
            np.testing.assert_array_equal(source.read(0, source.frames), dry)
            assert source.still_true(session.not_honoured) == session.not_honoured
    with TrackSource(session, session.tracks[0], processing=Processing(approximate=True)) as source:
        out = source.read(0, source.frames)
        assert source.still_true(session.not_honoured) == []
        assert len(source.not_honoured) == 2
    assert np.abs(out - dry).max() > 0.01


def test_the_equalizer_boosts_and_cuts_where_it_says():
    (bell, high_pass) = devices.plugins(device(EQUALIZER))
    impulse = np.zeros((1, RATE), np.float32)
    impulse[0, 0] = 1

    def decibels(plugin, hertz):
        return 20 * np.log10(np.abs(np.fft.rfft(plugin(impulse, RATE)[0])[hertz]))

    assert decibels(bell, 1000) == pytest.approx(12, abs=0.1)
    assert decibels(high_pass, 200) == pytest.approx(-3, abs=0.1)
    assert decibels(high_pass, 50) == pytest.approx(-48, abs=1)  # 24 dB an octave
    blocks = [high_pass(impulse[:, :700], RATE), high_pass(impulse[:, 700:], RATE, reset=False)]
    np.testing.assert_allclose(np.concatenate(blocks, axis=1), high_pass(impulse, RATE), atol=1e-7)


@pytest.mark.parametrize("tag", ["Compressor", "NoiseGate", "Limiter", "Equalizer"])
@pytest.mark.parametrize("value", ["", "nan", "1e300", "-1e300", "0"])
def test_no_value_of_a_device_breaks_it(tag, value):
    names = ("Threshold", "Ratio", "Attack", "Release", "InputGain", "OutputGain")
    parts = "".join(f'<{name} value="{value}"/>' for name in names)
    bands = "".join(
        f'<Band type="{kind}" order="9"><Freq value="{value}"/><Gain value="{value}"/>'
        f'<Q value="{value}"/></Band>'
        for kind in ("highPass", "lowPass", "bandPass", "highShelf", "lowShelf", "bell", "notch")
    )
    data = f"<{tag} >{parts}{bands if tag == 'Equalizer' else ''}</{tag}>".encode()
    for plugin in devices.plugins(device(data)):
        assert plugin(noise(0.1), RATE).shape == (1, 4800)


def test_what_broke_is_left_out_of_the_next_try():
    processing = Processing(effects=True, bypass_broken=True)
    error = BrokenPluginError("A: X crashed", ("id", 0))
    again = processing.without(error)
    assert again.broken == {(("id", 0), "A: X crashed")}
    with pytest.raises(BrokenPluginError):
        replace(processing, bypass_broken=False).without(error)
