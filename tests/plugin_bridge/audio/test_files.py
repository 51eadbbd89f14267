import os
import pickle
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from plugin_bridge.audio.files import (
    AudioFileSource,
    AudioWriter,
    check_output,
    find_audio_files,
    read_info,
    search,
)
from plugin_bridge.audio.outputs import has_full_scale
from plugin_bridge.audio.writer import to_integers
from plugin_bridge.errors import AudioFileError
from separators.atomic import TEMPORARY_SUFFIX

RATE = 44100
HALF_STEP = {"16": 0.5 / 2**15, "24": 0.5 / 2**23, "float32": 0.0}
MP3_ERROR = 0.01
"""A sine at the highest constant MP3 rate comes back this well; a shift of one sample would be 0.03."""


def noise(channels=2, frames=RATE // 4, seed=0, level=0.2):
    rng = np.random.default_rng(seed)
    return np.clip(level * rng.standard_normal((channels, frames)), -1, 1).astype(np.float32)


def sine(frames, hz=440.0):
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(frames) / RATE)).astype(np.float32)[np.newaxis]


def write(path, audio, **options):
    with AudioWriter(path, options.pop("sample_rate", RATE), audio.shape[0], **options) as writer:
        for start in range(0, audio.shape[1], 5000):
            writer.write(audio[:, start : start + 5000])
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def read_all(path):
    with AudioFileSource(path) as source:
        return source.read(0, source.frames)


@pytest.mark.parametrize("bit_depth", ["16", "24", "float32"])
@pytest.mark.parametrize("format", ["wav", "aiff", "flac"])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_what_is_written_is_read_to_half_a_step(tmp_path, format, bit_depth, channels):
    if (format, bit_depth) == ("flac", "float32"):
        pytest.skip("FLAC has no float")
    audio = noise(channels)
    path = write(tmp_path / f"ä 音.{format}", audio, format=format, bit_depth=bit_depth)
    with AudioFileSource(path) as source:
        assert (source.sample_rate, source.channels, source.frames) == (RATE, channels, audio.shape[1])
        assert source.info.format == format
        assert source.info.bit_depth == bit_depth
        error = np.abs(source.read(0, source.frames) - audio).max()
    assert error <= HALF_STEP[bit_depth]


@pytest.mark.parametrize("format", ["wav", "aiff", "flac"])
@pytest.mark.parametrize("bits", [16, 24])
def test_integer_samples_survive_a_copy_bit_by_bit(tmp_path, format, bits):
    full = 2 ** (bits - 1)
    integers = np.array([[-full, -full + 1, -1, 0, 1, full - 2, full - 1]])
    audio = (integers / full).astype(np.float32)
    path = write(tmp_path / "a", audio, format=format, bit_depth=str(bits))
    samples, _ = soundfile.read(path, dtype="int32")
    assert np.array_equal(samples >> (32 - bits), integers[0])
    assert np.array_equal(read_all(path), audio)


@given(st.lists(st.floats(-1, 1, width=32), max_size=50), st.sampled_from([16, 24]))
def test_rounding_is_symmetric_and_stays_inside(values, bits):
    samples = np.array(values, np.float32)
    integers = to_integers(samples, bits)
    assert np.all(np.abs(integers / 2.0 ** (bits - 1) - samples) <= 1.0 / 2 ** (bits - 1))
    inner = np.abs(samples) < 1 - 2.0 ** (1 - bits)
    assert np.array_equal(to_integers(-samples, bits)[inner], -integers[inner])


@pytest.mark.parametrize("format", ["mp3", "ogg"])
def test_lossy_formats_keep_length_and_place(tmp_path, format):
    audio = np.repeat(sine(RATE), 2, axis=0)
    copy = read_all(write(tmp_path / "a", audio, format=format))
    assert copy.shape == audio.shape
    inner = slice(2000, -2000)
    tolerance = MP3_ERROR if format == "mp3" else 3 * MP3_ERROR
    assert np.abs(copy[:, inner] - audio[:, inner]).max() < tolerance


@pytest.mark.parametrize("format", ["wav", "aiff", "flac", "ogg", "mp3"])
def test_any_piece_equals_the_same_piece_of_the_whole(tmp_path, format):
    path = write(tmp_path / "a", noise(frames=3 * RATE), format=format, bit_depth="16")
    whole = read_all(path)
    source = AudioFileSource(path)
    for start in (0, 100000, 20, 131072, 3 * RATE - 7, 3 * RATE - 900, 65530):
        frames = min(7000, source.frames - start)
        assert np.array_equal(source.read(start, frames), whole[:, start : start + frames])
    source.close()


def test_a_step_back_beyond_the_history_decodes_again(tmp_path, monkeypatch):
    monkeypatch.setattr("plugin_bridge.audio.sequential.HISTORY", 1000)
    monkeypatch.setattr("plugin_bridge.audio.sound_file.DECODED_AT_ONCE", 500)
    path = write(tmp_path / "a", noise(frames=20000), format="ogg")
    whole = read_all(path)
    with AudioFileSource(path) as source:
        for start in (15000, 14800, 2000, 19000, 0):
            assert np.array_equal(source.read(start, 700), whole[:, start : start + 700])
        kept = sum(block.shape[1] for _, block in source._reader.reader._kept)
        assert kept <= 1000 + 500 + 700


def test_reading_outside_the_file_is_an_error_and_nothing_is_nothing(tmp_path):
    with AudioFileSource(write(tmp_path / "a.wav", noise(frames=100))) as source:
        assert source.read(100, 0).shape == (2, 0)
        for start, frames in ((50, 51), (-1, 5), (101, 0)):
            with pytest.raises(AudioFileError, match="there are 100"):
                source.read(start, frames)


def test_a_source_survives_pickling_open_or_closed(tmp_path):
    with AudioFileSource(write(tmp_path / "a.wav", noise())) as source:
        before = source.read(10, 20)
        copy = pickle.loads(pickle.dumps(source))
        assert np.array_equal(copy.read(10, 20), before)
        assert copy.info == source.info
        copy.close()


def test_an_empty_file_of_audio_is_no_error(tmp_path):
    path = write(tmp_path / "a.wav", np.zeros((2, 0), np.float32))
    assert read_info(path).frames == 0


@pytest.mark.parametrize("format", ["wav", "aiff", "flac", "ogg", "mp3"])
def test_tags_and_time_stamp_are_kept(tmp_path, format):
    tags = {
        "title": ["Tränen 涙"],
        "artist": ["A", "B"],
        "comment": ["one"],
        "mixer": ["me"],
        "date": ["2024"],
    }
    path = write(tmp_path / "a", noise(frames=3000), format=format, tags=tags, time_reference=5_000_000_000)
    info = read_info(path)
    assert info.time_reference == 5_000_000_000
    assert {name: info.tags.get(name) for name in tags} == tags
    assert np.array_equal(read_all(path).shape, (2, 3000))


@pytest.mark.parametrize("format", ["wav", "aiff", "flac", "ogg", "mp3"])
def test_without_stamp_and_tags_there_are_none(tmp_path, format):
    info = read_info(write(tmp_path / "a", noise(frames=3000), format=format))
    assert info.time_reference is None
    assert "title" not in info.tags


def test_equal_audio_gives_equal_files(tmp_path):
    first = write(tmp_path / "a.wav", noise(), bit_depth="float32")
    second = write(tmp_path / "b.wav", noise(), bit_depth="float32")
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("format", ["wav", "aiff", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("fraction", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_a_cut_file_is_an_error(tmp_path, format, fraction):
    whole = write(tmp_path / "a", noise(), format=format, bit_depth="16").read_bytes()
    cut = tmp_path / f"cut.{format}"
    cut.write_bytes(whole[: int(len(whole) * fraction)])
    with pytest.raises(AudioFileError, match=r"cut\.") as caught:
        AudioFileSource(cut)
    assert "\n" not in str(caught.value)


def test_garbage_text_and_other_formats_are_errors(tmp_path):
    garbage = tmp_path / "garbage.wav"
    garbage.write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(AudioFileError, match="cannot be read as audio"):
        AudioFileSource(garbage)
    voc = tmp_path / "a.voc"
    soundfile.write(voc, noise().T, RATE, subtype="PCM_16")
    with pytest.raises(AudioFileError, match="it is none of WAV, AIFF, FLAC"):
        AudioFileSource(voc)


def test_only_regular_files_are_opened(tmp_path):
    fifo = tmp_path / "fifo.wav"
    os.mkfifo(fifo)
    for path in (tmp_path, fifo, Path("/dev/zero")):
        with pytest.raises(AudioFileError, match="not a regular file"):
            AudioFileSource(path)
    with pytest.raises(AudioFileError, match="no such file"):
        AudioFileSource(tmp_path / "missing.wav")


def test_a_failing_block_leaves_no_file_and_keeps_the_old_one(tmp_path):
    path = write(tmp_path / "a.wav", noise())
    before = path.read_bytes()

    def write_and_fail():
        with AudioWriter(path, RATE, 2) as writer:
            writer.write(noise())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and_fail()
    assert path.read_bytes() == before
    assert names(tmp_path) == ["a.wav"]


def test_the_file_appears_only_when_it_is_complete(tmp_path):
    path = tmp_path / "a.wav"
    with AudioWriter(path, RATE, 2) as writer:
        writer.write(noise())
        assert not path.exists()
        assert [name.endswith(TEMPORARY_SUFFIX) for name in names(tmp_path)] == [True]
    assert names(tmp_path) == ["a.wav"]


@pytest.mark.parametrize("format", ["wav", "flac", "aiff", "ogg", "mp3"])
def test_samples_beyond_full_scale_are_refused(tmp_path, format):
    loud = np.full((1, 100), 1.01, np.float32)
    with pytest.raises(AudioFileError, match="one gain to all stems"):
        write(tmp_path / "a", loud, format=format, bit_depth="16")
    assert names(tmp_path) == []
    assert has_full_scale(format, "16")
    just = np.full((1, 100), np.float32(1 + 1e-7), np.float32)
    write(tmp_path / "a", just, format=format, bit_depth="24")
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("format", ["wav", "aiff"])
def test_float_keeps_samples_beyond_full_scale(tmp_path, format):
    loud = 9 * noise()
    assert not has_full_scale(format, "float32")
    assert np.array_equal(read_all(write(tmp_path / "a", loud, format=format, bit_depth="float32")), loud)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_are_not_written(tmp_path, value):
    with pytest.raises(AudioFileError, match="NaN or infinity"):
        write(tmp_path / "a.wav", np.full((1, 5), value, np.float32), bit_depth="float32")


@pytest.mark.parametrize(
    ("format", "bit_depth", "channels", "sample_rate", "words"),
    [
        ("m4a", "16", 2, RATE, "wav, aiff, flac"),
        ("wav", "32", 2, RATE, "16, 24, float32"),
        ("flac", "float32", 2, RATE, "no float"),
        ("flac", "16", 9, RATE, "1 to 8 channels"),
        ("ogg", "16", 6, RATE, "1 to 2 channels"),
        ("mp3", "16", 3, RATE, "1 to 2 channels"),
        ("mp3", "16", 2, 96000, "48000"),
        ("wav", "16", 0, RATE, "1 to"),
        ("flac", "16", 2, 700000, "655350"),
        ("wav", "16", 2, 44100.5, "not 44100.5"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_before_any_work(
    tmp_path, format, bit_depth, channels, sample_rate, words
):
    with pytest.raises(AudioFileError, match=words):
        check_output(format, bit_depth, channels, sample_rate)
    with pytest.raises(AudioFileError, match=words):
        AudioWriter(tmp_path / "a", sample_rate, channels, format=format, bit_depth=bit_depth)
    assert names(tmp_path) == []


def test_wrong_use_of_the_writer_is_said(tmp_path):
    writer = AudioWriter(tmp_path / "a.wav", RATE, 2)
    with pytest.raises(AudioFileError, match="with block"):
        writer.write(noise())
    with pytest.raises(AudioFileError, match="does not fit 2 channels"), writer:
        writer.write(noise(3))
    with pytest.raises(AudioFileError, match="0 or more"):
        AudioWriter(tmp_path / "a.wav", RATE, 2, time_reference=-1)
    with pytest.raises(AudioFileError, match="cannot be written: no such file"):
        write(tmp_path / "missing" / "a.wav", noise())
    assert names(tmp_path) == []


FULL_DISK = """
import sys, numpy as np
from plugin_bridge.audio.files import AudioWriter
from plugin_bridge.errors import AudioFileError
path, format, limited = sys.argv[1:]
if limited == "rlimit":
    import resource, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
noise = (0.1 * np.random.default_rng(0).standard_normal((2, 1000))).astype(np.float32)
try:
    with AudioWriter(path, 44100, 2, format=format, tags={"title": ["x"]}) as writer:
        for _ in range(400):
            writer.write(noise)
except AudioFileError as error:
    print(error)
    sys.exit(3)
"""


def assert_clean_failure(folder, format, limited):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FULL_DISK, str(folder / "a"), format, limited],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 3, done.stderr
    assert "cannot be written" in done.stdout
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert names(folder) == []
    return done.stdout


@pytest.mark.parametrize("format", ["wav", "flac", "aiff", "ogg", "mp3"])
def test_a_file_that_may_not_grow_is_an_error_and_leaves_nothing(tmp_path, format):
    pytest.importorskip("resource")
    reason = assert_clean_failure(tmp_path, format, "rlimit")
    assert format != "wav" or "too large" in reason  # libsndfile does not say why


@pytest.mark.parametrize("format", ["wav", "flac", "aiff", "ogg", "mp3"])
def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path, format):
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40k", "tmpfs", str(tmp_path)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        assert "no space left" in assert_clean_failure(tmp_path, format, "mount").lower()
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_audio_files_are_found_by_any_suffix(tmp_path):
    for name in ("b.WAV", "A.aif", "c.Mp3", "notes.txt", ".hidden.wav", "._b.WAV"):
        (tmp_path / name).touch()
    (tmp_path / "inner.wav").mkdir()
    (tmp_path / "inner.wav" / "ü.FLAC").touch()
    (tmp_path / ".trash").mkdir()
    (tmp_path / ".trash" / "x.wav").touch()
    found = [path.relative_to(tmp_path).as_posix() for path in find_audio_files(tmp_path)]
    assert found == ["A.aif", "b.WAV", "c.Mp3", "inner.wav/ü.FLAC"]
    assert len(find_audio_files(tmp_path, recursive=False)) == 3
    with pytest.raises(AudioFileError, match="not a folder"):
        find_audio_files(tmp_path / "b.WAV")


def test_what_looks_like_audio_and_is_not_taken_is_named(tmp_path):
    for name in ("a.wav", "b.opus", "c.M4A", "d.rx2", "e.txt", ".hidden.m4p"):
        (tmp_path / name).touch()
    os.mkfifo(tmp_path / "f.wav")
    (tmp_path / "g.mp3").symlink_to("nothing")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "h.wv").touch()
    (tmp_path / "link").symlink_to(tmp_path / "inner")
    found = search(tmp_path)
    assert [path.name for path in found.files] == ["a.wav", "b.opus", "c.M4A", "h.wv"]
    assert {path.name: reason.partition(";")[0] for path, reason in found.left_out.items()} == {
        "d.rx2": "is audio of a kind that is not read (.rx2)",
        "f.wav": "is not a regular file",
        "g.mp3": "is a link to nothing",
        "link": "is a link to a folder, and links are not followed",
    }
    assert len(search(tmp_path, recursive=False).files) == 3


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_header_never_gives_silently_shorter_audio(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damage")
    audio = noise(1, 2000)
    content = bytearray(write(folder / "a.wav", audio, bit_depth="16").read_bytes())
    at = content.index(b"data") + 4
    size = data.draw(st.integers(0, 2**32 - 2))
    content[at : at + 4] = struct.pack("<I", size)
    (folder / "a.wav").write_bytes(content)
    try:
        info = read_info(folder / "a.wav")
    except AudioFileError:
        assert size != 4000
    else:
        assert info.frames == 2000 or abs(size - 4000) < 8


@pytest.mark.parametrize(("channels", "mask"), [(6, 0x3F), (6, 0x60F), (8, 0x63F), (3, 0x103)])
@pytest.mark.parametrize("format", ["wav", "flac"])
def test_loudspeakers_are_kept(tmp_path, format, channels, mask):
    path = write(tmp_path / "a", noise(channels), format=format, channel_mask=mask)
    info = read_info(path)
    assert info.channel_mask == mask
    assert "waveformatextensible_channel_mask" not in info.tags
    assert np.array_equal(read_all(path).shape, noise(channels).shape)
    # Of other loudspeakers than there are channels nothing is said.
    assert read_info(write(tmp_path / "b", noise(channels), format=format, channel_mask=3)).channel_mask == 0


@pytest.mark.parametrize("format", ["wav", "aiff", "flac", "ogg", "mp3"])
def test_paths_above_1024_bytes_are_written_and_read(tmp_path, format):
    folder = tmp_path
    while len(str(folder)) < 1100:
        folder = folder / ("f" * 200)
    folder.mkdir(parents=True)
    path = write(folder / f"a.{format}", noise(), format=format, bit_depth="16", tags={"title": ["x"]})
    assert read_all(path).shape == noise().shape
    assert names(folder) == [path.name]


@pytest.mark.parametrize("text", ["9" * 400, str(2**64), "-5", "1.5", "soon"])
def test_a_time_stamp_beyond_64_bits_or_no_number_is_none(tmp_path, text):
    path = write(tmp_path / "a.flac", noise(), format="flac", tags={"time_reference": [text]})
    assert read_info(path).time_reference is None
    largest = write(tmp_path / "b.flac", noise(), format="flac", tags={"time_reference": [str(2**64 - 1)]})
    assert read_info(largest).time_reference == 2**64 - 1


@pytest.mark.parametrize(("at", "value", "words"), [(24, 2**31 - 1, "2147483647 Hz"), (24, 0, "0 Hz")])
def test_a_sample_rate_that_no_audio_has_is_an_error(tmp_path, at, value, words):
    path = tmp_path / "a.wav"
    soundfile.write(path, noise().T, RATE, subtype="PCM_16")
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, at, value)
    path.write_bytes(content)
    with pytest.raises(AudioFileError, match=words):
        read_info(path)


def compressed_id3(version, flag, names):
    packed = zlib.compress(b"\3" + bytes(20_000_000))
    body = b""
    for name in names:
        size = len(packed) + 4
        shifts = (21, 14, 7, 0)
        length = bytes(size >> shift & 127 for shift in shifts) if version == 4 else size.to_bytes(4, "big")
        body += name + length + bytes([0, flag]) + struct.pack(">I", 20_000_001) + packed
    return b"ID3" + bytes([version, 0, 0, *(len(body) >> shift & 127 for shift in (21, 14, 7, 0))]) + body


@pytest.mark.parametrize(("version", "flag"), [(3, 0x80), (4, 0x09)])
def test_compressed_tags_do_not_fill_the_memory(tmp_path, version, flag):
    path = write(tmp_path / "a.mp3", sine(RATE), format="mp3")
    path.write_bytes(compressed_id3(version, flag, [b"TIT2", b"APIC", b"COMM"]) + path.read_bytes())
    tracemalloc.start()
    info = read_info(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (info.frames, info.tags) == (RATE, {})
    assert peak < 5_000_000
