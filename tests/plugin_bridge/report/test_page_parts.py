"""What the page's pictures and audio are made of, without a browser."""

from __future__ import annotations

import base64
import io
import json
import re
import struct
import zlib

import numpy as np
import pytest
import soundfile

from plugin_bridge.errors import JobError
from plugin_bridge.report.chunks import PRECISION_DB, Precision, chunk_frames, write_chunks
from plugin_bridge.report.page import MARK, check_folder
from plugin_bridge.report.png import palette_png
from plugin_bridge.report.waveform import COLUMNS, Waveform
from separators.streaming import ArraySource

RATE = 8000


def noise(channels, frames, seed=0):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (channels, frames)).astype(np.float32)


def test_an_outline_holds_every_extreme_however_audio_is_cut():
    audio = noise(2, 50000)
    audio[1, 12345], audio[0, 40000] = 0.9, -0.8
    whole, cut = Waveform(50000), Waveform(50000)
    whole.add(audio)
    for part in np.split(audio, [1, 17, 30000], axis=1):
        cut.add(part)
    pairs = np.frombuffer(whole.pairs(0.9), np.int8).reshape(-1, 2)
    assert whole.pairs(0.9) == cut.pairs(0.9)
    assert len(pairs) == COLUMNS
    assert pairs[12345 * COLUMNS // 50000, 1] == 127
    assert pairs[40000 * COLUMNS // 50000, 0] == -round(127 * 0.8 / 0.9)
    assert whole.peak == np.float32(0.9)
    assert whole.energy == pytest.approx(np.square(audio, dtype=np.float64).sum() / 2)


def test_an_outline_of_few_frames_and_of_silence():
    one = Waveform(1)
    one.add(np.array([[0.001]], np.float32))
    assert one.pairs(1.0) == bytes([0, 1])  # what sounds is seen
    silent = Waveform(10)
    silent.add(np.zeros((1, 10), np.float32))
    assert silent.pairs(0.0) == bytes(20)


def test_a_picture_is_what_the_format_says():
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    palette = np.arange(768, dtype=np.uint16).astype(np.uint8).reshape(256, 3)
    content = palette_png(pixels, palette)
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, at = {}, 8
    while at < len(content):
        (size,) = struct.unpack_from(">I", content, at)
        name, data = content[at + 4 : at + 8], content[at + 8 : at + 8 + size]
        assert struct.unpack_from(">I", content, at + 8 + size)[0] == zlib.crc32(name + data)
        chunks[name] = data
        at += 12 + size
    assert struct.unpack(">IIBBBBB", chunks[b"IHDR"]) == (4, 3, 8, 3, 0, 0, 0)
    assert chunks[b"PLTE"] == palette.tobytes()
    assert zlib.decompress(chunks[b"IDAT"]) == b"".join(b"\0" + row.tobytes() for row in pixels)


@pytest.mark.parametrize("level", [1e-4, 0.02, 0.3, 4.0])
def test_chunks_hold_every_sample_as_exactly_as_promised(tmp_path, level):
    stems = [noise(2, 2 * chunk_frames(RATE, 4) + 77, seed) * level for seed in range(4)]
    mixture = np.sum(stems, axis=0)
    rms = float(np.sqrt(np.square(mixture).mean()))
    precision = Precision.needed(float(np.abs(mixture).max()), rms, 5)
    folder = tmp_path / "a 音"
    folder.mkdir()
    sources = [ArraySource(one, RATE) for one in (*stems, mixture)]
    assert sum(write_chunks(folder, "set0", sources, precision, chunk_frames(RATE, 4))) == mixture.shape[1]
    parts = []
    for number, path in enumerate(sorted(folder.iterdir())):
        assert path.name == f"set0-{number:04d}.js"
        call = re.fullmatch(r"stembridge\.chunk\((.*)\);\n", path.read_text("ascii"), re.DOTALL)[1]
        name, deck, index, pieces = json.loads(f"[{call}]")
        assert (name, deck, index) == (folder.name, "set0", number)
        decoded = [soundfile.read(io.BytesIO(base64.b64decode(one)), dtype="float64")[0].T for one in pieces]
        parts.append(np.stack(decoded) / precision.scale)
    *got, whole = np.concatenate(parts, axis=2)
    lacks = np.sum(got, axis=0) - whole - (np.sum(stems, axis=0, dtype=np.float64) - mixture)
    assert 10 * np.log10(np.square(lacks).sum() / np.square(mixture).sum()) < PRECISION_DB + 1
    assert np.abs(got[0] - stems[0]).max() <= 0.5 / precision.scale / 2 ** (precision.bits - 1) * 1.001


def test_coarse_bits_make_small_files():
    audio = noise(1, RATE)
    sizes = [len(Precision(1.0, bits).flac(audio, RATE)) for bits in (16, 20, 24)]
    assert sizes[0] < 0.85 * sizes[1] < 0.85 * 0.9 * sizes[2]


def test_somebody_elses_folder_is_left_alone(tmp_path):
    check_folder(tmp_path / "new")
    check_folder(tmp_path)
    (tmp_path / "index.html").write_text("my own page")
    with pytest.raises(JobError, match="--to"):
        check_folder(tmp_path)
    (tmp_path / "index.html").write_text(MARK)
    check_folder(tmp_path)
