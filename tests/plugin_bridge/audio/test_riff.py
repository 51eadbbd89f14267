import io
import struct

import numpy as np
import pytest
import soundfile

from plugin_bridge.audio.files import AudioFileSource, read_info
from plugin_bridge.audio.riff import BEXT_SIZE, bext_time_reference, read_container
from plugin_bridge.audio.wav_writer import WavWriter, build_bext
from plugin_bridge.errors import AudioFileError

RATE = 48000


def ramp(frames, channels=1):
    return np.arange(frames * channels, dtype="<i2").reshape(frames, channels)


def wav(path, frames=1000, channels=1, extra=b"", **options):
    with path.open("w+b") as file:
        writer = WavWriter(file, RATE, channels, 16, False, **options)
        writer.write(ramp(frames, channels).tobytes())
        writer.finish()
        file.seek(0, 2)
        file.write(extra)
    return path


def chunk(identifier, content):
    return struct.pack("<4sI", identifier, len(content)) + content + bytes(len(content) % 2)


def riff(*chunks):
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


FMT = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16))


@pytest.mark.parametrize("stamp", [0, 1, 48000 * 3600, 2**32, 2**63])
def test_the_time_stamp_survives_the_bext_chunk(stamp):
    content = build_bext(stamp)
    assert len(content) == BEXT_SIZE
    assert bext_time_reference(content) == stamp
    # Where EBU Tech 3285 puts it: two 32-bit words, the low one first, from byte 338 on.
    assert struct.unpack("<II", content[338:346]) == (stamp % 2**32, stamp // 2**32)
    assert bext_time_reference(content[:345]) is None


def test_a_file_that_outgrows_riff_becomes_rf64_and_reads_the_same(tmp_path):
    plain = wav(tmp_path / "plain.wav", frames=5000, channels=3, time_reference=99)
    large = wav(tmp_path / "large.wav", frames=5000, channels=3, time_reference=99, largest_riff=20000)
    assert plain.read_bytes()[:4] == b"RIFF"
    assert large.read_bytes()[:4] == b"RF64"
    with large.open("rb") as file:
        container = read_container(file, large)
        sizes = struct.unpack("<QQQ", container.read(file, b"ds64")[:24])
    assert sizes == (large.stat().st_size - 8, 5000 * 6, 5000)
    for path in (plain, large):
        samples, rate = soundfile.read(path, dtype="int16")
        assert rate == RATE
        assert np.array_equal(samples, ramp(5000, 3))
        info = read_info(path)
        assert (info.format, info.frames, info.time_reference) == ("wav", 5000, 99)


def test_a_cut_rf64_file_is_an_error(tmp_path):
    path = wav(tmp_path / "a.wav", largest_riff=100)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(AudioFileError, match="data chunk says 2000 bytes but the file holds 1500"):
        AudioFileSource(path)


def test_more_than_four_gibibytes_are_written_and_read_at_the_end(tmp_path):
    path = tmp_path / "long.wav"
    gap = 4_400_000_000
    with path.open("w+b") as file:
        writer = WavWriter(file, RATE, 1, 16, False, time_reference=7)
        # A hole stands for the first 4.4 GB, so that the disk is spared.
        file.seek(gap, 1)
        writer.frames = gap // 2
        writer.write(ramp(1000).tobytes())
        writer.finish()
    with AudioFileSource(path) as source:
        assert source.frames == gap // 2 + 1000
        assert source.info.time_reference == 7
        end = source.read(source.frames - 1001, 1001)[0]
    assert np.array_equal(end * 32768, np.concatenate([[0], np.arange(1000)]))


def test_a_stamp_may_stand_in_ixml_alone(tmp_path):
    text = (
        b"<BWFXML><SPEED><TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI>1</TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI>"
        b"<TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO>5</TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO></SPEED></BWFXML>"
    )
    path = tmp_path / "a.wav"
    path.write_bytes(riff(FMT, chunk(b"iXML", text), chunk(b"data", bytes(20))))
    assert read_info(path).time_reference == 2**32 + 5
    bomb = b'<!DOCTYPE x [<!ENTITY a "b">]><BWFXML>&a;</BWFXML>'
    for broken in (bomb, b"<BWFXML>", b"\xff"):
        path.write_bytes(riff(FMT, chunk(b"iXML", broken), chunk(b"data", bytes(20))))
        assert read_info(path).time_reference is None


def test_names_in_a_riff_info_list_are_tags(tmp_path):
    title = chunk(b"LIST", b"INFO" + chunk(b"INAM", b"Song\0") + chunk(b"IART", b"Band\0"))
    path = tmp_path / "a.wav"
    path.write_bytes(riff(FMT, title, chunk(b"data", bytes(20))))
    assert read_info(path).tags == {"title": ["Song"], "artist": ["Band"]}


def test_a_streamed_file_without_a_length_reaches_to_its_end(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF\xff\xff\xff\xffWAVE" + FMT + b"data\xff\xff\xff\xff" + ramp(500).tobytes())
    assert read_info(path).frames == 500


@pytest.mark.parametrize("claimed", [0, 100])
def test_audio_that_the_header_does_not_claim_is_an_error(tmp_path, claimed):
    content = bytearray(riff(FMT, chunk(b"data", ramp(5000).tobytes())))
    at = content.index(b"data") + 4
    content[at : at + 4] = struct.pack("<I", claimed)
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(AudioFileError, match="never closed"):
        read_info(path)


def test_what_stands_behind_the_audio_does_no_harm(tmp_path):
    for extra in (b"TAG" + bytes(125), bytes(1000), b"LIST\xff\xff\0\0abc"):
        path = wav(tmp_path / "a.wav", extra=extra)
        assert read_info(path).frames == 1000


def test_a_file_without_audio_chunk_is_an_error(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(riff(FMT))
    with pytest.raises(AudioFileError, match="no data chunk"):
        read_info(path)


def test_other_files_have_no_chunks(tmp_path):
    for content in (b"", b"RIFF", b"fLaC" + bytes(50), b"RIFF\0\0\0\0AVI "):
        assert read_container(io.BytesIO(content), tmp_path) is None
