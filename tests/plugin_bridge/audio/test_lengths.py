"""Whole files, or an error: whatever a header says, nothing follows the last frame unseen."""

import io
import os
import struct

import numpy as np
import pytest
import soundfile

from plugin_bridge.audio.files import AudioFileSource, read_info
from plugin_bridge.errors import AudioFileError

RATE = 44100
UNKNOWN = 0xFFFFFFFF


def noise(frames=30001, channels=2, seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal((frames, channels))).astype(np.float32)


def encoded(audio, kind, rate=RATE, **options):
    buffer = io.BytesIO()
    soundfile.write(buffer, audio, rate, format=kind, **options)
    return buffer.getvalue()


def chunk(identifier, content, pad=b"\0"):
    return identifier + struct.pack("<I", len(content)) + content + (pad if len(content) % 2 else b"")


def fmt(channels=2, bits=16, code=1):
    align = channels * bits // 8
    return chunk(b"fmt ", struct.pack("<HHIIHH", code, channels, RATE, RATE * align, align, bits))


def riff(*chunks, magic=b"RIFF", size=None):
    body = b"WAVE" + b"".join(chunks)
    return magic + struct.pack("<I", len(body) if size is None else size) + body


def pcm(audio, bits):
    integers = np.rint(audio * 2.0 ** (bits - 1)).astype("<i4")
    raw = integers.reshape(-1, 1).view(np.uint8).reshape(-1, 4)[:, : bits // 8].tobytes()
    return raw, (integers / 2.0 ** (bits - 1)).astype(np.float32)


def put(path, content):
    path.write_bytes(content)
    return path


def read(path):
    with AudioFileSource(path) as source:
        return source.read(0, source.frames).T


RAW, WANTED = pcm(noise(), 16)
ODD, ODD_WANTED = pcm(noise(20001, 1), 24)
BEXT = bytearray(603)
struct.pack_into("<Q", BEXT, 338, 123456789)
LIST = chunk(b"LIST", b"INFOINAM" + struct.pack("<I", 6) + b"Title\0")


@pytest.mark.parametrize(
    "content",
    [
        riff(fmt(), LIST, b"data" + struct.pack("<I", UNKNOWN) + RAW, size=UNKNOWN),
        riff(fmt(), b"data" + struct.pack("<I", 0x7FFFF000) + RAW, size=0x7FFFF024),
        riff(fmt(), b"data" + struct.pack("<I", 0x7FFFFFFF - 36) + RAW, size=0x7FFFFFFF),
        riff(fmt(), b"data" + bytes(4) + RAW, size=0),
        riff(fmt(), chunk(b"data", RAW), bytes(32768)),
        riff(fmt(), chunk(b"data", RAW)) + bytes(5000),
        riff(fmt(), chunk(b"data", RAW), size=0),
        riff(fmt(), chunk(b"data", RAW), size=1 << 31),
        riff(chunk(b"LIST", b"adtl" + bytes(3930)), fmt(), chunk(b"data", RAW)),
        riff(chunk(b"JUNK", bytes(91)), fmt(), chunk(b"data", RAW), LIST),
        b"ID3\x04\0\0\0\0\x01\0" + bytes(128) + riff(fmt(), chunk(b"data", RAW)),
        riff(fmt(), chunk(b"data", RAW)) + b"TAG" + bytes(125),
    ],
    ids=range(12),
)
def test_a_wav_with_an_odd_header_is_read_whole(tmp_path, content):
    assert np.array_equal(read(put(tmp_path / "a.wav", content)), WANTED)


@pytest.mark.parametrize(
    "content",
    [
        riff(fmt(1, 24), chunk(b"data", ODD), LIST),
        riff(fmt(1, 24), chunk(b"data", ODD, b"Q"), LIST),
        riff(fmt(1, 24), chunk(b"data", ODD, b""), LIST),
        riff(fmt(1, 24), chunk(b"data", ODD, b"")),
        riff(chunk(b"bext", bytes(BEXT), b""), fmt(1, 24), chunk(b"data", ODD)),
        riff(fmt(1, 24), chunk(b"data", ODD), chunk(b"bext", bytes(BEXT))),
    ],
    ids=["padded", "odd-pad", "no-pad", "no-pad-last", "bext-no-pad", "bext-behind"],
)
def test_padding_of_odd_chunks_may_be_missing(tmp_path, content):
    path = put(tmp_path / "a.wav", content)
    assert np.array_equal(read(path), ODD_WANTED)
    assert read_info(path).time_reference == (123456789 if b"bext" in content else None)
    assert read_info(path).tags == ({"title": ["Title"]} if b"INAM" in content else {})


@pytest.mark.parametrize("magic", [b"RF64", b"BW64"])
def test_rf64_from_a_pipe_does_not_say_how_long_it_is(tmp_path, magic):
    body = (chunk(b"ds64", bytes(28)), fmt(), b"data" + struct.pack("<I", UNKNOWN) + RAW)
    assert np.array_equal(read(put(tmp_path / "a.wav", riff(*body, magic=magic, size=UNKNOWN))), WANTED)


@pytest.mark.parametrize("magic", [b"RF64", b"BW64"])
def test_rf64_and_bw64_with_an_odd_time_stamp_chunk(tmp_path, magic):
    ds64 = chunk(b"ds64", struct.pack("<QQQI", 0, len(RAW), len(WANTED), 0))
    body = (ds64, chunk(b"bext", bytes(BEXT)), fmt(), b"data" + struct.pack("<I", UNKNOWN) + RAW)
    path = put(tmp_path / "a.wav", riff(*body, magic=magic, size=UNKNOWN))
    assert np.array_equal(read(path), WANTED)
    assert read_info(path).time_reference == 123456789


def test_more_than_four_gibibytes_of_unknown_length(tmp_path):
    path = tmp_path / "a.wav"
    audio = 5_000_000_000 // 8 * 8
    with path.open("wb") as file:
        file.write(riff(fmt(2, 32, 3), b"data" + struct.pack("<I", UNKNOWN), size=UNKNOWN))
        os.truncate(path, 44 + audio)
    assert read_info(path).frames == audio // 8
    with path.open("r+b") as file:
        file.seek(40)
        file.write(struct.pack("<I", audio % 2**32))
    with pytest.raises(AudioFileError, match="never closed"):
        read_info(path)


@pytest.mark.parametrize("claimed", [0.5, 0.99])
@pytest.mark.parametrize("riff_size", [None, "right"])
def test_a_header_that_was_closed_too_early_is_an_error(tmp_path, claimed, riff_size):
    size = int(len(RAW) * claimed) // 4 * 4
    data = b"data" + struct.pack("<I", size) + RAW
    path = put(tmp_path / "a.wav", riff(fmt(), data, size=None if riff_size else size + 36))
    with pytest.raises(AudioFileError, match="more follow that are no chunk"):
        read_info(path)


def test_two_data_chunks_are_not_half_a_file(tmp_path):
    path = put(tmp_path / "a.wav", riff(fmt(), chunk(b"data", RAW), chunk(b"data", RAW)))
    with pytest.raises(AudioFileError, match="several data chunks"):
        read_info(path)


CODINGS = [
    (kind, subtype)
    for kind in ("WAV", "WAVEX", "AIFF", "RF64")
    for subtype in soundfile.available_subtypes(kind)
    if subtype != "MPEG_LAYER_III" and not subtype.startswith("DWVW")  # which it does not read itself
]


@pytest.mark.parametrize(("kind", "subtype"), CODINGS)
def test_every_sample_format_is_read_as_libsndfile_does(tmp_path, kind, subtype):
    channels = 1 if subtype.startswith(("GSM", "G72", "NMS")) else 2
    path = tmp_path / "a"
    soundfile.write(path, noise(5000, channels), 16000, format=kind, subtype=subtype)
    wanted, _ = soundfile.read(path, dtype="float32", always_2d=True)
    assert np.array_equal(read(path), wanted)


@pytest.mark.parametrize("endian", ["LITTLE", "BIG"])
def test_aiff_in_both_byte_orders_and_from_a_pipe(tmp_path, endian):
    path = tmp_path / "a.aiff"
    soundfile.write(path, WANTED, RATE, subtype="PCM_16", endian=endian)
    assert np.array_equal(read(path), WANTED)
    content = bytearray(path.read_bytes())
    struct.pack_into(">I", content, content.index(b"COMM") + 10, 0x1FC00000)
    with pytest.raises(AudioFileError, match="cut short"):
        read_info(put(path, content))
    struct.pack_into(">I", content, content.index(b"SSND") + 4, 0x7F000008)
    assert np.array_equal(read(put(path, content)), WANTED)
    for place in (4, content.index(b"SSND") + 4, content.index(b"COMM") + 10):
        content[place : place + 4] = bytes(4)
    assert np.array_equal(read(put(path, content)), WANTED)


def flac(frames_said):
    content = bytearray(encoded(WANTED, "FLAC", subtype="PCM_16"))
    content[21] &= 0xF0
    content[22:26] = struct.pack(">I", frames_said)
    return bytes(content)


@pytest.mark.parametrize("frames", [0, 15000, len(WANTED)])
@pytest.mark.parametrize("tagged", [False, True])
def test_flac_is_as_long_as_its_blocks(tmp_path, frames, tagged):
    """From a pipe it does not say how long it is."""
    content = flac(frames)
    if tagged:
        content = b"ID3\x03\0\0\0\0\x07\x76" + bytes(1014) + content + b"TAG" + bytes(125)
    path = put(tmp_path / "a.flac", content)
    assert np.array_equal(read(path), WANTED)
    with AudioFileSource(path) as source:
        for start in (29000, 5, 12345):
            assert np.array_equal(source.read(start, 900).T, WANTED[start : start + 900])


def test_flac_that_promises_more_is_an_error(tmp_path):
    with pytest.raises(AudioFileError, match="says it has 40000 frames"):
        read_info(put(tmp_path / "a.flac", flac(40000)))


def mp3(**options):
    return encoded(noise(200000), "MP3", **options)


def first_frame(content):
    """The bytes of the frame that holds the encoder's tag: MPEG-1, layer III, at 44.1 kHz."""
    kilobits = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)[(content[2] >> 4) - 1]
    return 144 * kilobits * 1000 // RATE + (content[2] >> 1 & 1)


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_mp3_is_as_long_as_its_frames(tmp_path, mode):
    content = mp3(bitrate_mode=mode, compression_level=0.5)
    path = put(tmp_path / "a.mp3", content)
    wanted, _ = soundfile.read(path, dtype="float32")
    whole = read(path)
    assert whole.shape == (200000, 2)
    assert np.abs(whole - wanted).max() < 1e-5
    at = max(content.find(b"Xing"), content.find(b"Info")) + 8
    (count,) = struct.unpack_from(">I", content, at)

    def saying(frames):
        return put(path, content[:at] + struct.pack(">I", frames) + content[at + 4 :])

    assert np.array_equal(read(saying(0)), whole)
    # What lay behind the believed end is audio; the encoder's padding at the real end is kept with it.
    half = read(saying(count // 2))
    assert np.array_equal(half[:200000], whole)
    assert len(half) < 200000 + 3 * 1152
    for promised in (count + 1, 2 * count):
        with pytest.raises(AudioFileError, match="cut short"):
            read_info(saying(promised))


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
@pytest.mark.parametrize("behind", [b"", b"APE", b"zeros"])
def test_mp3_without_a_tag_is_read_whole(tmp_path, mode, behind):
    content = mp3(bitrate_mode=mode, compression_level=0.5)
    bare = content[first_frame(content) :]
    header = struct.pack("<IIIIQ", 2000, 32 + 20000, 1, 0x80000000, 0)
    tail = {
        b"": b"",
        b"APE": b"APETAGEX" + header + bytes(20000) + b"TAG" + bytes(125),
        b"zeros": bytes(9000),
    }
    path = put(tmp_path / "a.mp3", bare + tail[behind])
    with AudioFileSource(path) as source:
        assert source.frames % 1152 == 0
        assert 200000 + 529 < source.frames < 200000 + 3 * 1152
        whole = source.read(0, source.frames)
    wanted = read(put(path, content))
    delay = whole.shape[1] - 200000
    lag = next(
        lag
        for lag in range(delay + 1)
        if np.allclose(whole[0, lag + 9000 : lag + 9100], wanted[9000:9100, 0])
    )
    assert lag == 576 + 529
    with pytest.raises(AudioFileError, match="damaged at byte"):
        read_info(put(path, bare[:-100]))
    at = read_info(put(path, bare)).samples.offsets[50]
    with pytest.raises(AudioFileError, match=f"damaged at byte {at}"):
        read_info(put(path, bare[:at] + bytes(range(1, 100)) + bare[at + 99 :]))


def test_an_mp3_stream_may_begin_inside_a_frame_and_no_later(tmp_path):
    content = mp3()
    bare = content[first_frame(content) :]
    whole = read_info(put(tmp_path / "a.mp3", bare))
    begun = put(tmp_path / "a.mp3", b"\x55" * 100 + bare)
    assert read_info(begun).frames == whole.frames
    with pytest.raises(AudioFileError, match="damaged at byte 0"):
        read_info(put(tmp_path / "a.mp3", b"\x55" * 2000 + bare))


def test_mp3_files_that_were_joined_are_read_to_the_last(tmp_path):
    one = mp3()
    tag = b"ID3\x04\0\0\0\0\x01\0" + bytes(128)
    with AudioFileSource(put(tmp_path / "a.mp3", tag + one + tag + one)) as source:
        assert source.frames >= 400000


@pytest.mark.parametrize("other_rate", [22_050, 48_000])
def test_mp3_files_of_different_rates_that_were_joined_are_an_error(tmp_path, other_rate):
    one = mp3()
    other = encoded(noise(), "MP3", rate=other_rate)
    with pytest.raises(AudioFileError, match=f"damaged at byte {len(one)}"):
        read_info(put(tmp_path / "a.mp3", one + other))
    with pytest.raises(AudioFileError, match=f"damaged at byte {len(one)}"):  # and what is behind it is found
        read_info(put(tmp_path / "a.mp3", one + other + one))


def test_any_place_of_an_mp3_is_reached_at_once_and_exactly(tmp_path):
    """8 kbit/s: the smallest frames, which lean on the most of those before them."""
    audio = noise(24000 * 20, 1)
    content = encoded(audio, "MP3", 24000, compression_level=0.99)
    path = put(tmp_path / "a.mp3", content)
    whole = read(path)
    assert whole.shape == audio.shape
    with AudioFileSource(path) as source:
        for start in np.random.default_rng(0).integers(0, len(audio) - 2000, 40):
            assert np.array_equal(source.read(int(start), 2000).T, whole[start : start + 2000])


def test_mpeg_audio_in_a_wav_is_read_whole(tmp_path):
    content = mp3()
    header = struct.pack("<HHIIHHHHIHHH", 0x55, 2, RATE, 16000, 1, 0, 12, 1, 2, 417, 1, 0)
    path = put(tmp_path / "a.wav", riff(chunk(b"fmt ", header), chunk(b"data", content)))
    assert np.array_equal(read(path), read(put(tmp_path / "a.mp3", content)))


def ogg(audio, subtype="VORBIS", rate=RATE):
    return encoded(audio, "OGG", rate, subtype=subtype)


@pytest.mark.parametrize(("subtype", "rate"), [("VORBIS", 44100), ("OPUS", 48000)])
def test_chained_ogg_streams_are_read_one_after_the_other(tmp_path, subtype, rate):
    first, second = (ogg(noise(frames, seed=frames), subtype, rate) for frames in (60000, 50001))
    path = put(tmp_path / "a.ogg", first + second)
    parts = [read(put(tmp_path / "b", content)) for content in (first, second)]
    assert np.array_equal(read(path), np.concatenate(parts))
    with AudioFileSource(path) as source:
        for start in (59000, 100, 108000):
            wanted = np.concatenate(parts)[start : start + 2000]
            assert np.array_equal(source.read(start, 2000).T, wanted)


def test_chained_ogg_streams_that_differ_are_an_error(tmp_path):
    content = ogg(noise(5000)) + ogg(noise(5000, 1), rate=22050)
    with pytest.raises(AudioFileError, match="changes from 2 channels at 44100 Hz to 1 at 22050 Hz"):
        read_info(put(tmp_path / "a.ogg", content))


@pytest.mark.parametrize("damage", ["altered", "page lost", "no end mark", "no length"])
def test_damaged_ogg_is_an_error(tmp_path, damage):
    content = bytearray(ogg(noise(200000)))
    middle = content.index(b"OggS", len(content) // 2)
    last = content.rindex(b"OggS")
    if damage == "altered":
        content[middle + 500] ^= 1
    elif damage == "page lost":
        del content[middle : content.index(b"OggS", middle + 4)]
    elif damage == "no end mark":
        content[last + 5] &= ~4
    else:
        struct.pack_into("<q", content, last + 6, -1)
    with pytest.raises(AudioFileError, match=r"damaged at byte|cut short"):
        read_info(put(tmp_path / "a.ogg", content))
