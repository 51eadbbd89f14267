"""Uncompressed samples: three bytes are read as what they stand for, and channels are interleaved."""

from __future__ import annotations

import numpy as np
import pytest

from plugin_bridge.audio.pcm import PcmSamples, interleaved


@pytest.mark.parametrize("big_endian", [False, True])
def test_three_bytes_are_a_sample_whatever_lies_beside_them(tmp_path, big_endian):
    numbers = [0, 1, -1, 2**23 - 1, -(2**23), 0x123456, -0x123456, 255, -256]
    order = "big" if big_endian else "little"
    content = b"".join(number.to_bytes(3, order, signed=True) for number in numbers)
    (tmp_path / "raw").write_bytes(b"\xff" * 5 + content + b"\xff")
    reader = PcmSamples(tmp_path / "raw", "PCM_24", big_endian, 1, 5, len(numbers)).open()
    assert (reader.read(0, len(numbers))[0] * 2**23).tolist() == numbers
    assert (reader.read(3, 2)[0] * 2**23).tolist() == numbers[3:5]
    reader.close()


@pytest.mark.parametrize("channels", [0, 1, 2, 7])
def test_channels_are_interleaved(channels):
    audio = np.arange(5 * channels, dtype=np.float64).reshape(channels, 5)[:, ::2]
    frames = interleaved(audio)
    assert frames.flags.c_contiguous
    assert frames.dtype == np.float32
    assert np.array_equal(frames, audio.T)
