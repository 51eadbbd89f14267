"""Renders MIDI songs to stems for training: drums, bass and the rest, one folder per song.

    python scripts/render_midi_stems.py FOLDER_OF_MIDI --soundfont FILE.sf3 --out FOLDER [--seconds 100]

A note belongs to the drums on channel 10, to the bass where its program is one of General MIDI's
basses (33-40), else to `other`. Needs the package tinysoundfont (a tool for this script only).
"""

import argparse
from collections.abc import Collection
from pathlib import Path

import mido
import numpy as np
import soundfile
import tinysoundfont

SAMPLE_RATE = 44_100
DRUM_CHANNEL = 9
BASS_PROGRAMS = range(32, 40)
LEAD_IN_SECONDS = 2.0
"""Skipped at the start of a song, where often only the count-in plays."""
QUIET = 1e-3
STEMS = ("drums", "bass", "other")


def stem_of(channel: int, program: int) -> str:
    """The stem that a note of ``channel`` (0-15) with ``program`` (0-127) belongs to."""
    if channel == DRUM_CHANNEL:
        return "drums"
    return "bass" if program in BASS_PROGRAMS else "other"


def render(
    midi: mido.MidiFile, synth: tinysoundfont.Synth, font: int, stems: Collection[str], seconds: float
) -> np.ndarray:
    """The notes of ``stems`` as ``(frames, 2)``, at most ``seconds`` long."""
    synth.notes_off()
    synth.sounds_off()
    programs = [0] * 16
    for channel in range(16):
        synth.program_select(channel, font, 0, 0, channel == DRUM_CHANNEL)
        synth.control_change(channel, 121, 0)
        synth.control_change(channel, 7, 100)
        synth.control_change(channel, 10, 64)
        synth.pitchbend(channel, 8192)
    pieces = []
    done, now = 0, 0.0
    for message in midi:
        now += message.time
        frame = round(min(now, seconds) * SAMPLE_RATE)
        if frame > done:
            pieces.append(np.frombuffer(bytes(synth.generate(frame - done)), np.float32).reshape(-1, 2))
            done = frame
        if now >= seconds:
            break
        if message.type == "program_change":
            programs[message.channel] = message.program
            synth.program_change(message.channel, message.program, message.channel == DRUM_CHANNEL)
        elif message.type == "control_change":
            synth.control_change(message.channel, message.control, message.value)
        elif message.type == "pitchwheel":
            synth.pitchbend(message.channel, message.pitch + 8192)
        elif message.type == "note_on" and message.velocity > 0:
            if stem_of(message.channel, programs[message.channel]) in stems:
                synth.noteon(message.channel, message.note, message.velocity)
        elif message.type in ("note_on", "note_off"):
            synth.noteoff(message.channel, message.note)
    return np.concatenate(pieces) if pieces else np.zeros((0, 2), np.float32)


def main() -> None:
    """Parse the command line and render every song."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--soundfont", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=100.0)
    options = parser.parse_args()

    synth = tinysoundfont.Synth(samplerate=SAMPLE_RATE, gain=-6)
    font = synth.sfload(str(options.soundfont))
    for path in sorted(options.folder.glob("*.mid")):
        midi = mido.MidiFile(path, clip=True)
        for stem in STEMS:
            audio = render(midi, synth, font, [stem], options.seconds + LEAD_IN_SECONDS)
            audio = audio[round(LEAD_IN_SECONDS * SAMPLE_RATE) :]
            peak = float(np.abs(audio).max(initial=0))
            if peak < QUIET:
                continue
            folder = options.out / path.stem
            folder.mkdir(parents=True, exist_ok=True)
            # The stems of a song are re-mixed with random gains anyway, so each may be scaled alone.
            soundfile.write(folder / f"{stem}.flac", audio / max(1.0, peak), SAMPLE_RATE, subtype="PCM_16")
        print(path.stem, flush=True)


if __name__ == "__main__":
    main()
