"""Pages of what lies in a folder: the sets, their originals, and what is not taken."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import soundfile

from plugin_bridge import render, separate
from plugin_bridge.errors import JobError
from plugin_bridge.jobs.listening import write_report
from plugin_bridge.jobs.manifest import Manifest
from tests.plugin_bridge.command_helpers import RATE, error_of, noise, run, write
from tests.test_example_session import SESSION


@pytest.fixture
def duo(tmp_path):
    return write(tmp_path / "Duo.wav", noise())


def described(page):
    """What each track's script says, by the track's name."""
    found = {}
    for path in sorted(page.parent.glob("tracks/*/track.js")):
        name, description = json.loads(f"[{path.read_text()[len('stembridge.track(') : -3]}]")
        assert name == path.parent.name
        found[name.rpartition("-")[0]] = description
    return found


def test_a_page_beside_the_stems(duo, preset, tmp_path):
    results = separate(duo, preset, tmp_path / "out", report=True)
    assert results.page == tmp_path / "out/report/index.html"
    (track,) = described(results.page).values()
    assert track["original"] is not None
    assert [stem["name"] for stem in track["sets"][0]["stems"]] == ["source-1", "source-2"]
    assert (track["rate"], track["channels"], track["frames"]) == (RATE, 2, RATE)
    text = results.page.read_text(encoding="utf-8")
    assert "dB away from the input" in text
    assert str(tmp_path) not in text  # a page that is passed on tells nothing of the disk


def test_no_address_leads_out_of_the_page(duo, preset, tmp_path):
    page = separate(duo, preset, tmp_path / "out", report=True).page
    for path in page.parent.iterdir():
        if path.is_file():
            found = set(re.findall(r"(?:https?:)?//[\w.-]+", path.read_text(encoding="utf-8")))
            assert {one for one in found if one.startswith("http")} <= {"http://www.w3.org"}, path


def test_sets_of_several_presets_are_one_track(duo, preset, tmp_path):
    other = tmp_path / "other.toml"
    other.write_text(preset.read_text())
    for one in (preset, other):
        separate(duo, one, tmp_path / "out", name="{track}/{preset}/{stem}", layout="multichannel")
    (track,) = described(write_report(tmp_path / "out")).values()
    assert [one["preset"] for one in track["sets"]] == ["other", "unpan"]
    assert [len(one["stems"]) for one in track["sets"]] == [2, 2]


def test_originals_are_what_was_separated_or_are_not_there(duo, preset, tmp_path):
    separate(duo, preset, tmp_path / "out")
    soundfile.write(duo, noise(seed=1).T, RATE)
    page = write_report(tmp_path / "out")
    assert described(page)["Duo"]["original"] is None
    assert "is not what was separated any more" in page.read_text(encoding="utf-8")
    duo.unlink()
    assert "is not there any more" in write_report(tmp_path / "out").read_text(encoding="utf-8")
    write(duo, noise())
    assert described(write_report(tmp_path / "out"))["Duo"]["original"] is not None


def test_originals_of_sessions_and_of_channels(preset, tmp_path):
    render(SESSION, "mic-bleed", tmp_path / "out", tracks=["Mic*", "Duo"])
    found = described(write_report(tmp_path / "out"))
    assert sorted(found) == ["Duo", "Mic Guitar", "Mic Tabla"]
    separate(SESSION / "audio/Duo.wav", "mic-bleed", tmp_path / "two")
    found |= described(write_report(tmp_path / "two"))
    assert all(track["original"] for track in found.values())


def test_manifests_that_lead_out_of_the_folder_are_not_taken(duo, preset, tmp_path):
    separate(duo, preset, tmp_path / "out")
    path = tmp_path / "out/Duo/manifest.json"
    (tmp_path / "secret.wav").write_bytes((tmp_path / "out/Duo/source-1.wav").read_bytes())
    text = path.read_text().replace('"source-1.wav"', '"../../secret.wav"')
    path.write_text(text)
    assert Manifest.read(path) is not None
    with pytest.raises(JobError, match="no stems here"):
        write_report(tmp_path / "out")


def test_lies_in_a_manifest_are_errors(duo, preset, tmp_path):
    separate(duo, preset, tmp_path / "out")
    path = tmp_path / "out/Duo/manifest.json"
    path.write_text(path.read_text().replace(f'"frames": {RATE}', f'"frames": {RATE + 1}'))
    with pytest.raises(JobError, match="as its manifest says"):
        write_report(tmp_path / "out")
    assert not list((tmp_path / "out").rglob("track.js"))


def test_the_command(duo, preset, tmp_path):
    assert "no stems here" in error_of("report", tmp_path)
    run("separate", duo, "--preset", preset, "--out", tmp_path / "out", "--report", "--quiet")
    assert (tmp_path / "out/report/index.html").is_file()
    result = run("report", tmp_path / "out", "--to", tmp_path / "page")
    assert f"Listen in a browser: {(tmp_path / 'page/index.html').as_uri()}" in result.stdout
    # The page's folder is no input, and no results.
    assert np.sum([path.name == "index.html" for path in tmp_path.rglob("*")]) == 2
    assert not list(tmp_path.rglob(".stembridge-*"))
