"""Renders MIDI songs to stems for training: drums, bass and the rest, one folder per song.

    python scripts/render_midi_stems.py FOLDER_OF_MIDI --soundfont FILE.sf3 --out FOLDER
        [--seconds 100] [--redraw SEED]

A note belongs to the drums on channel 10, to the bass where its program is one of General MIDI's
basses (33-40), else to `other`. With `--redraw` every song is played by other instruments, in another key.
Needs the package tinysoundfont (a tool for this script only).
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
OTHER_PROGRAMS = (*range(32), *range(40, 112))
"""Of melodies and chords, without sound effects and percussion."""
LEAD_IN_SECONDS = 2.0
"""Skipped at the start of a song, where often only the count-in plays."""
QUIET = 1e-3
STEMS = ("drums", "bass", "other")


def stem_of(channel: int, program: int) -> str:
    """The stem that a note of ``channel`` (0-15) with ``program`` (0-127) belongs to."""
    if channel == DRUM_CHANNEL:
        return "drums"
    return "bass" if program in BASS_PROGRAMS else "other"


class Played:
    """The instruments and the key that a song is written in."""

    transposition = 0

    def program(self, program: int) -> int:
        """What plays the part that is written for ``program``."""
        return program


class Redrawn(Played):
    """Others, drawn once for a song: basses stay basses, drums stay as they are."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.transposition = int(rng.integers(-4, 5))
        bass, other = rng.choice(BASS_PROGRAMS, 128), rng.choice(OTHER_PROGRAMS, 128)
        self.programs = [int(bass[p] if p in BASS_PROGRAMS else other[p]) for p in range(128)]

    def program(self, program: int) -> int:
        """See :meth:`Played.program`."""
        return self.programs[program]


def render(
    midi: mido.MidiFile,
    synth: tinysoundfont.Synth,
    font: int,
    stems: Collection[str],
    seconds: float,
    played: Played,
) -> np.ndarray:
    """The notes of ``stems`` as ``(frames, 2)``, at most ``seconds`` long."""
    synth.notes_off()
    synth.sounds_off()
    programs = [0] * 16
    for channel in range(16):
        drums = channel == DRUM_CHANNEL
        synth.program_select(channel, font, 0, 0 if drums else played.program(0), drums)
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
            drums = message.channel == DRUM_CHANNEL
            program = message.program if drums else played.program(message.program)
            synth.program_change(message.channel, program, drums)
        elif message.type == "control_change":
            synth.control_change(message.channel, message.control, message.value)
        elif message.type == "pitchwheel":
            synth.pitchbend(message.channel, message.pitch + 8192)
        elif message.type == "note_on" and message.velocity > 0:
            if stem_of(message.channel, programs[message.channel]) in stems:
                synth.noteon(message.channel, key(message, played), message.velocity)
        elif message.type in ("note_on", "note_off"):
            synth.noteoff(message.channel, key(message, played))
    return np.concatenate(pieces) if pieces else np.zeros((0, 2), np.float32)


def key(message: mido.Message, played: Played) -> int:
    """The key that a note is played on."""
    if message.channel == DRUM_CHANNEL:
        return int(message.note)
    return min(127, max(0, message.note + played.transposition))


def main() -> None:
    """Parse the command line and render every song."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--soundfont", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=100.0)
    parser.add_argument(
        "--redraw", type=int, metavar="SEED", help="play by other instruments, in another key"
    )
    options = parser.parse_args()

    synth = tinysoundfont.Synth(samplerate=SAMPLE_RATE, gain=-6)
    font = synth.sfload(str(options.soundfont))
    for number, path in enumerate(sorted(options.folder.glob("*.mid"))):
        midi = mido.MidiFile(path, clip=True)
        again = options.redraw is not None
        played = Redrawn(np.random.default_rng((options.redraw, number))) if again else Played()
        for stem in STEMS:
            audio = render(midi, synth, font, [stem], options.seconds + LEAD_IN_SECONDS, played)
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
