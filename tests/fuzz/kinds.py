"""What is fuzzed: for each kind of file a seed, how it is read, and which errors are right."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mido
import numpy as np
import soundfile
import torch
from safetensors.torch import save

from plugin_bridge.audio.files import AudioFileSource
from plugin_bridge.errors import AudioFileError, PresetError, SessionError
from plugin_bridge.jobs.manifest import Manifest, Origin, Output
from plugin_bridge.presets.preset import Preset
from plugin_bridge.rendering.tracks import MixSource
from plugin_bridge.sessions import open_session
from separators.neural import wave_u_net, weights
from separators.neural.network import Architecture, Network
from separators.neural.wave_u_net_architecture import Architecture as WaveArchitecture
from separators.neural.wave_u_net_network import build
from separators.neural.weights import WeightsError
from separators.nmf import dictionary
from separators.nmf.dictionary import Dictionary, DictionaryError, Part
from separators.score.midi import MidiError, read_midi
from tests.fuzz import aaf_seed, ardour_seed
from tests.fuzz import session_kinds as sessions

RATE = 8000


@dataclass(frozen=True)
class Kind:
    """One kind of file."""

    suffix: str
    seeds: Callable[[], list[bytes]]
    read: Callable[[Path], Any]
    """Does with the file what the program does."""
    errors: tuple[type[Exception], ...]
    """Those that say what is wrong with it."""


def _noise() -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal((2000, 2))


def _sound(**options: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, _noise(), RATE, **options)
    return file.getvalue()


def _projects() -> list[bytes]:
    midi = "\n".join(f"        E {120 * (n % 2)} {'90 3c 60' if n % 2 else '80 3c 00'}" for n in range(8))
    return [
        f"""<REAPER_PROJECT 0.1 "7.0" 0
  PROJOFFS 10 0 0
  SAMPLERATE 8000 1 0
  PANMODE 3
  TEMPO 120 4 4
  <TEMPOENVEX
    ACT 1 -1
    PT 0 120 0 262148 0 1
    PT 2.5 90 1 0 0 0
  >
  ITEMMIX 2
  GLOBAL_AUTO -1
  POOLEDENVATTACH 4
  <POOLEDENV
    ID 1
    SRCLEN 2
    PPT 0 1 1
    PPT 0.5 0 1
  >
  MASTER_VOLUME 1 0 -1 0.5 1
  MASTER_PANMODE 6
  MASTERMUTESOLO 4
  MASTER_NCH 4 2
  MARKER 1 1.5 "verse" 0
  MARKER 2 2 "" 1
  MARKER 2 4 "" 1
  <TRACK {{1}}
    NAME "bus"
    PEAKCOL 16777471
    VOLPAN 0.8 -0.2 0.7 -1 1
    PANMODE 5
    MUTESOLO 0 0 1
    ISBUS 1 1
    PLAYOFFS 0.1 0
    GROUP_FLAGS 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 2 0 0
    NCHAN 2
    FREEMODE 2
    LANESOLO 3 0 0 0 0 0 0 0
    <FXCHAIN
      BYPASS 0 0 0
      <VST "VST: Comp" a.so 0
        AAAA
      >
    >
    <ITEM
      POSITION 0.5
      LENGTH 1.5
      LOOP 1
      YPOS 0.5 0.5 2
      FADEIN 1 0.2 0 1 0 0.5 0
      FADEOUT 5.1 0.3 0 5 0 -0.5 0
      MUTE 0 0
      VOLPAN 1 0.1 0.9 -1
      SOFFS 0.1
      PLAYRATE 1.5 1 2 -1 0 0.0025
      SM 0 0.1 0.2 + 0.7 0.5 + 1 1.2
      <VOLENV
        ACT 1 -1
        VOLTYPE 1
        PT 0 1 5 0 0 0 0.5
        PT 1 0.5 0
      >
      <PITCHENV
        ACT 1 -1
        PT 0 1 0
        PT 1 -2 0
      >
      CHANMODE 2
      <SOURCE SECTION
        LENGTH 0.5
        MODE 2
        STARTPOS 0.1
        OVERLAP 0.01
        <SOURCE WAVE
          FILE "a.wav"
        >
      >
      TAKE SEL
      <SOURCE MIDI
        HASDATA 1 960 QN
        E 0 c0 21 00
        E 0 b0 07 40
{midi}
        IGNTEMPO 1 120 4 4
        POOLEDEVTS {{A}}
      >
    >
  >
  <TRACK {{2}}
    NAME 'child "x"'
    ISBUS 2 -1
    MAINSEND 1 2
    GROUP_FLAGS 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 2 0
    AUXRECV 0 0 1 0 0 0 0 0 0 -1:U 0 -1
    <AUXVOLENV
      ACT 1 -1
      PT 0 1 0
      PT 1 0 0
    >
    <VOLENV2
      ACT 1 -1
      VOLTYPE 1
      POOLEDENVINST 1 0.5 1 0 1 0 0.5 1 1 0 0 2 0 0 0.012 4
      PT 0 1 2
      PT 2 0.5 0
    >
    <MUTEENV
      ACT 1 0
      POOLEDENVINST 1 0.5 1.5 0.25 2 0 0.5 1 1 0 0 1 0 0 0.012 0
      PT 0 1 1
    >
    <ITEM
      POSITION 1
      LENGTH 3
      LOOP 1
      SOFFS 0.25 0.5
      PLAYRATE 2 1 -12
      <SOURCE MIDIPOOL
        POOLEDEVTS {{A}}
      >
    >
    <ITEM
      POSITION 0
      LENGTH 2
      <SOURCE CLICK
        AUTO 0 0
        BPM 100
        BPI 4 4
        PATTERNSTR ABBB
      >
    >
    <ITEM
      POSITION 1
      LENGTH 2
      <SOURCE RPP_PROJECT
        FILE "sub.rpp"
      >
    >
  >
>
""".encode()
    ]


def _project(path: Path) -> None:
    session = open_session(path)
    json.dumps([session.end, session.not_honoured, [track.notes for track in session.walk()]], default=str)


def _rendered_project(path: Path) -> None:
    """Opened, and heard at its start and at its end."""
    if not (wave := path.parent / "a.wav").exists():
        wave.write_bytes(_sound(format="WAV"))
        inner = "<REAPER_PROJECT 0.1\n<TRACK\n<ITEM\nLENGTH 1\n<SOURCE WAVE\nFILE a.wav\n>\n>\n>\n>\n"
        (path.parent / "sub.rpp").write_text(inner)
    _project(path)
    with MixSource(open_session(path)) as mix:
        for start in (0, RATE, mix.frames - 1000):
            if 0 <= start <= mix.frames - 1000:
                mix.read(start, 1000)


def _midi() -> list[bytes]:
    file = mido.MidiFile(ticks_per_beat=480)
    for number in range(2):
        file.tracks.append(mido.MidiTrack([mido.MetaMessage("track_name", name=f"part {number}")]))
    first, second = file.tracks
    first += [
        mido.MetaMessage("set_tempo", tempo=400_000),
        mido.MetaMessage("time_signature", numerator=3, denominator=8),
        mido.MetaMessage("key_signature", key="Eb"),
        mido.MetaMessage("marker", text="verse", time=960),
        mido.MetaMessage("set_tempo", tempo=600_000, time=960),
        mido.Message("sysex", data=(1, 2, 3)),
    ]
    second += [
        mido.Message("program_change", program=33),
        mido.Message("control_change", control=7, value=90),
    ]
    for pitch in range(40, 60):
        second += [
            mido.Message("note_on", note=pitch, time=10),
            mido.Message("note_off", note=pitch, time=200),
        ]
    data = io.BytesIO()
    file.save(file=data)
    return [data.getvalue()]


def _presets() -> list[bytes]:
    loop = """title = "Loop"
description = "Splits."
[separator]
name = "nmf"
mode = "blind"
stems = 3
components = 12
[[before]]
plugin = "HighpassFilter"
cutoff_frequency_hz = 30
[[stems.stem-1]]
plugin = "Chain"
plugins = [{plugin = "Gain", gain_db = 3.0}]
[output]
format = "flac"
bit_depth = 24
name = "{track}/{stem}"
"""
    again = 'title = "x"\n[separator]\nname = "ica"\n[separate.source-1]\nname = "nmf"\n'
    return [loop.encode(), again.encode()]


def _manifests() -> list[bytes]:
    made = Manifest(
        key={"program": "stembridge 0", "preset": {"name": "a"}, "input": {"samples": "0" * 64}},
        track="a",
        input=Origin("in/a.wav", RATE, 2, 4000),
        outputs=[Output(f"{stem}.wav", [stem], 100, "0" * 64, 0.5) for stem in ("a", "b")],
        residual_db=-140.0,
        warnings=["one"],
        pictures=["spectrograms.png"],
    )
    return [json.dumps(asdict(made), indent=2).encode()]


def _manifest(path: Path) -> None:
    if found := Manifest.read(path):
        found.files_are_there(path)
        found.pictures_are_there(path)
        assert all(isinstance(line, str) for line in [*found.warnings, *found.not_honoured])


def _audio(path: Path) -> None:
    with AudioFileSource(path) as source:
        for start in range(0, source.frames, 1 << 16):
            source.read(start, min(1 << 16, source.frames - start))


def _dictionaries() -> list[bytes]:
    rng = np.random.default_rng(0)

    def part() -> Part:
        return Part(*(rng.random((3, 129)).astype(np.float32) + 0.1 for _ in range(2)))

    sources = {"vocals": {"files": ["a.wav"], "seconds": 3.0}}
    return [Dictionary({"vocals": part(), "drums": part()}, RATE, 256, sources).to_bytes()]


def _weights() -> list[bytes]:
    torch.manual_seed(0)
    voices = Architecture(channels=6, dilations=(1, 2), attention=(1,), long_window=0, short_window=0)
    songs = WaveArchitecture(
        channels=(4, 8), strides=(64, 1, 2), kernels=(256, 3), resolution=8, bottom_dilations=(1,)
    )
    made = []
    for network, form, values in (
        (Network(voices), weights.FORMAT, voices.to_dict()),
        (build(songs), wave_u_net.FORMAT, songs.to_dict()),
    ):
        tensors = {name: value.half().contiguous() for name, value in network.state_dict().items()}
        made.append(save(tensors, {"format": form, "architecture": json.dumps(values), "notes": "{}"}))
    return made


def _load(path: Path) -> None:
    for load in (weights.load, wave_u_net.load):
        try:
            load(path)
        except WeightsError as error:
            if "holds weights of the format" not in str(error):
                raise


KINDS = {
    "ardour": Kind(".ardour", ardour_seed.sessions, ardour_seed.read, (SessionError,)),
    "rpp": Kind(".rpp", _projects, _rendered_project, (SessionError, AudioFileError)),
    "dawproject": Kind(".dawproject", sessions.dawprojects, sessions.read_session, (SessionError,)),
    "dawproject-xml": Kind(
        ".xml", lambda: [sessions.dawproject_xml()], sessions.read_dawproject_xml, (SessionError,)
    ),
    "als-xml": Kind(".xml", lambda: [sessions.ableton_xml()], sessions.read_ableton_xml, (SessionError,)),
    "aup3": Kind(".aup3", sessions.audacities, sessions.read_session, (SessionError,)),
    "aup3-document": Kind(
        ".bin", sessions.audacity_documents, sessions.read_audacity_document, (SessionError,)
    ),
    "aaf": Kind(".aaf", aaf_seed.files, aaf_seed.read_file, (SessionError,)),
    "aaf-content": Kind(".bin", aaf_seed.contents, aaf_seed.read_contents, (SessionError,)),
    "midi": Kind(".mid", _midi, read_midi, (MidiError,)),
    "preset": Kind(".toml", _presets, lambda path: Preset.load(path).check(), (PresetError,)),
    "manifest": Kind(".json", _manifests, _manifest, ()),
    "wav": Kind(
        ".wav",
        lambda: [_sound(format="WAV", subtype="PCM_16"), _sound(format="RF64", subtype="FLOAT")],
        _audio,
        (AudioFileError,),
    ),
    "mp3": Kind(".mp3", lambda: [_sound(format="MP3")], _audio, (AudioFileError,)),
    "dictionary": Kind(
        ".safetensors", _dictionaries, lambda path: dictionary.load(str(path)), (DictionaryError,)
    ),
    "weights": Kind(".safetensors", _weights, _load, (WeightsError,)),
}
