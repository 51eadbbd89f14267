"""Stand-ins for voices: harmonic tones with syllables, each "speaker" at a pitch of their own."""

import numpy as np
import soundfile

RATE = 16_000


def voice(pitch_hz, seconds, seed):
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    syllables = np.repeat(rng.random(int(seconds * 5) + 1) > 0.3, RATE // 5)[: len(time)]
    phase = 2 * np.pi * np.cumsum(pitch_hz * (1 + 0.03 * np.sin(2 * np.pi * 3 * time + seed))) / RATE
    tone = sum(np.sin(k * phase) / k for k in range(1, 12))
    return (0.1 * tone * np.convolve(syllables, np.hanning(800) / 400, "same")).astype(np.float32)


def write_corpus(folder, speakers=6, recordings=2, seconds=3.0):
    for speaker in range(speakers):
        (folder / f"speaker-{speaker}").mkdir(parents=True)
        for number in range(recordings):
            audio = voice(90 * 1.25**speaker, seconds, 10 * speaker + number)
            soundfile.write(folder / f"speaker-{speaker}" / f"{number}.wav", audio, RATE)
    return folder
