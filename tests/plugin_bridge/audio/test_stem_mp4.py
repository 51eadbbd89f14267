"""Stem files: five sounds of one length that sum, what they are called, tags and cover; by ffprobe, too."""

from __future__ import annotations

import json
import shutil
import subprocess

import av
import mutagen.flac
import numpy as np
import pytest
import soundfile
from mutagen.mp4 import MP4

from plugin_bridge import separate
from plugin_bridge.audio.cover import read_cover
from plugin_bridge.audio.files import AudioFileSource
from plugin_bridge.audio.stem_mp4 import MASTERING, merged, places, read_titles, write_stem_mp4
from plugin_bridge.errors import AudioFileError, PresetError
from plugin_bridge.jobs.listening import write_report
from plugin_bridge.jobs.manifest import Manifest
from tests.plugin_bridge.command_helpers import UNPAN, error_of

RATE = 44100
FRAMES = RATE + 1234
PICTURE = b"\xff\xd8\xff\xe0 not much of a JPEG"
AAC_ERROR_DB = -20
"""Of AAC at 256 kbit/s on tones up to 3 kHz; late by a single frame it would be -7 dB."""
AAC_NOISE_ERROR_DB = -3
"""On noise, which is the hardest there is."""


def stems(channels=2, seed=0):
    return list(np.random.default_rng(seed).uniform(-0.2, 0.2, (4, channels, FRAMES)).astype(np.float32))


def written(path, audio, titles=("drums", "bass", "other", "vocals"), **options):
    cuts = [1, 5000, 40000]
    blocks = zip(*(np.split(one, cuts, axis=1) for one in audio), strict=True)
    write_stem_mp4(path, blocks, titles, RATE, **options)
    return path


def sounds(path):
    """Every sound of the file as it is decoded, integers as they are."""
    found = []
    for number in range(5):
        with av.open(str(path)) as container:
            assert len(container.streams.audio) == 5
            found.append(np.concatenate([one.to_ndarray() for one in container.decode(audio=number)], axis=1))
    return found


@pytest.mark.parametrize("bits", [16, 24])
def test_alac_is_right_to_the_bit_and_the_mixdown_is_the_sum(tmp_path, bits):
    audio = stems()
    mix, *rest = sounds(written(tmp_path / "a.stem.mp4", audio, bit_depth=str(bits)))
    shift = 0 if bits == 16 else 8
    for one, wanted in zip(rest, audio, strict=True):
        assert np.array_equal(one >> shift, np.rint(wanted.astype(np.float64) * 2 ** (bits - 1)))
    assert np.array_equal(mix.astype(np.int64), np.sum(rest, axis=0, dtype=np.int64))


def test_what_passes_full_scale_in_the_mixdown_is_held_there(tmp_path):
    audio = [np.full((2, 5000), level, np.float32) for level in (0.9, 0.9, -0.1, -0.1)]
    write_stem_mp4(tmp_path / "a.stem.mp4", [audio], "abcd", RATE, bit_depth="16")
    assert (sounds(tmp_path / "a.stem.mp4")[0] == 32767).all()


def test_aac_has_the_same_length_and_sums_nearly(tmp_path):
    time = np.arange(FRAMES) / RATE
    tones = [0.2 * np.sin(2 * np.pi * hertz * time) for hertz in (110, 392, 1000, 3000)]
    audio = [np.stack([tone, 0.5 * tone]).astype(np.float32) for tone in tones]
    path = written(tmp_path / "a.stem.mp4", audio, codec="aac")
    found = []
    for number in range(5):
        with AudioFileSource(path, number) as source:
            assert source.frames == FRAMES
            found.append(source.read(0, FRAMES))
    for one, wanted in zip(found, [np.sum(audio, axis=0), *audio], strict=True):
        error = np.square(one - wanted).sum() / np.square(wanted).sum()
        assert 10 * np.log10(error) < AAC_ERROR_DB
    with av.open(str(path)) as container:
        assert all(one.codec_context.name == "aac" for one in container.streams)


def test_names_colours_and_mastering_lie_where_dj_programs_look(tmp_path):
    path = written(tmp_path / "a.stem.mp4", stems(), ["Trommeln", "Bass 音", "other", "vocals"])
    content = path.read_bytes()
    at, inside = 0, content
    for name in (b"moov", b"udta", b"stem"):
        at = 0
        while inside[at + 4 : at + 8] != name:
            size = int.from_bytes(inside[at : at + 4], "big")
            at += size if size != 1 else int.from_bytes(inside[at + 8 : at + 16], "big")
        inside = inside[at + 8 : at + int.from_bytes(inside[at : at + 4], "big")]
    said = json.loads(inside)
    assert [stem["name"] for stem in said["stems"]] == ["Trommeln", "Bass 音", "other", "vocals"]
    assert all(stem["color"][0] == "#" and len(stem["color"]) == 7 for stem in said["stems"])
    assert (said["version"], said["mastering_dsp"]) == (1, MASTERING)
    assert not any(part["enabled"] for part in MASTERING.values())
    assert read_titles(path) == ["Trommeln", "Bass 音", "other", "vocals"]


def test_ffprobe_sees_five_stereo_sounds_of_which_the_mixdown_is_on(tmp_path):
    if not shutil.which("ffprobe"):
        pytest.skip("there is no ffprobe here: apt-get install ffmpeg")
    path = written(tmp_path / "a.stem.mp4", stems())
    command = ["ffprobe", "-v", "error", "-show_streams", "-of", "json", path]
    streams = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["streams"]
    assert [one["codec_name"] for one in streams] == ["alac"] * 5
    assert {(one["channels"], one["sample_rate"], one["duration_ts"]) for one in streams} == {
        (2, str(RATE), FRAMES)
    }
    assert [one["disposition"]["default"] for one in streams] == [1, 0, 0, 0, 0]


def test_stems_go_to_their_places():
    def titles(*names):
        return [place.title for place in places(names)]

    assert titles("vocals", "other", "bass", "drums") == ["drums", "bass", "other", "vocals"]
    assert titles("drums", "bass", "other", "vocals", "guitar", "piano") == [
        "drums", "bass", "other + guitar + piano", "vocals",
    ]  # fmt: skip
    assert titles("drums", "vocals") == ["drums", "(empty)", "(empty)", "vocals"]
    assert titles("a", "b", "c", "d", "e") == ["a", "b", "c", "d + e"]
    assert merged(["a", "b", "c", "d"]) == ""
    assert merged(["a", "b", "c", "d", "e"]) == "the stem.mp4 holds 4 stems: d + e are one stem"
    assert merged(["a", "b"]) == "the stem.mp4 holds 4 stems: 2 of its 4 stems are empty"
    with pytest.raises(AudioFileError, match="at least two"):
        places(["vocals"])


@pytest.fixture
def song(tmp_path):
    """A FLAC with tags and a cover, and a preset of two stems."""
    path = tmp_path / "Song.flac"
    sources = np.random.default_rng(0).laplace(size=(RATE, 2)) * 0.05
    soundfile.write(path, sources @ [[1.0, 0.3], [0.4, 1.0]], RATE, "PCM_24")
    file = mutagen.flac.FLAC(path)
    file.update({"title": "Änder", "artist": "Wer", "bpm": "126.4", "tracknumber": "3/9", "isrc": "DE1"})
    picture = mutagen.flac.Picture()
    picture.type, picture.mime, picture.data = 3, "image/jpeg", PICTURE
    file.add_picture(picture)
    file.save()
    (tmp_path / "unpan.toml").write_text(UNPAN)
    return path


def test_the_whole_way_with_tags_cover_manifest_and_page(song, tmp_path):
    result = separate(song, tmp_path / "unpan.toml", tmp_path / "out", layout="stem.mp4").jobs[0]
    path = tmp_path / "out/Song/Song.stem.mp4"
    assert result.outputs == [path]
    assert "2 of its 4 stems are empty" in " ".join(result.notes)
    mix, *rest = sounds(path)
    assert np.array_equal(mix, np.sum(rest, axis=0))
    assert np.abs((mix >> 8) - soundfile.read(song, dtype="int32")[0].T // 256).max() <= 2
    tags = MP4(path).tags
    assert (tags["\xa9nam"], tags["\xa9ART"], tags["tmpo"], tags["trkn"]) == (
        ["Änder"],
        ["Wer"],
        [126],
        [(3, 9)],
    )
    assert bytes(tags["----:com.apple.iTunes:isrc"][0]) == b"DE1"
    assert bytes(tags["covr"][0]) == PICTURE == read_cover(path).content == read_cover(song).content
    manifest = Manifest.read(tmp_path / "out/Song/manifest.json")
    assert manifest.residual_db < -110
    assert manifest.outputs[0].stems == ["source-1", "source-2"]
    again = separate(song, tmp_path / "unpan.toml", tmp_path / "out", layout="stem.mp4").jobs[0]
    assert again.status == "skipped"
    assert '"source-2"' in next(write_report(tmp_path / "out").parent.glob("tracks/*/track.js")).read_text()


def test_mono_becomes_stereo(song, tmp_path):
    audio, _ = soundfile.read(song)
    soundfile.write(tmp_path / "Mono.wav", audio[:, 0], RATE)
    blind = tmp_path / "blind.toml"
    blind.write_text('title = "b"\n[separator]\nname = "nmf"\nmode = "blind"\nstems = 4\niterations = 3\n')
    separate(tmp_path / "Mono.wav", blind, tmp_path / "out", layout="stem.mp4", format="aac")
    manifest = Manifest.read(tmp_path / "out/Mono/manifest.json")
    assert len(manifest.outputs[0].stems) == 4
    assert manifest.residual_db < AAC_NOISE_ERROR_DB
    write_report(tmp_path / "out")


CONVERTED_DB = -60
"""Of a tone that a converted file holds, against the tone as it is at that rate."""


@pytest.mark.parametrize(
    ("rate", "target"),
    [(22_050, 44_100), (88_200, 44_100), (96_000, 48_000), (32_000, 48_000), (8_000, 48_000)],
)
def test_other_rates_are_converted_and_said(song, tmp_path, rate, target):
    def tones(hertz):
        time = np.arange(hertz) / hertz
        left, right = 0.2 * np.sin(2 * np.pi * 440 * time), 0.2 * np.sin(2 * np.pi * 1000 * time + 1)
        return np.stack([left + 0.3 * right, 0.4 * left + right])

    path = tmp_path / "in" / "Song.wav"
    path.parent.mkdir()
    soundfile.write(path, tones(rate).T, rate, "PCM_24")
    common = {"layout": "stem.mp4", "name": "{track}/{preset}/{stem}"}
    result = separate(path, tmp_path / "unpan.toml", tmp_path / "out", **common).jobs[0]
    assert any(f"{rate} Hz are converted to {target}" in line for line in result.notes)
    with AudioFileSource(tmp_path / "out/Song/unpan/Song.stem.mp4") as mix:
        assert (mix.sample_rate, mix.frames) == (target, target)
        middle = slice(target // 10, -target // 10)  # the tones begin and end at once, which no filter can
        wanted = tones(target)[:, middle]
        error = np.square(mix.read(0, target)[:, middle] - wanted).sum() / np.square(wanted).sum()
    assert 10 * np.log10(error) < CONVERTED_DB
    manifest = Manifest.read(tmp_path / "out/Song/unpan/manifest.json")
    assert manifest.input.sample_rate == target
    assert manifest.residual_db < -110
    again = separate(path, tmp_path / "unpan.toml", tmp_path / "out", **common).jobs[0]
    assert again.status == "skipped"
    described = next(write_report(tmp_path / "out").parent.glob("tracks/*/track.js")).read_text()
    assert '"original": {"peaks"' in described


def test_surround_is_mixed_into_stereo_with_the_gains_of_bs_775(song, tmp_path):
    path = tmp_path / "in" / "Film.wav"
    path.parent.mkdir()
    parts = np.random.default_rng(0).laplace(size=(6, RATE)) * 0.02
    soundfile.write(path, parts.T, RATE, "PCM_24")
    result = separate(path, tmp_path / "unpan.toml", tmp_path / "out", layout="stem.mp4").jobs[0]
    assert any("the 6 channels are mixed into two" in line for line in result.notes)
    left, right, centre, _, back_left, back_right = parts
    half = np.sqrt(0.5)
    wanted = np.stack([left + half * (centre + back_left), right + half * (centre + back_right)])
    with AudioFileSource(tmp_path / "out/Film/Film.stem.mp4") as mix:
        assert np.abs(mix.read(0, RATE) - wanted).max() < 1e-5  # some steps of 24 bits


def test_what_is_converted_keeps_its_place_on_the_timeline_and_its_cover(song, tmp_path):
    path = tmp_path / "Slow.flac"
    audio, _ = soundfile.read(song)
    soundfile.write(path, audio, 22_050, "PCM_24")
    file = mutagen.flac.FLAC(path)
    file.update({"time_reference": "22050", "tracknumber": "3", "totaltracks": "12"})
    picture = mutagen.flac.Picture()
    picture.type, picture.mime, picture.data = 3, "image/jpeg", PICTURE
    file.add_picture(picture)
    file.save()
    separate(path, tmp_path / "unpan.toml", tmp_path / "out", layout="stem.mp4")
    assert Manifest.read(tmp_path / "out/Slow/manifest.json").input.time_reference == RATE
    tags = MP4(tmp_path / "out/Slow/Slow.stem.mp4").tags
    assert bytes(tags["covr"][0]) == PICTURE
    assert tags["trkn"] == [(3, 12)]
    assert not any("totaltracks" in name for name in tags)


def test_what_cannot_be_is_refused_before_any_work(song, tmp_path):
    with pytest.raises(PresetError, match="alac or aac"):
        separate(song, tmp_path / "unpan.toml", tmp_path / "out", layout="stem.mp4", format="mp3")
    assert "stem.mp4" in error_of("bounce", tmp_path, "--format", "aac")
    common = ("separate", song, "--preset", tmp_path / "unpan.toml", "--out", tmp_path / "out")
    one = error_of(*common, "--layout", "stem.mp4", "--stems", "source-1")
    assert "at least two" in one
    soundfile.write(tmp_path / "many.wav", np.ones((100, 7)) * 0.1, RATE)
    many = error_of("separate", tmp_path / "many.wav", *common[2:], "--layout", "stem.mp4")
    assert "a stem.mp4 holds 1 to 2 channels, not 7; choose layout files" in many
    soundfile.write(tmp_path / "slow.wav", np.ones((100, 2)) * 0.1, 100)
    slow = error_of("separate", tmp_path / "slow.wav", *common[2:], "--layout", "stem.mp4")
    assert "a stem.mp4 holds sample rates of 44100, 48000 Hz, not 100; choose layout files" in slow
    assert not list((tmp_path / "out").rglob("*.*4"))


def test_hostile_files_are_no_stem_files(tmp_path):
    path = tmp_path / "a.stem.mp4"
    for content in (b"", b"\0\0\0\x08moov", b"\0\0\0\x10moov\0\0\0\x04udta", b"\xff" * 100):
        path.write_bytes(content)
        with pytest.raises(AudioFileError, match="no Stem file"):
            read_titles(path)
    assert read_cover(path) is None
