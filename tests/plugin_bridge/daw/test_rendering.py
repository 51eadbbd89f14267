"""DAWs are played by small scripts here; real ones are in test_real_ardour.py."""

import sys
import time

import numpy as np
import pytest

import plugin_bridge
from plugin_bridge.daw.reaper import rendering_text
from plugin_bridge.daw.rendering import render_by_daw
from plugin_bridge.daw.running import Run, render, run_program
from plugin_bridge.errors import JobError, SessionError
from tests.plugin_bridge.session_helpers import item, noise, project, read, save, track, write


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Puts a Python script on the PATH under a DAW's name."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def make(name, text):
        path = folder / name
        path.write_text(f"#!{sys.executable}\nimport os, shutil, sys, time\n{text}\n")
        path.chmod(0o755)
        return path

    return make


@pytest.fixture
def sound(tmp_path):
    return write(tmp_path / "sound.wav", noise(0.1))


def test_a_program_that_fails_is_run_again(program, sound, tmp_path):
    count = tmp_path / "count"
    daw = program(
        "daw",
        f"n = len(open({str(count)!r}, 'a+').read()) if not open({str(count)!r}, 'a').write('x') else 0\n"
        f"n = os.path.getsize({str(count)!r})\n"
        f"shutil.copy({str(sound)!r}, sys.argv[1]) if n > 2 else sys.exit(3)",
    )
    made = render(Run([str(daw), str(tmp_path / "out.wav")], tmp_path / "out.wav", 4800), 20)
    assert np.array_equal(read(made), read(sound))
    assert count.stat().st_size == 3


def test_a_whole_file_counts_after_an_abort_if_two_runs_agree(program, sound, tmp_path):
    daw = program("daw", f"shutil.copy({str(sound)!r}, sys.argv[1]); os.abort()")
    out = tmp_path / "out.wav"
    assert np.array_equal(read(render(Run([str(daw), str(out)], out, 4800), 20)), read(sound))


@pytest.mark.parametrize(
    ("level", "frames", "said"), [(1.0, 4801, "4801 belong"), (1e9, 4800, "damaged samples")]
)
def test_a_file_of_the_wrong_length_or_with_damaged_samples_never_counts(
    program, tmp_path, level, frames, said
):
    source = write(tmp_path / "sound.wav", np.full((1, 4800), level))
    daw = program("daw", f"shutil.copy({str(source)!r}, sys.argv[1])")
    out = tmp_path / "out.wav"
    with pytest.raises(SessionError, match=said):
        render(Run([str(daw), str(out)], out, frames), 20)


def test_a_program_that_hangs_is_ended_with_its_helpers(program, tmp_path):
    mark = tmp_path / "mark"
    daw = program("daw", f"os.fork() or (time.sleep(2), open({str(mark)!r}, 'w'))\ntime.sleep(60)")
    started = time.monotonic()
    with pytest.raises(SessionError, match="--time-limit"):
        run_program([str(daw)], 0.5)
    assert time.monotonic() - started < 10
    time.sleep(2)
    assert not mark.exists()


def test_a_daw_that_is_not_installed_is_named(program, tmp_path):
    with pytest.raises(SessionError, match="REAPER is not installed"):
        render_by_daw(save(tmp_path, project()), tmp_path / "out")


def test_reaper_is_asked_on_a_copy_and_its_tracks_are_bounced(program, sound, tmp_path):
    write(tmp_path / "a.wav", noise(1))
    path = save(tmp_path, project(track("Voice", item()), track("Bass", item())))
    before = path.read_bytes()
    program(
        "reaper",
        "text = open(sys.argv[-1]).read()\n"
        f"assert sys.argv[-1] != {str(path)!r}\n"
        "folder = text.split('RENDER_FILE ')[1].splitlines()[0].strip('\"')\n"
        f"shutil.copy({str(sound)!r}, folder + '/1 Voice.wav')",
    )
    results = plugin_bridge.bounce(path, tmp_path / "out", renderer="daw", tracks="V*")
    assert results.jobs[0].status == "done"
    assert np.array_equal(read(tmp_path / "out" / "1 Voice.wav"), read(sound))
    assert path.read_bytes() == before


def test_stems_are_made_of_what_the_daw_renders(program, sound, tmp_path):
    write(tmp_path / "a.wav", noise(1))
    path = save(tmp_path, project(track("Voice", item()), track("Bass", item())))
    program(
        "reaper",
        "text = open(sys.argv[-1]).read()\n"
        "folder = text.split('RENDER_FILE ')[1].splitlines()[0].strip('\"')\n"
        f"shutil.copy({str(sound)!r}, folder + '/Voice.wav')",
    )
    options = {"renderer": "daw", "tracks": "V*"}
    results = plugin_bridge.render(path, "blind-4", tmp_path / "out", **options)
    (track_made,) = results.tracks
    assert track_made.track == "Voice"
    assert np.abs(sum(map(read, track_made.stems.values())) - read(sound)).max() < 1e-6
    # They are behind the track's effects, through which a project would send them once more.
    assert results.project is None
    assert not list((tmp_path / "out").glob("*.rpp"))
    with pytest.raises(JobError, match="leave out dry_run"):
        plugin_bridge.render(path, "blind-4", tmp_path / "out", dry_run=True, **options)
    with pytest.raises(JobError, match="the DAW renders on the project's own time; leave out play_rate"):
        plugin_bridge.bounce(path, tmp_path / "out", play_rate=True, **options)


def test_what_reaper_renders_stands_in_the_copy(tmp_path):
    head = 'RENDER_FILE "elsewhere"\nPLAYRATE 1.5 1 0.25 4'
    text = project(track("Voice", strip="SEL 0"), track("Bass", item(extra="PLAYRATE 2 1 0")), head=head)
    made = rendering_text(text, tmp_path / "song.rpp", tmp_path, "$track", ["v*"])
    assert "elsewhere" not in made
    assert "RENDER_STEMS 2" in made
    rates = [line.split()[1] for line in made.splitlines() if "PLAYRATE" in line]
    assert rates == ["1", "2"]  # on the project's own time; what items have of their own stays
    assert [line.strip() for line in made.splitlines() if " SEL " in line] == ["SEL 1", "SEL 0"]
    assert "RENDER_STEMS 0" in rendering_text(text, tmp_path / "song.rpp", tmp_path, "mix", None)


def test_lmms_renders_tracks_into_a_folder_that_is_there(program, sound, tmp_path):
    path = tmp_path / "song.mmp"
    path.write_text("<lmms-project/>")
    program(
        "lmms",
        "folder = sys.argv[sys.argv.index('-o') + 1]\n"
        "assert os.path.isdir(folder) and os.environ['QT_QPA_PLATFORM'] == 'offscreen'\n"
        "for n, name in enumerate(['Lead', 'Kick']):\n"
        f"    shutil.copy({str(sound)!r}, folder + f'/{{n}}_{{name}}.wav')",
    )
    files = render_by_daw(path, tmp_path / "out", ["kick"])
    assert [file.name for file in files] == ["1_Kick.wav"]
    with pytest.raises(SessionError, match="there are: Lead, Kick"):
        render_by_daw(path, tmp_path / "out", ["snare"])
