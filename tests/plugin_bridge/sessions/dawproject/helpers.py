"""Small DAWprojects, written out in the tests."""

import io
import struct
import zipfile

import numpy as np
import soundfile

RATE = 48000


def wav(audio, rate=RATE):
    """The bytes of a WAV file of float32 samples, ``(channels, frames)``."""
    file = io.BytesIO()
    soundfile.write(file, np.asarray(audio, np.float32).T, rate, format="WAV", subtype="FLOAT")
    return file.getvalue()


def audio(seconds=1.0, path="audio/a.wav", attributes="", rate=RATE):
    return (
        f'<Audio channels="1" duration="{seconds}" sampleRate="{rate}" {attributes}>'
        f'<File path="{path}"/></Audio>'
    )


def warped(*points, inner="", unit="beats"):
    marks = "".join(f'<Warp time="{time}" contentTime="{content}"/>' for time, content in points)
    return f'<Warps contentTimeUnit="seconds" timeUnit="{unit}">{inner or audio()}{marks}</Warps>'


def clip(time=0, duration=2, inner="", attributes=""):
    length = f'duration="{duration}"' if duration is not None else ""
    return f'<Clip time="{time}" {length} {attributes}>{inner or audio()}</Clip>'


def lanes(*clips, track="t1", attributes=""):
    return f'<Lanes track="{track}" {attributes}><Clips>{"".join(clips)}</Clips></Lanes>'


def track(identifier="t1", name="Vox", channel="", inner="", attributes=""):
    return (
        f'<Track id="{identifier}" name="{name}" {attributes}>'
        f'<Channel id="{identifier}c" role="regular" {channel or "/>"}'
        f"{'</Channel>' if channel else ''}{inner}</Track>"
    )


def project(structure, arrangement, *, bpm=120, unit="beats", rest="", after=""):
    """A ``project.xml``: tracks, lanes, what follows the lanes, what follows the arrangement."""
    return (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
        '<Project version="1.0"><Application name="test" version="1"/>'
        f'<Transport><Tempo id="tempo" unit="bpm" value="{bpm}"/>'
        '<TimeSignature numerator="3" denominator="4"/></Transport>'
        f"<Structure>{structure}</Structure>"
        f'<Arrangement><Lanes timeUnit="{unit}">{arrangement}</Lanes>{rest}</Arrangement>{after}</Project>'
    )


def save(path, xml, members=None, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("project.xml", xml)
        for name, data in (members or {}).items():
            archive.writestr(name, data)
    return path


def vst3_preset(class_id="56534542" * 4, component=b"state", controller=b""):
    """A ``.vstpreset`` with these chunks."""
    chunks = [(name, data) for name, data in ((b"Comp", component), (b"Cont", controller)) if data]
    body, entries, offset = b"", b"", 48
    for name, data in chunks:
        entries += struct.pack("<4sqq", name, offset, len(data))
        body += data
        offset += len(data)
    head = struct.pack("<4si32sq", b"VST3", 1, class_id.encode(), 48 + len(body))
    return head + body + b"List" + struct.pack("<i", len(chunks)) + entries
