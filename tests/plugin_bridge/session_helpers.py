"""Small sessions, made on the spot for the tests of sessions and rendering."""

import numpy as np

from plugin_bridge.audio.files import AudioFileSource, AudioWriter

RATE = 48000


def noise(seconds, channels=1, seed=0, level=0.1, rate=RATE):
    rng = np.random.default_rng(seed)
    return (level * rng.standard_normal((channels, round(seconds * rate)))).clip(-1, 1).astype(np.float32)


def impulse(seconds, at, rate=RATE, channels=1):
    audio = np.zeros((channels, round(seconds * rate)), np.float32)
    audio[:, round(at * rate)] = 1
    return audio


def write(path, audio, rate=RATE, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    with AudioWriter(path, rate, len(audio), **{"bit_depth": "float32", **options}) as writer:
        writer.write(audio.astype(np.float32))
    return path


def read(path):
    with AudioFileSource(path) as source:
        return source.read(0, source.frames)


def item(position=0.0, length=1.0, file="a.wav", extra="", source=None):
    source = source or f'<SOURCE WAVE\n        FILE "{file}"\n      >'
    return f"""    <ITEM
      POSITION {position}
      LENGTH {length}
      {extra}
      {source}
    >
"""


def track(name, *items, strip="", guid=""):
    return f'  <TRACK {guid}\n    NAME "{name}"\n    {strip}\n{"".join(items)}  >\n'


def project(*tracks, head=""):
    return f'<REAPER_PROJECT 0.1 "7.0/linux" 0\n  SAMPLERATE {RATE} 0 0\n  {head}\n{"".join(tracks)}>\n'


def save(folder, text, name="song.rpp"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path
