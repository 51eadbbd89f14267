"""One job: stems keep rate, length, channels, place and tags; they share one gain; microphones come apart."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from plugin_bridge.audio.files import AudioFileSource, AudioWriter
from plugin_bridge.errors import JobError, PluginError, PresetError
from plugin_bridge.jobs.contract import attempt
from plugin_bridge.jobs.inputs import FileInput
from plugin_bridge.jobs.job import Part, PresetText, SeparateJob, Settings
from plugin_bridge.jobs.manifest import Manifest
from plugin_bridge.jobs.plan import file_jobs
from plugin_bridge.jobs.together import Together
from plugin_bridge.presets.preset import Preset
from separators.errors import ChannelError
from separators.evaluation import si_sdr
from separators.streaming import ArraySource

RATE = 8000
STAMP = 3600 * RATE
UNPAN = 'title = "t"\n[separator]\nname = "ica"\n'
LOUD = UNPAN + '[[stems.source-1]]\nplugin = "Gain"\ngain_db = 30.0\n'
FILTERED = '[[before]]\nplugin = "HighpassFilter"\ncutoff_frequency_hz = 100\n'

SUM_24_BIT = 3 * 2**-24
"""Two stems, each rounded to 24 bits, and float32's rounding of the sum."""
SUM_FLOAT = 1e-6
SEPARATED_DB = 30.0


def _sources(count=2, frames=4 * RATE, seed=0):
    """Sparse noises whose levels change at different times, so that ICA finds them."""
    rng = np.random.default_rng(seed)
    levels = rng.uniform(0.2, 1, (count, 16)).repeat(-(-frames // 16), axis=1)[:, :frames]
    return (0.06 * levels * rng.laplace(size=(count, frames))).astype(np.float32)


def _write(path, audio, bit_depth="16", rate=RATE, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    with AudioWriter(path, rate, len(audio), bit_depth=bit_depth, **options) as writer:
        writer.write(audio)
    return path


def _read(path):
    with AudioFileSource(path) as source:
        return source.read(0, source.frames)


def _part(path, index=1):
    return Part(FileInput(path), path.parent / "out", path.stem, index)


def _job(path, text=UNPAN, **settings):
    return SeparateJob("job", (_part(path),), PresetText("p", text, "p.toml"), Settings(**settings))


def _together(paths, text=UNPAN, **settings):
    parts = tuple(_part(path, index) for index, path in enumerate(paths, 1))
    return SeparateJob("job", parts, PresetText("p", text, "p.toml"), Settings(**settings), together=True)


def _run(job):
    return job.run(lambda stage, fraction: None)


def _stems(result, track=0):
    return {file.stems[0]: _read(Path(file.path)) for file in result.tracks[track].files}


MIXING = np.array([[1.0, 0.3], [0.4, 1.0]], np.float32)


@pytest.fixture
def duo(tmp_path):
    tags = {"title": ["Duo"], "artist": ["A", "B"]}
    return _write(tmp_path / "duo.wav", MIXING @ _sources(), time_reference=STAMP, tags=tags)


@pytest.mark.parametrize(
    ("depth", "written", "tolerance"),
    [("16", "24", SUM_24_BIT), ("24", "24", SUM_24_BIT), ("float32", "float32", SUM_FLOAT)],
)
def test_stems_sum_to_the_input_at_its_bit_depth_or_better(tmp_path, depth, written, tolerance):
    path = _write(tmp_path / "duo.wav", MIXING @ _sources(), depth)
    result = _run(_job(path))
    stems = _stems(result)
    assert np.abs(sum(stems.values()) - _read(path)).max() <= tolerance
    with AudioFileSource(result.outputs[0]) as stem:
        assert stem.info.bit_depth == written
    assert result.tracks[0].residual_db < -120


@pytest.mark.parametrize("format", ["wav", "aiff", "flac"])
def test_stems_keep_rate_length_channels_place_and_tags(duo, format):
    result = _run(_job(duo, format=format))
    with AudioFileSource(duo) as source:
        for path in result.outputs:
            with AudioFileSource(path) as stem:
                assert (stem.sample_rate, stem.frames, stem.channels) == (RATE, source.frames, 2)
                assert stem.info.time_reference == STAMP
                assert stem.info.tags == source.info.tags


def test_stems_that_would_clip_share_one_gain_and_float_needs_none(duo):
    loud, quiet = (_stems(_run(_job(duo, LOUD, bit_depth=depth))) for depth in ("float32", "16"))
    result = _run(_job(duo, LOUD, bit_depth="16", force=True))
    gain = result.tracks[0].gain
    peak = max(np.abs(stem).max() for stem in loud.values())
    assert peak > 1
    assert gain == pytest.approx(1 / peak)
    for name, stem in loud.items():
        assert np.abs(stem * gain - quiet[name]).max() <= 2**-15
    assert Manifest.read(Path(result.tracks[0].manifest)).gain == gain
    assert _run(_job(duo, LOUD, bit_depth="float32")).tracks[0].gain == 1


def test_one_file_holds_all_stems_one_after_the_other(duo):
    files = _stems(_run(_job(duo)))
    result = _run(_job(duo, layout="multichannel"))
    assert result.tracks[0].files[0].stems == tuple(files)
    assert Path(result.outputs[0]).name == "stems.wav"
    assert np.array_equal(_read(Path(result.outputs[0])), np.concatenate(list(files.values())))


def test_only_the_chosen_stems_are_written_and_they_are_the_same(duo):
    everything = _stems(_run(_job(duo)))
    chosen = _stems(_run(_job(duo, stems=("source-2",), force=True)))
    assert list(chosen) == ["source-2"]
    assert np.array_equal(chosen["source-2"], everything["source-2"])


@pytest.mark.parametrize(
    "extra",
    [
        FILTERED,
        '[[stems.source-2]]\nplugin = "PitchShift"\nsemitones = 3\n',  # a plug-in with latency
        FILTERED + '[[stems.source-1]]\nplugin = "Compressor"\nthreshold_db = -40\n',
    ],
)
def test_a_job_gives_what_its_presets_board_gives(tmp_path, extra):
    audio = MIXING @ _sources()
    path = _write(tmp_path / "duo.wav", audio, "float32")
    stems = _stems(_run(_job(path, UNPAN + extra)))
    board = Preset.parse(UNPAN + extra).board()
    assert np.abs(np.concatenate(list(stems.values())) - board(audio, RATE)).max() <= SUM_FLOAT


def test_a_remix_is_one_file_and_what_the_board_gives(tmp_path):
    audio = MIXING @ _sources()
    path = _write(tmp_path / "duo.wav", audio, "float32")
    text = "remix = true\n" + UNPAN + '[[stems.source-1]]\nplugin = "Gain"\ngain_db = -6.0\n'
    text += '[[after]]\nplugin = "Limiter"\nthreshold_db = -20.0\n'
    result = _run(_job(path, text))
    assert [Path(output).name for output in result.outputs] == ["duo.wav"]
    np.testing.assert_array_equal(_stems(result)["remix"], Preset.parse(text).board()(audio, RATE))
    with pytest.raises(JobError, match="sums its stems into one"):
        _run(_job(path, text, stems=("source-1",)))


@pytest.mark.parametrize("frames", [0, 1, 100])
def test_empty_and_very_short_files_work(tmp_path, frames):
    path = _write(tmp_path / "short.wav", MIXING @ _sources(frames=frames))
    stems = _stems(_run(_job(path)))
    assert [stem.shape for stem in stems.values()] == [(2, frames)] * 2
    assert np.abs(sum(stems.values()) - _read(path)).max(initial=0) <= SUM_24_BIT


def test_silence_stays_silence(tmp_path):
    path = _write(tmp_path / "silent.wav", np.zeros((2, RATE), np.float32))
    result = _run(_job(path))
    assert all(not stem.any() for stem in _stems(result).values())
    assert result.tracks[0].residual_db is None


def test_what_a_method_warns_of_is_kept_and_strict_refuses_it(tmp_path):
    path = _write(tmp_path / "short.wav", MIXING @ _sources(frames=20))
    result = _run(_job(path))
    assert "too few" in result.warnings[0]
    assert Manifest.read(Path(result.tracks[0].manifest)).warnings == result.warnings
    with pytest.raises(JobError, match=r"too few.*--strict refuses this"):
        _run(_job(path, strict=True, force=True))


def test_jobs_side_by_side_in_threads_keep_their_own_warnings(tmp_path):
    jobs = [
        _job(_write(tmp_path / f"{number}.wav", MIXING @ _sources(frames=20 if number % 2 else RATE)))
        for number in range(8)
    ]
    with ThreadPoolExecutor(8) as threads:
        for number, result in enumerate(threads.map(_run, jobs)):
            assert len(result.warnings) == number % 2, result.warnings


@pytest.mark.parametrize(
    ("text", "settings", "error", "complaint"),
    [
        (UNPAN, {"stems": ("kick",)}, JobError, "no stem 'kick'; there are: source-1, source-2"),
        (UNPAN + '[[stems.kick]]\nplugin = "Gain"\n', {}, PresetError, r"stems\.kick"),
        (UNPAN + "sources = 3\n", {}, ChannelError, "at least 3 channels"),
        (UNPAN, {"format": "ogg", "layout": "multichannel"}, Exception, "ogg holds 1 to 2 channels, not 4"),
        (
            UNPAN + "[[before]]\nexternal = 'No Such Plug-in'\n",
            {},
            (PluginError, PresetError),
            "No Such Plug-in",
        ),
    ],
)
def test_what_cannot_be_done_is_said_and_leaves_nothing(duo, text, settings, error, complaint):
    with pytest.raises(error, match=complaint):
        _run(_job(duo, text, **settings))
    out = duo.parent / "out"
    assert not out.exists() or not list(out.iterdir())


def test_nan_in_the_input_is_a_failure_that_says_where(tmp_path):
    audio = MIXING @ _sources()
    with AudioWriter(tmp_path / "a.wav", RATE, 2, bit_depth="float32") as writer:
        writer.write(audio)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    data[-8 * 1000 - 4 : -8 * 1000] = b"\x00\x00\xc0\x7f"  # a quiet NaN
    (tmp_path / "a.wav").write_bytes(data)
    for text in (UNPAN, UNPAN + FILTERED):
        result = attempt(_job(tmp_path / "a.wav", text), lambda stage, fraction: None)
        assert result.status == "failed"
        assert "nan" in result.error.lower()
        assert not result.details


def test_progress_goes_from_nothing_to_all(duo):
    seen = []
    _job(duo, UNPAN + FILTERED, bit_depth="16").run(lambda stage, fraction: seen.append((stage, fraction)))
    fractions = [fraction for _, fraction in seen]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0, 1)
    assert list(dict.fromkeys(stage for stage, _ in seen)) == [
        "reading", "learning", "separating", "writing",
    ]  # fmt: skip


def test_an_exception_in_the_progress_stops_the_job_and_leaves_nothing(duo):
    def stop(stage, fraction):
        if stage == "separating":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _job(duo).run(stop)
    assert list((duo.parent / "out").iterdir()) == []


# -- microphones that hear each other --------------------------------------------------------------


def test_each_microphone_gets_its_own_instrument_and_its_two_stems_sum_to_it(tmp_path):
    sources = _sources(3, 6 * RATE)
    mixing = np.array([[1, 0.3, 0.2], [0.25, 1, 0.3], [0.35, 0.2, 1]], np.float32)
    microphones = mixing @ sources
    paths = [_write(tmp_path / f"mic {i}.wav", channel[None]) for i, channel in enumerate(microphones)]
    result = _run(_together(paths))
    assert [track.track for track in result.tracks] == ["mic 0", "mic 1", "mic 2"]
    for index, path in enumerate(paths):
        stems = _stems(result, index)
        assert list(stems) == ["direct", "bleed"]
        assert np.abs(stems["direct"] + stems["bleed"] - _read(path)).max() <= SUM_24_BIT
        assert si_sdr(sources[index], stems["direct"][0]) > SEPARATED_DB


def test_tracks_are_aligned_by_their_time_stamps(tmp_path):
    sources = _sources(2, 6 * RATE)
    cut = RATE // 2
    sources[:, :cut] = 0  # so that the second file lacks nothing but its beginning
    first, second = MIXING @ sources
    paths = [
        _write(tmp_path / "a.wav", first[None], time_reference=STAMP),
        _write(tmp_path / "b.wav", second[None, cut:], time_reference=STAMP + cut),
    ]
    result = _run(_together(paths))
    for index, path in enumerate(paths):
        stems = _stems(result, index)
        assert stems["direct"].shape == _read(path).shape
        assert np.abs(stems["direct"] + stems["bleed"] - _read(path)).max() <= SUM_24_BIT
    assert si_sdr(sources[1, cut:], _stems(result, 1)["direct"][0]) > SEPARATED_DB


def test_a_stereo_track_is_one_channel_and_keeps_its_two(tmp_path):
    sources = _sources()
    first, second = MIXING @ sources
    paths = [_write(tmp_path / "a.wav", np.stack([first, first])), _write(tmp_path / "b.wav", second[None])]
    result = _run(_together(paths))
    stems = _stems(result, 0)
    assert stems["direct"].shape == (2, sources.shape[1])
    assert np.array_equal(stems["direct"][0], stems["direct"][1])
    assert si_sdr(sources[0], stems["direct"][0]) > SEPARATED_DB
    assert np.abs(stems["direct"] + stems["bleed"] - _read(paths[0])).max() <= SUM_24_BIT


def test_one_stereo_file_of_two_microphones_is_taken_apart_into_its_channels(tmp_path):
    sources = _sources()
    path = _write(tmp_path / "lavaliers.wav", MIXING @ sources, time_reference=STAMP)
    preset = PresetText("p", UNPAN, "p.toml")
    (job,) = file_jobs([path], tmp_path / "out", preset, Settings(), together=True)
    result = _run(job)
    assert [track.track for track in result.tracks] == ["lavaliers 1", "lavaliers 2"]
    for index, channel in enumerate(_read(path)):
        stems = _stems(result, index)
        assert list(stems) == ["direct", "bleed"]
        assert stems["direct"].shape == (1, len(channel))
        assert np.abs(stems["direct"] + stems["bleed"] - channel).max() <= SUM_24_BIT
        assert si_sdr(sources[index], stems["direct"][0]) > SEPARATED_DB
        with AudioFileSource(Path(result.tracks[index].files[0].path)) as stem:
            assert stem.info.time_reference == STAMP
    assert _run(job).status == "skipped"


def test_one_microphone_alone_is_refused_in_words_of_the_task(tmp_path):
    path = _write(tmp_path / "mono.wav", _sources()[:1])
    with pytest.raises(JobError, match="mono: microphones are separated together, at least two"):
        file_jobs([path], tmp_path / "out", PresetText("p", UNPAN, "p.toml"), Settings(), together=True)


def test_a_set_of_microphones_is_skipped_only_if_all_of_it_is_there(tmp_path):
    first, second = MIXING @ _sources()
    paths = [_write(tmp_path / "a.wav", first[None]), _write(tmp_path / "b.wav", second[None])]
    result = _run(_together(paths))
    assert _run(_together(paths)).status == "skipped"
    Path(result.outputs[-1]).unlink()
    assert _run(_together(paths)).status == "done"
    _write(paths[0], 0.5 * first[None])
    assert _run(_together(paths)).status == "done"


def test_tracks_of_different_rates_cannot_be_one_mixture(tmp_path):
    first, second = MIXING @ _sources()
    paths = [_write(tmp_path / "a.wav", first[None]), _write(tmp_path / "b.wav", second[None], rate=16000)]
    with pytest.raises(JobError, match="8000, 16000 Hz"):
        _run(_together(paths))


def test_a_separator_with_fewer_sources_than_tracks_is_refused(tmp_path):
    paths = [_write(tmp_path / f"{i}.wav", mic[None]) for i, mic in enumerate(_sources(4))]
    with pytest.raises(JobError, match="3 sources in 4 tracks"):
        _run(_together(paths, UNPAN + "sources = 2\n"))


def test_where_a_track_is_not_the_others_hear_silence_from_it():
    tracks = [
        (ArraySource(np.ones((2, 5), np.float32), RATE), 103),
        (ArraySource(np.full((1, 4), 2.0, np.float32), RATE), 100),
    ]
    together = Together(tracks)
    assert together.frames == 8
    assert together.read(0, 8).tolist() == [[0, 0, 0, 1, 1, 1, 1, 1], [2, 2, 2, 2, 0, 0, 0, 0]]
    assert together.read(4, 2).tolist() == [[1, 1], [0, 0]]


def test_stems_are_meant_for_the_loudspeakers_of_the_input(tmp_path):
    five_one = 0x3F
    path = _write(tmp_path / "film.wav", _sources(6), channel_mask=five_one)
    job = _job(path, 'title = "t"\n[separator]\nname = "nmf"\nstems = 2\ncomponents = 4\niterations = 2\n')
    job.run(lambda stage, fraction: None)
    stems = sorted((tmp_path / "out" / "film").glob("*.wav"))
    assert len(stems) == 2
    for stem in stems:
        with AudioFileSource(stem) as source:
            assert (source.channels, source.info.channel_mask) == (6, five_one)
