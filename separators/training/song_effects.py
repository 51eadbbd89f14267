"""What is done to voices, instruments and whole mixes in studios, roughly, for training mixtures.

Audio is float32 ``(channels, frames)`` at :data:`~separators.training.songs.SAMPLE_RATE`. Effects on a whole
mix return what is to be done alike to all its stems, so that they still sum to it.
"""

from __future__ import annotations

import math

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from scipy.signal import istft, stft

from separators.training.songs import SAMPLE_RATE

Audio = NDArray[np.float32]

STEP = 128
"""Frames from one gain to the next."""
TOP_WINDOW = 2048


def envelope(audio: Audio) -> NDArray[np.float64]:
    """Largest level of all channels in each :data:`STEP` frames."""
    padded = np.pad(audio, ((0, 0), (0, -audio.shape[-1] % STEP)))
    found: NDArray[np.float64] = np.abs(padded).reshape(len(audio), -1, STEP).max((0, 2)).astype(np.float64)
    return found


def along(gains: NDArray[np.float64], frames: int) -> Audio:
    """Gains at every :data:`STEP` frames, drawn out to ``frames``."""
    places = np.arange(len(gains)) * STEP + STEP / 2
    return np.interp(np.arange(frames), places, gains).astype(np.float32)


def smoothed(levels: NDArray[np.float64], seconds: float) -> NDArray[np.float64]:
    """Running mean over about ``seconds``."""
    width = max(1, round(seconds * SAMPLE_RATE / STEP))
    padded = np.pad(levels, (width // 2, width - width // 2), mode="edge")
    total = np.cumsum(padded)
    found: NDArray[np.float64] = (total[width:] - total[:-width]) / width
    return found


def compressed(audio: Audio, ratio: float, seconds: float = 0.03) -> Audio:
    """Levels above the mean are lowered: ``ratio`` dB more give 1 dB more."""
    levels = np.sqrt(smoothed(np.square(envelope(audio)), seconds)) + 1e-6
    threshold = float(np.sqrt(np.mean(np.square(levels)))) * 0.5
    gains = np.maximum(1.0, levels / threshold) ** (1 / ratio - 1)
    found: Audio = audio * along(gains, audio.shape[-1])
    return found


def limiting(mixture: Audio, drive_db: float) -> Audio:
    """Gains ``(frames,)`` of a limiter into which the mixture is driven ``drive_db`` above its ceiling."""
    levels = envelope(mixture)
    ceiling = float(np.quantile(levels, 0.999)) * 10 ** (-drive_db / 20) + 1e-6
    # Peaks are seen a step ahead, and let go over a few.
    ahead = np.maximum.reduce(
        [levels, np.append(levels[:1], levels[:-1]), np.append(levels[1:], levels[-1:])]
    )
    return along(smoothed(np.minimum(1.0, ceiling / np.maximum(ahead, 1e-6)), 0.04), mixture.shape[-1])


def distorted(audio: Audio, drive_db: float) -> Audio:
    """Soft clipping of what is ``drive_db`` above the mean level's triple."""
    scale = 3 * float(np.sqrt(np.mean(np.square(audio)))) * 10 ** (-drive_db / 20) + 1e-6
    clipped: Audio = (scale * np.tanh(audio / scale)).astype(np.float32)
    return clipped


def echoed(audio: Audio, rng: np.random.Generator) -> Audio:
    """A few repeats, each quieter than the one before, by turns on both sides."""
    delay = round(rng.uniform(0.09, 0.5) * SAMPLE_RATE)
    gain = 10 ** (rng.uniform(-16, -6) / 20)
    sides = rng.uniform(0.3, 1.0, (3, len(audio), 1)).astype(np.float32)
    out = audio.copy()
    for repeat in range(1, 4):
        start = repeat * delay
        if start >= audio.shape[-1]:
            break
        out[:, start:] += audio[:, :-start] * sides[repeat - 1] * np.float32(gain**repeat)
    return out


def doubled(audio: Audio, rng: np.random.Generator) -> Audio:
    """A second take on each side: a little later, a little out of tune."""
    out = audio.copy()
    for side in range(len(audio)):
        speed = 1 + rng.choice((-1, 1)) * rng.uniform(0.002, 0.008)
        take = soxr.resample(audio[side], speed, 1.0, quality="QQ")
        start = round(rng.uniform(0.008, 0.035) * SAMPLE_RATE)
        length = min(len(take), audio.shape[-1] - start)
        out[side, start : start + length] += take[:length] * np.float32(rng.uniform(0.3, 0.9))
    return out


def panning(width: float) -> NDArray[np.float32]:
    """A matrix that narrows two channels to ``width``: 1 leaves them, 0 is mono."""
    return np.array([[1 + width, 1 - width], [1 - width, 1 + width]], np.float32) * np.float32(0.5)


def low_pass(stems: Audio, hertz: float) -> Audio:
    """``stems (..., frames)`` without what is above ``hertz``, with a slope of a tenth of it."""
    frames = stems.shape[-1]
    size = 1 << (frames - 1).bit_length()
    spectrum = torch.fft.rfft(torch.from_numpy(np.ascontiguousarray(stems)), size)
    places = np.arange(size // 2 + 1) * (SAMPLE_RATE / size)
    slope = np.clip((1.1 * hertz - places) / (0.1 * hertz), 0, 1).astype(np.float32)
    return np.ascontiguousarray(
        torch.fft.irfft(spectrum * torch.from_numpy(slope), size)[..., :frames].numpy()
    )


def widened(audio: Audio, hertz: float) -> Audio:
    """``audio``, which has nothing above ``hertz``, with copies of the octave below that, ever quieter.

    Recordings of speech often end at 8 kHz or lower; voices in songs do not.
    """
    _, _, spectrum = stft(audio, SAMPLE_RATE, nperseg=TOP_WINDOW)
    edge = int(0.95 * hertz / SAMPLE_RATE * TOP_WINDOW)
    tops = np.arange(edge, spectrum.shape[1])
    octave = edge // 2 + (tops - edge) % (edge - edge // 2)
    spectrum[:, tops] = spectrum[:, octave] * ((edge / tops) ** 2.5)[:, None]
    return np.ascontiguousarray(istft(spectrum, SAMPLE_RATE, nperseg=TOP_WINDOW)[1].astype(np.float32))


def room(rng: np.random.Generator) -> NDArray[np.float32]:
    """A stereo impulse response ``(2, frames)``: the direct sound, then noise that dies away."""
    seconds = rng.uniform(0.15, 1.6)
    delay = round(rng.uniform(0.002, 0.05) * SAMPLE_RATE)
    time = np.arange(round(min(1.4, 1.1 * seconds) * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.standard_normal((2, len(time)), np.float32) * (10 ** (-3 * time / seconds)).astype(np.float32)
    tail *= np.float32(10 ** (rng.uniform(-20, -3) / 20) / math.sqrt(float(np.square(tail[0]).sum())))
    response = np.zeros((2, delay + tail.shape[1]), np.float32)
    response[:, delay:] = tail
    response[:, 0] += 1
    return response
