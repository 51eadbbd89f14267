"""What FFmpeg's libraries read: exact where nothing is lost, whole at both ends, never another file's."""

import struct
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

import plugin_bridge
from plugin_bridge.audio import ffmpeg
from plugin_bridge.audio.files import AudioFileSource, read_info
from plugin_bridge.errors import AudioFileError

RATE = 44100
FRAMES = 50001
LOSSY_ERROR = 0.1
"""A sine of 0.5 comes back this well from all of them; shifted by a tenth of its period it would not."""


def audio(bits):
    noise = 0.1 * np.random.default_rng(0).standard_normal((2, FRAMES))
    return (np.rint(noise * 2 ** (bits - 1)) / 2 ** (bits - 1)).astype(np.float32)


def sine(rate=RATE):
    return np.repeat((0.5 * np.sin(2 * np.pi * 440 * np.arange(FRAMES) / rate))[None], 2, 0).astype(
        np.float32
    )


KINDS = {"alac": "s16p", "wavpack": "s16p", "tta": "s16", "flac": "s16", "aac": "fltp", "wmav2": "fltp"}


def encode(path, samples, container, codec, layout="stereo", rate=RATE, film=False, **tags):
    """Write ``samples`` with FFmpeg, in pieces as encoders want them."""
    with av.open(path, "w", format=container) as file:
        file.metadata.update(tags)
        stream = file.add_stream(codec, rate=rate, layout=layout)
        stream.codec_context.format = KINDS.get(codec, stream.codec_context.format)
        stream.bit_rate = 192000
        if film:
            picture = file.add_stream("mpeg4", rate=10, width=16, height=16, pix_fmt="yuv420p")
        file.start_encoding()
        if film:
            for number in range(12):
                frame = av.VideoFrame.from_ndarray(np.zeros((24, 16), np.uint8), "yuv420p")
                frame.pts = number
                file.mux(picture.encode(frame))
            file.mux(picture.encode(None))
        size = stream.codec_context.frame_size or 4096
        kind = stream.codec_context.format.name
        bits = {"s16": 16, "s16p": 16, "s32": 32, "s32p": 32}.get(kind)
        values = np.rint(samples * 2.0 ** (bits - 1)).astype(f"i{bits // 8}") if bits else samples
        for start in range(0, samples.shape[1], size):
            piece = np.ascontiguousarray(values[:, start : start + size])
            if not kind.endswith("p"):
                piece = np.ascontiguousarray(piece.T.reshape(1, -1))
            frame = av.AudioFrame.from_ndarray(piece, kind, layout)
            frame.sample_rate = rate
            frame.pts = start
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def read(path):
    with AudioFileSource(path) as source:
        return source.read(0, source.frames)


LOSSLESS = [
    ("a.m4a", "ipod", "alac", 16),
    ("a.mov", "mov", "pcm_s24le", 24),
    ("a.mp4", "mp4", "alac", 16),
    ("a.caf", "caf", "pcm_s16be", 16),
    ("b.caf", "caf", "pcm_s24be", 24),
    ("c.caf", "caf", "alac", 16),
    ("a.w64", "w64", "pcm_s24le", 24),
    ("a.wv", "wv", "wavpack", 16),
    ("a.tta", "tta", "tta", 16),
    ("a.au", "au", "pcm_s16be", 16),
    ("a.mka", "matroska", "flac", 16),
    ("a.avi", "avi", "pcm_s16le", 16),
    ("a.oga", "ogg", "flac", 16),
]


@pytest.mark.parametrize(("name", "container", "codec", "bits"), LOSSLESS, ids=[row[0] for row in LOSSLESS])
def test_lossless_formats_are_read_bit_by_bit(tmp_path, name, container, codec, bits):
    wanted = audio(bits)
    path = encode(tmp_path / name, wanted, container, codec, film=name in ("a.mov", "a.mp4", "a.avi"))
    info = read_info(path)
    assert (info.frames, info.sample_rate, info.channels, info.bit_depth) == (FRAMES, RATE, 2, str(bits))
    assert np.array_equal(read(path), wanted)
    with AudioFileSource(path) as source:
        for start in (40000, 7, FRAMES - 900):
            assert np.array_equal(source.read(start, 900), wanted[:, start : start + 900])


LOSSY = [
    ("a.m4a", "ipod", "aac", RATE),
    ("a.mp4", "mp4", "aac", RATE),
    ("a.opus", "opus", "libopus", 48000),
    ("a.webm", "webm", "libopus", 48000),
    ("a.wma", "asf", "wmav2", RATE),
]


@pytest.mark.parametrize(("name", "container", "codec", "rate"), LOSSY, ids=[row[0] for row in LOSSY])
def test_lossy_formats_start_and_end_where_the_music_does(tmp_path, name, container, codec, rate):
    wanted = sine(rate)
    path = encode(tmp_path / name, wanted, container, codec, rate=rate, film=name == "a.mp4")
    found = read(path)
    if name == "a.wma":  # it does not say how much of its last frame is music
        assert FRAMES <= found.shape[1] < FRAMES + 4096
    else:
        assert found.shape[1] == FRAMES
    inner = slice(3000, 45000)
    assert np.abs(found[:, inner] - wanted[:, inner]).max() < LOSSY_ERROR
    assert read_info(path).bit_depth == "float32"


def test_what_libsndfile_reads_too_is_the_same(tmp_path):
    wanted = audio(24)
    for kind, name in (("W64", "a.w64"), ("CAF", "a.caf"), ("AU", "a.au")):
        soundfile.write(tmp_path / name, wanted.T, RATE, format=kind, subtype="PCM_24")
        assert np.array_equal(read(tmp_path / name), wanted)


@pytest.mark.parametrize("fraction", [0.3, 0.9, 0.999])
@pytest.mark.parametrize(
    ("name", "container", "codec", "bits"),
    [row for row in LOSSLESS if row[0] not in ("a.mp4", "b.caf")] + [("b.m4a", "ipod", "aac", 16)],
)
def test_a_cut_file_is_an_error(tmp_path, name, container, codec, bits, fraction):
    whole = encode(tmp_path / name, audio(bits), container, codec).read_bytes()
    cut = tmp_path / f"cut-{name}"
    cut.write_bytes(whole[: int(len(whole) * fraction)])
    with pytest.raises(AudioFileError, match=f"cut-{name}") as caught:
        read(cut)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "container", "codec"),
    [
        ("a.mka", "matroska", "flac"),
        ("a.aac", "adts", "aac"),
        ("a.wv", "wv", "wavpack"),
        ("a.wma", "asf", "wmav2"),
    ],
)
def test_a_hole_in_the_middle_is_an_error(tmp_path, name, container, codec):
    path = encode(tmp_path / name, audio(16), container, codec)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + len(content) // 4] = bytes(len(content) // 4)
    path.write_bytes(content)
    with pytest.raises(AudioFileError, match=r"damaged|cut short"):
        read(path)


@pytest.mark.parametrize(
    ("kind", "name", "at", "form"),
    [("W64", "data", 16, "<Q"), ("CAF", "data", 4, ">Q"), ("AU", ".snd", 8, ">I")],
)
def test_a_header_that_was_closed_at_half_is_an_error(tmp_path, kind, name, at, form):
    path = tmp_path / "a"
    soundfile.write(path, audio(16).T, RATE, format=kind, subtype="PCM_16")
    content = bytearray(path.read_bytes())
    place = content.index(name.encode()) + at
    (size,) = struct.unpack_from(form, content, place)
    struct.pack_into(form, content, place, size // 16 * 8)
    path.write_bytes(content)
    with pytest.raises(AudioFileError, match=r"belong to none|cut short"):
        read_info(path)


def test_a_caf_from_a_pipe_leaves_its_length_open(tmp_path):
    path = tmp_path / "a.caf"
    soundfile.write(path, audio(16).T, RATE, format="CAF", subtype="PCM_16")
    content = bytearray(path.read_bytes())
    place = content.index(b"data") + 4
    content[place : place + 8] = b"\xff" * 8
    path.write_bytes(content)
    assert np.array_equal(read(path), audio(16))


def test_tags_around_aac_and_wavpack_do_no_harm(tmp_path):
    id3 = b"ID3\x04\0\0\0\0\x01\0" + bytes(128)
    ape = b"APETAGEX" + struct.pack("<IIIIQ", 2000, 32, 0, 0x80000000, 0)
    for name, container, codec in (("a.aac", "adts", "aac"), ("a.wv", "wv", "wavpack")):
        path = encode(tmp_path / name, audio(16), container, codec)
        frames = read_info(path).frames
        path.write_bytes(id3 + path.read_bytes() + ape + b"TAG" + bytes(125))
        assert read_info(path).frames == frames


def test_tags_and_loudspeakers_are_kept(tmp_path):
    six = np.repeat(sine(), 3, 0)
    path = encode(tmp_path / "a.m4a", six, "ipod", "aac", "5.1", title="Song", album_artist="Band")
    info = read_info(path)
    assert info.tags == {"title": ["Song"], "albumartist": ["Band"]}
    assert (info.channels, info.channel_mask) == (6, 0x3F)


def two_sounds(path, first, second):
    """A film's file with a sound in English and its commentary."""
    with av.open(path, "w") as file:
        streams = [file.add_stream("flac", rate=RATE, layout="stereo") for _ in (first, second)]
        streams[0].metadata["language"] = "eng"
        streams[1].metadata.update({"language": "fra", "title": "Commentary"})
        for stream, samples in zip(streams, (first, second), strict=True):
            values = np.ascontiguousarray(np.rint(samples * 32768).astype("i2").T.reshape(1, -1))
            frame = av.AudioFrame.from_ndarray(values, "s16", "stereo")
            frame.sample_rate, frame.pts = RATE, 0
            file.mux(stream.encode(frame))
        for stream in streams:
            file.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
def test_a_second_sound_is_said_and_strict_refuses_it(tmp_path, name):
    first, second = audio(16)[:, :4000], -audio(16)[:, :4000]
    path = two_sounds(tmp_path / name, first, second)
    info = read_info(path)
    with AudioFileSource(path) as source:
        np.testing.assert_array_equal(source.read(0, source.frames), first)
    title = "Commentary, " if name == "a.mkv" else ""
    said = f"{name} holds 2 sounds: 1 (eng) is read, 2 ({title}fra) left out; save those"
    assert info.left_out.startswith(said)
    results = plugin_bridge.separate(path, "stereo-unpan", tmp_path / "out")
    assert results.jobs[0].not_honoured == [info.left_out]
    with pytest.raises(plugin_bridge.JobsFailedError, match="holds 2 sounds"):
        plugin_bridge.separate(path, "stereo-unpan", tmp_path / "strict", strict=True)
    (job,) = plugin_bridge.bounce(tmp_path, tmp_path / "bounced").jobs
    assert job.not_honoured == [f"a: {info.left_out}"]


def test_a_film_without_sound_is_an_error(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(path, "w") as file:
        picture = file.add_stream("mpeg4", rate=10, width=16, height=16, pix_fmt="yuv420p")
        file.mux(picture.encode(av.VideoFrame.from_ndarray(np.zeros((24, 16), np.uint8), "yuv420p")))
        file.mux(picture.encode(None))
    with pytest.raises(AudioFileError, match="no sound in it"):
        read_info(path)


def test_no_file_leads_to_another(tmp_path):
    """Playlists are formats of FFmpeg's too, which open what they name."""
    encode(tmp_path / "a.m4a", sine(), "ipod", "aac")
    for text in (
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\na.m4a\n",
        "ffconcat version 1.0\nfile a.m4a\n",
    ):
        path = tmp_path / "list.m4a"
        path.write_text(text)
        with pytest.raises(AudioFileError, match="it is none of"):
            read_info(path)


def test_a_file_is_decoded_once_to_learn_its_length(tmp_path, monkeypatch):
    path = encode(tmp_path / "a.m4a", sine(), "ipod", "aac")
    first = read_info(path)
    monkeypatch.setattr(ffmpeg, "_opened", None)
    assert read_info(path) == first


def test_memory_does_not_grow_with_the_length(tmp_path):
    path = encode(tmp_path / "a.m4a", np.tile(sine(), 40), "ipod", "alac")
    with AudioFileSource(path) as source:
        for start in range(0, source.frames, 50000):
            source.read(start, min(50000, source.frames - start))
        kept = sum(block.shape[1] for _, block in source._reader._reader._kept)
    assert kept < source.frames / 3


def test_names_that_are_no_text_and_long_paths_are_opened(tmp_path):
    folder = tmp_path
    while len(str(folder)) < 1100:
        folder = folder / ("f" * 200)
    folder.mkdir(parents=True)
    name = b"\xff\xfe take".decode("utf-8", "surrogateescape")
    mp3, flac, m4a = (folder / f"{name}.{suffix}" for suffix in ("mp3", "flac", "m4a"))
    with mp3.open("wb") as file:
        soundfile.write(file, sine().T, RATE, format="MP3")
    with flac.open("wb") as file:
        soundfile.write(file, sine().T, RATE, format="FLAC")
    encode(Path(tmp_path / "a.m4a"), sine(), "ipod", "aac").rename(m4a)
    for path in (mp3, flac, m4a):
        assert read(path).shape == (2, FRAMES)
