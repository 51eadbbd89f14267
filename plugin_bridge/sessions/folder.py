"""A folder of audio files as a session, one track a file: what every DAW can export.

A Broadcast WAV time stamp (or the same as a tag) places a file on the timeline; if all files have one, the
smallest is the session's start, since DAWs count from their clock (an hour, often). One MIDI file beside
them gives tempo, meter and markers, and its tracks' notes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from plugin_bridge.audio.files import AudioInfo, read_info, search
from plugin_bridge.errors import AudioFileError, SessionError
from plugin_bridge.naming import printable, told_apart
from plugin_bridge.sessions.exports import CLOCK_START, Part, is_called_a_mix, is_sum, parts, stamped_seconds
from plugin_bridge.sessions.midi import read_midi
from plugin_bridge.sessions.model import Clip, Session, SourceChannel, Track
from plugin_bridge.sessions.sources import MAX_SECONDS, MediaFolders

MIDI_SUFFIXES = (".mid", ".midi", ".smf")


def read_folder(folder: Path, media_roots: Sequence[Path] = ()) -> Session:
    """The audio files directly in ``folder`` as tracks, in the order of their names and numbers.

    Two mono files that are the sides of one track are one; a bounce of the whole mix is left out (and said).

    Raises :class:`SessionError` if there are none that can be read. A single bad file is a track that
    cannot be rendered, and said in ``not_honoured``.
    """
    found = search(folder, recursive=False)
    files = found.files
    if not files:
        raise SessionError(f"{folder}: no audio files in this folder")
    media = MediaFolders(folder, media_roots)
    infos = {file: _info(file, media) for file in files}
    readable = [info for info in infos.values() if isinstance(info, AudioInfo)]
    if not readable:
        raise SessionError(f"{folder}: none of the {len(files)} audio files can be read; {infos[files[0]]}")

    stamps = stamped_seconds(readable)
    all_stamped = len(stamps) == len(readable)
    earliest = min(stamps.values(), default=0.0)
    by_clock = all_stamped or earliest >= CLOCK_START
    session = Session(folder, "folder", _common_rate(readable), start=earliest if by_clock else 0.0)
    session.not_honoured += [
        f"Session: left out: {path.name} {reason}" for path, reason in found.left_out.items()
    ]
    rates = Counter(info.sample_rate for info in readable)
    if len(rates) > 1:
        session.notes.append(
            f"Session: {session.sample_rate} Hz, as {rates[session.sample_rate]} of {len(readable)} files"
        )
    tracks = [(part, _track(part, infos, stamps, session)) for part in parts(files, infos)]
    mixes = _mixes(tracks)
    for part, track in tracks:
        if part.name in mixes:
            names = " and ".join(file.name for file in part.files)
            session.notes.append(f"Session: {names} is the mix of the others and left out")
            continue
        if is_called_a_mix(part.name) and len(tracks) > 1:
            session.notes.append(f"{track.name}: called like a mix, but not the others' sum; a track")
        session.tracks.append(track)
    _read_midi(folder, session)
    return session


def _mixes(tracks: list[tuple[Part, Track]]) -> set[str]:
    """The names of those that are bounces of the whole mix."""
    played = [(part, track) for part, track in tracks if not track.clips[0].problem]
    called = {part.name for part, _ in played if is_called_a_mix(part.name)}
    others = [
        (file, track.clips[0].position)
        for part, track in played
        if part.name not in called
        for file in part.files
    ]
    if len(played) < len(called) + 2:
        return set()
    return {
        part.name
        for part, track in played
        if part.name in called and is_sum([(file, track.clips[0].position) for file in part.files], others)
    }


def _info(file: Path, media: MediaFolders) -> AudioInfo | str:
    """What the file is, or why it cannot be played."""
    path, problem = media.as_named(file.name)
    if problem:
        return f"{file.name} {problem}"
    try:
        return read_info(path)
    except AudioFileError as error:
        return str(error)


def _common_rate(infos: list[AudioInfo]) -> int:
    """The rate that most files have; of equally common ones the higher, which loses nothing."""
    counts = Counter(info.sample_rate for info in infos)
    return max(counts, key=lambda rate: (counts[rate], rate))


def _track(
    part: Part, infos: Mapping[Path, AudioInfo | str], stamps: Mapping[Path, float], session: Session
) -> Track:
    file, info = part.files[0], infos[part.files[0]]
    identifier = told_apart(" ".join(one.name for one in part.files))
    track = Track(printable(part.name), identifier=identifier)
    if isinstance(info, str):
        session.not_honoured.append(f"{track.name}: {info}")
        track.clips.append(Clip(file, 0.0, 0.0, name=track.name, problem=info))
        return track
    position = 0.0
    if info.path in stamps:
        position = stamps[info.path] - session.start
    elif stamps:
        session.not_honoured.append(f"{track.name}: has no time stamp, unlike others; placed at 0")
    if position + info.seconds > MAX_SECONDS:
        session.not_honoured.append(
            f"{track.name}: its time stamp of {position:.0f} s is no music's; placed at 0"
        )
        position = 0.0
    track.channels = info.channels
    clip = Clip(info.path, position, info.seconds, name=track.name)
    if len(part.files) > 1:
        track.channels = len(part.files)
        clip = replace(clip, channels=tuple(SourceChannel(one.resolve()) for one in part.files))
    track.clips.append(clip)
    return track


def _read_midi(folder: Path, session: Session) -> None:
    files = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in MIDI_SUFFIXES and not path.name.startswith(".")
    )
    if not files:
        return
    if len(files) > 1:
        names = ", ".join(path.name for path in files)
        session.not_honoured.append(f"Session: of several MIDI files none gives the tempo: {names}")
        return
    path, problem = MediaFolders(folder).find(files[0].name)
    if problem:
        session.not_honoured.append(f"Session: {files[0].name} {problem}")
        return
    try:
        midi = read_midi(path)
    except SessionError as error:
        session.not_honoured.append(f"Session: tempo and markers are left out: {error}")
        return
    session.tempo = midi.tempo
    session.markers = midi.markers
    for number, (name, notes) in enumerate(midi.tracks, start=1):
        session.tracks.append(Track(name, notes=notes, identifier=f"{told_apart(path.name)} {number}"))
