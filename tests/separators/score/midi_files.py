"""MIDI files and tones for tests."""

import mido
import numpy as np

from separators.score import Note

TICKS = 480
"""A beat; half a second at the tempo that files have if they say nothing."""


def save_midi(path, tracks, type=1):
    """Write ``tracks``, name -> notes in seconds, at 120 beats a minute."""
    file = mido.MidiFile(type=type, ticks_per_beat=TICKS)
    if type == 0:
        tracks = {"all": [note for notes in tracks.values() for note in notes]}
    for name, notes in tracks.items():
        track = mido.MidiTrack([mido.MetaMessage("track_name", name=name)])
        edges = [(note.start, 1, note) for note in notes] + [
            (note.start + note.length, 0, note) for note in notes
        ]
        now = 0
        for seconds, on, note in sorted(edges, key=lambda edge: edge[:2]):
            tick = round(seconds * 2 * TICKS)
            track.append(
                mido.Message(
                    "note_on",
                    note=note.pitch,
                    velocity=on * note.velocity,
                    channel=note.channel,
                    time=tick - now,
                )
            )
            now = tick
        file.tracks.append(track)
    file.save(path)
    return path


def melody(pitches, step=0.5, length=0.4, start=0.0, channel=0):
    return [
        Note(start + index * step, length, pitch, 100, channel)
        for index, pitch in enumerate(pitches)
        if pitch is not None
    ]


def played(notes, seconds, rate, brightness=1.0):
    """The notes as tones of six overtones with a decay, ``(frames,)``; drums are bursts of noise."""
    rng = np.random.default_rng(0)
    audio = np.zeros(round(seconds * rate))
    for note in notes:
        first = round(note.start * rate)
        frames = min(round(note.length * rate), len(audio) - first)
        if first < 0 or frames <= 0:
            continue
        time = np.arange(frames) / rate
        if note.is_drum:
            tone = rng.standard_normal(frames) * np.exp(-40 * time)
        else:
            hertz = 440 * 2 ** ((note.pitch - 69) / 12)
            tone = sum(
                np.sin(2 * np.pi * hertz * n * time) / n**brightness
                for n in range(1, 7)
                if hertz * n < rate / 2
            )
            tone *= np.exp(-3 * time) * np.minimum(1, (frames - np.arange(frames)) / (0.01 * rate))
        audio[first : first + frames] += 0.1 * tone
    return audio.astype(np.float32)
