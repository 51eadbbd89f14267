"""Make the example session in examples/session from the audio of seven Debian packages.

    apt-get install fretsonfire-songs-sectoid sonic-pi-samples hydrogen-drumkits freedoom \
        musescore-general-soundfont-small fluidsynth \
        asterisk-core-sounds-en-g722 asterisk-core-sounds-it-g722 ffmpeg
    python examples/make_session.py

Seven bars at 95 bpm: two microphones in one room, then drums, bass and a duo, then a guitar with its
band; nine more for an interview. examples/session/README.md says what every file is made of, and under
which licence.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import mido
import numpy as np
import soundfile
import soxr
from session_project import make_project
from session_score import (
    BPM,
    MARKERS,
    RATE,
    START,
    TICKS,
    Note,
    events,
    frames,
    freedoom_song,
    midi_file,
    notes,
)

from plugin_bridge.audio.wav_writer import WavWriter

SESSION = Path(__file__).parent / "session"
SONG = Path("/usr/share/games/fretsonfire/data/songs/sectoid/Feelings")
SAMPLES = Path("/usr/share/sonic-pi/samples")
DRUM_KIT = Path("/usr/share/hydrogen/data/drumkits/ColomboAcousticDrumkit")
SOUND_FONT = Path("/usr/share/sounds/sf3/MuseScore_General_Lite.sf3")

BLEED = np.array([[1.0, 0.6], [0.35, 1.0]])
"""Rows: Mic Guitar, Mic Tabla; columns: guitar, tabla. No delay: the microphones stand close together."""
PAN = {"piano": -0.6, "guitar": 0.6}

KICK, KICK_SOFT = "bassdrum-4mics-br-stereo-normal3", "bassdrum-4mics-br-stereo-soft4"
SNARE, SNARE_SOFT = "snare-opaque-normal-mic-normal_shot2", "snare-opaque-normal-mic-normal_shot3"
HAT, HAT_SOFT, HAT_OPEN = "hihat-closed-4", "hihat-closed-1", "hihat-semi-open-2"
GROOVE = {
    "kick": [(0, KICK, 1.0), (2.5, KICK, 0.9), (1.75, KICK_SOFT, 0.6)],
    "snare": [(1, SNARE, 1.0), (3, SNARE, 0.95)],
    "hihat": [
        (beat / 2, HAT if beat % 2 == 0 else HAT_SOFT, 0.5 if beat % 2 == 0 else 0.4) for beat in range(8)
    ],
}
"""Drum -> hits of one bar: beat, one-shot, gain."""
FILL = {
    "kick": [(0, KICK, 1.0), (1.5, KICK, 0.8), (2.5, KICK, 0.9)],
    "snare": [(1, SNARE, 1.0), (3, SNARE, 0.95), (3.25, SNARE_SOFT, 0.35), (3.75, SNARE_SOFT, 0.5)],
    "hihat": [*GROOVE["hihat"][:7], (3.5, HAT_OPEN, 0.35)],
}

PROMPTS = Path("/usr/share/asterisk/sounds")
INTERVIEW = {
    "woman": [(0.2, "en_US_f_Allison/queue-periodic-announce"), (12.0, "en_US_f_Allison/demo-nogo")],
    "man": [(6.0, "it_IT_m_Carlo/demo-moreinfo")],
}
"""Voice -> what it says and when, seconds; they talk at the same time twice."""


def load(path: Path) -> np.ndarray:
    """A file as mono float64 at RATE."""
    audio, rate = soundfile.read(path, always_2d=True)
    assert rate == RATE, path
    return audio.mean(axis=1)


def faded(audio: np.ndarray, seconds: float = 0.06) -> np.ndarray:
    """A cut-out piece without clicks: 2 ms in, ``seconds`` out."""
    shape = np.ones(len(audio))
    for length, part in ((frames_of(0.002), slice(None)), (frames_of(seconds), slice(None, None, -1))):
        shape[part][:length] *= 0.5 - 0.5 * np.cos(np.pi * (np.arange(length) + 0.5) / length)
    return audio * shape


def frames_of(seconds: float) -> int:
    return round(seconds * RATE)


def to_peak(decibels: float, *parts: np.ndarray) -> list[np.ndarray]:
    """Scale ``parts`` by one gain so that their sum peaks at ``decibels``, in whole 16-bit steps."""
    gain = 10 ** (decibels / 20) / np.abs(sum(parts)).max()
    return [np.round(part * gain * 32768).astype(np.int32) for part in parts]


def drums(bars: int) -> dict[str, np.ndarray]:
    """Kick, snare and hi-hat, each on its own; the last bar is the fill."""
    shots = {
        name: load(DRUM_KIT / f"{name}.flac")
        for bar in (GROOVE, FILL)
        for hits in bar.values()
        for _, name, _ in hits
    }
    sources = {}
    for drum in GROOVE:
        track = np.zeros(frames(bars) + 3 * RATE)
        for bar in range(bars):
            for beat, name, gain in (FILL if bar == bars - 1 else GROOVE)[drum]:
                start = frames(bar + beat / 4)
                track[start : start + len(shots[name])] += gain * shots[name]
        sources[drum] = faded(track[: frames(bars)])
    return dict(zip(sources, to_peak(-6, *sources.values()), strict=True))


def played(score: list[Note], program: int, bars: int) -> np.ndarray:
    """``score`` on a General MIDI instrument, dry and mono."""
    messages = [mido.Message("program_change", program=program)]
    messages += [message.copy(time=delta) for delta, message in events(score)]
    with tempfile.TemporaryDirectory() as folder:
        midi, wav = Path(folder, "score.mid"), Path(folder, "score.wav")
        midi_file(messages).save(midi)
        quiet = ["fluidsynth", "-niq", "-R", "0", "-C", "0", "-r", str(RATE), "-O", "float", "-F", str(wav)]
        subprocess.run([*quiet, str(SOUND_FONT), str(midi)], check=True, capture_output=True)
        return faded(load(wav)[: frames(bars)])


def spoken(file: str) -> np.ndarray:
    """A telephone prompt (G.722, 16 kHz) as mono float64 at RATE and at a level of its own."""
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder, "prompt.wav")
        decode = ["ffmpeg", "-v", "error", "-f", "g722", "-i", f"{PROMPTS / file}.g722", str(wav)]
        subprocess.run(decode, check=True)
        audio, rate = soundfile.read(wav)
    audio = soxr.resample(audio, rate, RATE, quality="VHQ")
    return faded(audio / np.std(audio[np.abs(audio) > 0.1 * np.abs(audio).max()]))


def interview(bars: range) -> dict[str, np.ndarray]:
    """Two voices on one microphone, each on its own."""
    voices = {}
    for voice, lines in INTERVIEW.items():
        track = np.zeros(frames(bars.stop) - frames(bars.start))
        for seconds, file in lines:
            words, start = spoken(file), frames_of(seconds)
            track[start : start + len(words)] += words
        voices[voice] = track
    return dict(zip(voices, to_peak(-6, *voices.values()), strict=True))


def panned(audio: np.ndarray, pan: float) -> np.ndarray:
    """Mono to stereo (frames, 2) with constant power; -1 is left."""
    angle = (pan + 1) * np.pi / 4
    return audio[:, None] * [np.cos(angle), np.sin(angle)]


def write_track(name: str, bar: float, audio: np.ndarray, bits: int = 16) -> None:
    """A Broadcast WAV in audio/ whose time stamp is the beginning of ``bar``."""
    assert np.abs(audio).max() < 32768, name
    samples = audio.reshape(len(audio), -1).astype("<i4")
    if bits == 24:
        data = (samples * 256).view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    else:
        data = samples.astype("<i2").tobytes()
    with (SESSION / "audio" / f"{name}.wav").open("w+b") as file:
        writer = WavWriter(
            file, RATE, samples.shape[1], bits, is_float=False, time_reference=START + frames(bar)
        )
        writer.write(data)
        writer.finish()


def write_source(name: str, audio: np.ndarray) -> None:
    soundfile.write(SESSION / "sources" / f"{name}.flac", audio.astype(np.int16), RATE, subtype="PCM_16")


def make_audio() -> list[Note]:
    """Write audio/ and sources/; returns the bass line."""
    # Two microphones in one room: the opening of a song on acoustic guitar, and tabla sped up from 90 bpm.
    two_bars = slice(0, frames(2))
    tabla = soxr.resample(load(SAMPLES / "loop_tabla.flac"), BPM, 90, quality="VHQ")
    (guitar,) = to_peak(-7, faded(load(SONG / "guitar.ogg")[two_bars]))
    (tabla,) = to_peak(-7, faded(tabla[two_bars]))
    bled = np.round(BLEED @ np.stack([guitar, tabla])).astype(np.int32)
    write_track("Mic Guitar", 0, bled[0])
    write_track("Mic Tabla", 0, bled[1])
    write_source("mic-guitar", guitar)
    write_source("mic-tabla", tabla)

    kit = drums(bars=4)
    write_track("Drums", 2, sum(kit.values()))
    for drum, audio in kit.items():
        write_source(f"drums-{drum}", audio)

    song = freedoom_song("D_ROMERO")
    line = notes(song, channel=0, bars=range(34, 36))
    (bass,) = to_peak(-8, played(line, program=33, bars=2))
    write_track("Bass", 3, bass)
    midi_file(message.copy(time=delta) for delta, message in events(line)).save(
        SESSION / "sources" / "bass.mid"
    )

    duo = {
        "piano": played(notes(song, channel=2, bars=range(34, 36)), program=0, bars=2),
        "guitar": played(notes(song, channel=4, bars=range(34, 36)), program=26, bars=2),
    }
    duo["guitar"] *= np.std(duo["piano"]) / np.std(duo["guitar"])
    images = to_peak(-7, *(panned(audio, PAN[name]) for name, audio in duo.items()))
    write_track("Duo", 3, sum(images))
    for name, image in zip(duo, images, strict=True):
        write_source(f"duo-{name}", image)

    passage = slice(frames(8), frames(10))
    both = to_peak(-5, *(faded(load(SONG / f"{part}.ogg")[passage]) for part in ("guitar", "song")))
    write_track("Guitar", 5, both[0])
    write_track("Band", 5, both[1])

    voices = interview(range(7, 16))
    write_track("Interview", 7, sum(voices.values()))
    for voice, audio in voices.items():
        write_source(f"interview-{voice}", audio)

    tick = np.zeros(frames(0.25))
    shot = load(SAMPLES / "elec_tick.flac")[: len(tick)]
    tick[: len(shot)] = shot
    write_track("Click", 0, to_peak(-12, faded(tick))[0], bits=24)
    return line


def main() -> None:
    for folder in ("audio", "sources"):
        shutil.rmtree(SESSION / folder, ignore_errors=True)
        (SESSION / folder).mkdir(parents=True)
    line = make_audio()
    now, markers = 0, []
    for name, bar in MARKERS.items():
        markers.append(mido.MetaMessage("marker", text=name, time=bar * 4 * TICKS - now))
        now = bar * 4 * TICKS
    midi_file(markers).save(SESSION / "audio" / "tempo.mid")
    (SESSION / "session.rpp").write_text(make_project(line))


if __name__ == "__main__":
    main()
