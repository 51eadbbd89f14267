"""WavPack files and the sound of videos as a session's media: real files, made by FFmpeg's encoders."""

import av
import numpy as np
import pytest

from plugin_bridge.rendering.tracks import TrackSource
from plugin_bridge.sessions import open_session
from tests.plugin_bridge.session_helpers import RATE, item, project, save, track

SIXTEEN_BITS = 1 / 32768
NOISE = np.round(6000 * np.random.default_rng(0).standard_normal((2, RATE)).clip(-4, 4)).astype(np.int16)
SECONDS = np.arange(RATE) / RATE
SWEEP = np.round(9000 * np.sin(2000 * SECONDS * (1 + SECONDS))).astype(np.int16) * np.ones((2, 1), np.int16)
"""Which coders keep, and which is nowhere the same."""


def encode(path, codec, sound_of=NOISE, video=False):
    """A sound as ``codec``, and with ``video`` ten black pictures beside it."""
    with av.open(str(path), "w") as container:
        sound = container.add_stream(codec, rate=RATE, layout="stereo")
        pictures = container.add_stream("mpeg4", rate=10, width=64, height=64) if video else None
        if codec == "wavpack":
            sound.codec_context.format = "s16p"
        sound.bit_rate = 192_000
        kind = sound.codec_context.format.name
        frame = av.AudioFrame.from_ndarray(sound_of.T.reshape(1, -1).copy(), format="s16", layout="stereo")
        frame.sample_rate, frame.pts = RATE, 0
        resampler = av.AudioResampler(kind, "stereo", RATE, sound.codec_context.frame_size or None)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(sound.encode(part))
        container.mux(sound.encode(None))
        if pictures is not None:
            black = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            for _ in range(10):
                container.mux(pictures.encode(black.reformat(format="yuv420p")))
            container.mux(pictures.encode(None))
    return path


@pytest.mark.parametrize(
    ("kind", "name", "codec"),
    [("WAVPACK", "a.wv", "wavpack"), ("VIDEO", "a.mkv", "pcm_s16le"), ("VIDEO", "a.mov", "pcm_s16le")],
)
def test_an_item_plays_its_sound_from_where_it_says(tmp_path, kind, name, codec):
    encode(tmp_path / name, codec, video=kind == "VIDEO")
    source = f'<SOURCE {kind}\nFILE "{name}"\n>'
    text = project(track("T", item(0.5, 0.5, extra="SOFFS 0.25", source=source)))
    session = open_session(save(tmp_path, text))
    assert session.not_honoured == []
    with TrackSource(session, session.tracks[0]) as played:
        assert played.not_honoured == []
        audio = played.read(0, played.frames)
    expected = NOISE[:, RATE // 4 : 3 * RATE // 4] / np.float32(32768)
    assert audio.shape == expected.shape
    assert np.abs(audio - expected).max() < SIXTEEN_BITS


def test_a_video_of_lossy_sound_is_played_at_its_place(tmp_path):
    encode(tmp_path / "a.mp4", "aac", SWEEP, video=True)
    source = '<SOURCE VIDEO\nFILE "a.mp4"\n>'
    session = open_session(save(tmp_path, project(track("T", item(0, 0.9, source=source)))))
    with TrackSource(session, session.tracks[0]) as played:
        audio = played.read(0, played.frames)
    expected = SWEEP[:, : audio.shape[1]] / 32768
    error = np.sqrt(np.mean((audio - expected) ** 2) / np.mean(expected**2))
    assert error < 0.05  # a frame of AAC elsewhere on the timeline it would be 1.4


def test_a_video_whose_sound_is_off_is_silent_and_said(tmp_path):
    encode(tmp_path / "a.mkv", "pcm_s16le", video=True)
    source = '<SOURCE VIDEO\nAUDIO 0\nFILE "a.mkv"\n>'
    session = open_session(save(tmp_path, project(track("T", item(source=source)))))
    assert session.not_honoured == ["T: the sound of a video is switched off"]
