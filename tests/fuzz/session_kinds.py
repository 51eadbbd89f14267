"""Seeds of sessions of other DAWs, and how mutations reach what lies inside their packing."""

from __future__ import annotations

import gzip
import json
import sqlite3
import tempfile
import zipfile
from contextlib import closing
from functools import cache
from pathlib import Path

import numpy as np

from plugin_bridge.errors import AudioFileError
from plugin_bridge.sessions import open_session
from tests.plugin_bridge.sessions.audacity import helpers as audacity
from tests.plugin_bridge.sessions.dawproject import helpers as daw
from tests.plugin_bridge.sessions.test_ableton import clip, keys, midi_clip, text, track


def read_session(path: Path) -> None:
    """Opens a session and reads a little of every clip's packed audio."""
    session = open_session(path)
    json.dumps([session.end, session.not_honoured, [one.notes for one in session.walk()]], default=str)
    for one in session.walk():
        for heard in one.clips[:3]:
            if heard.material is not None and not heard.problem:
                try:
                    source = heard.material.open(session.sample_rate)
                    source.read(0, min(source.frames, 1000))
                except AudioFileError:
                    continue


def dawproject_xml() -> bytes:
    strip = (
        'destination="mc"><Devices><Vst3Plugin deviceName="Comp" deviceRole="audioFX"><State path="p"/>'
        '</Vst3Plugin></Devices><Mute value="false"/><Pan id="pan" unit="normalized" value="0.5"/><Sends>'
        '<Send destination="t2c" type="pre"><Volume unit="linear" value="0.5"/></Send></Sends>'
        '<Volume id="vol" unit="decibel" value="-6"/>'
    )
    points = (
        '<Points><Target parameter="vol"/><RealPoint time="1" value="-3" interpolation="linear"/></Points>'
    )
    inner = "<Clips>" + daw.clip(0, 2, daw.warped((0, 0), (3, 1))) + "</Clips>"
    notes = '<Notes><Note time="0" duration="1" channel="0" key="60" vel="0.5"/></Notes>'
    lanes = daw.lanes(
        daw.clip(4, 8, inner, 'fadeInTime="1" fadeOutTime="-1" loopStart="0" loopEnd="1.5"'),
        daw.clip(9, 2, notes),
    )
    tempo = (
        '<TempoAutomation timeUnit="beats"><Target parameter="tempo"/>'
        '<RealPoint time="0" value="120" interpolation="linear"/><RealPoint time="8" value="90"/>'
        "</TempoAutomation>"
    )
    master = '<Track id="m"><Channel id="mc" role="master"/></Track>'
    structure = daw.track(channel=strip) + daw.track("t2", "Bus") + master
    return daw.project(structure, lanes + f'<Lanes track="t1">{points}</Lanes>', rest=tempo).encode()


def _zipped(xml: bytes) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = daw.save(
            Path(folder, "a.dawproject"),
            xml,
            {"audio/a.wav": daw.wav(np.zeros((1, 500))), "p": daw.vst3_preset()},
        )
        return path.read_bytes()


def dawprojects() -> list[bytes]:
    return [_zipped(dawproject_xml())]


def read_dawproject_xml(path: Path) -> None:
    inside = path.with_suffix(".dawproject")
    with zipfile.ZipFile(inside, "w") as archive:
        archive.writestr("project.xml", path.read_bytes())
        archive.writestr("p", daw.vst3_preset())
    read_session(inside)


def ableton_xml() -> bytes:
    mixer = '<Volume><Manual Value="0.5"/></Volume><Pan><Manual Value="0"/></Pan>'
    clips = (
        clip(
            0, 5, loop=(0, 2), relative=1, is_loop=True, warped=[(0, 0), (4, 2)], more='<WarpMode Value="4"/>'
        ),
        clip(8, 12, more='<Fade Value="true"/><Fades><FadeInLength Value="1"/></Fades>'),
    )
    notes = keys(midi_clip((0, 1, 60), (1.5, 2, 64), end=9, loop=(0, 2), relative=1, is_loop=True))
    return text(track(*clips, mixer=mixer, group=7), track(kind="GroupTrack", number=7), notes).encode()


def read_ableton_xml(path: Path) -> None:
    inside = path.with_suffix(".als")
    inside.write_bytes(gzip.compress(path.read_bytes(), 1))
    read_session(inside)


def _audacity(folder: str) -> Path:
    blocks = [np.linspace(-1, 1, 1000, dtype="<f4")]
    voice = audacity.track(audacity.clip([(0, 1)], 1000, 0.5, points=[(0.0, 0.5)], trimLeft=0.001))
    labels = ("labeltrack", {}, [("label", {"t": 1.0, "t1": 3.0, "title": "Verse"}, [])])
    return audacity.save(Path(folder, "a.aup3"), voice, labels, blocks=blocks)


@cache
def audacities() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        return [_audacity(folder).read_bytes()]


def audacity_documents() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder, closing(sqlite3.connect(_audacity(folder))) as database:
        dictionary, document = database.execute("SELECT dict, doc FROM project").fetchone()
        return [bytes(dictionary) + bytes(document)]


def read_audacity_document(path: Path) -> None:
    """Both halves are one stream of fields, wherever it is cut."""
    inside = path.with_suffix(".aup3")
    inside.unlink(missing_ok=True)
    inside.write_bytes(audacities()[0])
    with closing(sqlite3.connect(inside)) as database, database:
        database.execute("PRAGMA synchronous = OFF")
        database.execute("UPDATE project SET dict = ?, doc = ?", (b"\0\4", path.read_bytes()))
    read_session(inside)
