"""What lies in a folder of results as a page to listen: sets by their manifests, and the originals.

An original is taken only if its samples are those that were separated, by the hash in the manifest.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from plugin_bridge.audio.files import AudioFileSource
from plugin_bridge.audio.stem_mp4 import SUFFIX as STEM_MP4
from plugin_bridge.audio.stem_mp4 import read_titles
from plugin_bridge.errors import BridgeError, JobError
from plugin_bridge.jobs.for_stem_mp4 import for_stem_mp4
from plugin_bridge.jobs.inputs import ChannelInput, FileInput, Input, MixInput, TrackInput, read_session
from plugin_bridge.jobs.manifest import Manifest, Origin, manifests, samples_hash
from plugin_bridge.jobs.progress import Event, Reporter
from plugin_bridge.jobs.workspace import workspace
from plugin_bridge.naming import printable
from plugin_bridge.report.page import OpenSource, PageSet, PageStem, PageTrack, check_folder, write_page
from separators.base import Audio
from separators.streaming import AudioSource

REPORT = "report"
"""The page's folder, in that of the results."""
PAGE = "page to listen"
"""What it is called where progress is shown."""
Progress = Callable[[str, float], None]
"""Called with a track's name and the fraction of all that is done."""


def write_report(
    results: str | os.PathLike[str],
    to: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Path:
    """Make a page to listen to the stems in a folder: a mixer for each track, the original beside it.

    The page is a folder that opens in a browser from disk. Made again, it makes anew only what has changed.

    :param results: the folder with the stems and their manifests
    :param to: the page's folder; None: ``report`` in that of the results
    :param progress: called with a track's name and the fraction of the whole page that is done
    :returns: the file to open
    :raises JobError: there are no stems with manifests, or none that browsers play, or the page's folder
        holds something else
    """
    folder = Path(results)
    target = folder / REPORT if to is None else Path(to)
    check_folder(target)
    tracks = _tracks(folder)
    if not tracks:
        raise JobError(
            f"{folder}: there are no stems here; a page is made of what render, separate and batch write, "
            "with the manifests"
        )
    left_out = [f"{track.name}: {track.obstacle}" for track in tracks if track.obstacle]
    tracks = [track for track in tracks if not track.obstacle]
    if not tracks:
        raise JobError(left_out[0])
    title = printable(folder.resolve().name) or "Stems"
    with workspace(target.parent) as work:
        told = progress or (lambda track, fraction: None)
        return write_page(target, title, tracks, work, told, left_out)


def page_of(folder: Path, reporter: Reporter, to: Path | None = None) -> Path:
    """Make the page of the results in ``folder`` and show how far it is."""
    page = write_report(folder, to, lambda track, fraction: reporter.update(Event(PAGE, track, fraction)))
    reporter.finish(PAGE, f"open {page}")
    return page


def _tracks(folder: Path) -> list[PageTrack]:
    """The complete sets in ``folder``; those of the same track by several presets together."""
    found: dict[tuple[str, str], list[tuple[Path, Manifest]]] = {}
    for path in manifests(folder):
        manifest = Manifest.read(path)
        if (
            manifest is not None
            and manifest.outputs
            and manifest.input.frames
            and manifest.files_are_there(path)
            and _is_inside(folder, path, manifest)
        ):
            found.setdefault((manifest.track, manifest.samples), []).append((path, manifest))
    return [_track(folder, sets) for sets in found.values()]


def _is_inside(folder: Path, path: Path, manifest: Manifest) -> bool:
    """Whether all files of a manifest lie in the folder: anybody may have written it."""
    root = folder.resolve()
    return all((path.parent / output.path).resolve().is_relative_to(root) for output in manifest.outputs)


def _track(folder: Path, sets: Sequence[tuple[Path, Manifest]]) -> PageTrack:
    first = sets[0][1]
    said = [[output.sha256 for output in manifest.outputs] for _, manifest in sets]
    names = [[output.stems for output in manifest.outputs] for _, manifest in sets]
    rest = [(manifest.preset, manifest.gain, manifest.heard) for _, manifest in sets]
    key = json.dumps([first.track, first.samples, said, names, rest])
    return PageTrack(
        name=first.track,
        key=hashlib.sha256(key.encode("utf-8", "replace")).hexdigest(),
        sample_rate=first.input.sample_rate,
        channels=first.input.channels,
        frames=first.input.frames,
        sets=[_set(folder, path, manifest) for path, manifest in sets],
        find_original=lambda: _original(folder, first),
    )


def _set(folder: Path, path: Path, manifest: Manifest) -> PageSet:
    stems = []
    for output in manifest.outputs:
        file = Path(os.path.normpath(path.parent / output.path))
        shown = printable(os.path.relpath(file, folder))
        for number, name in enumerate(output.stems):
            opener = _stem(file, name, number if len(output.stems) > 1 else None, manifest.input)
            stems.append(PageStem(name, opener, shown, manifest.heard.get(name, ())))
    return PageSet(
        preset=manifest.preset,
        stems=stems,
        gain=manifest.gain,
        facts=_facts(manifest),
        remarks=[*manifest.warnings, *manifest.not_honoured, *manifest.notes],
    )


def _facts(manifest: Manifest) -> dict[str, str]:
    """A manifest's figures for people."""
    origin, key = manifest.input, manifest.key
    seconds = origin.frames / origin.sample_rate
    separator = key.get("separator")
    parameters = separator if isinstance(separator, dict) else {}
    said = {
        name: value
        for name, value in parameters.items()
        if name not in ("name", "code", "files", "separate") and value not in ("", None)
        if not isinstance(value, dict | list)
    }
    facts = {
        "Sum of the stems": "silent"
        if manifest.residual_db is None
        else f"{manifest.residual_db:.0f} dB away from the input".replace("-", "−"),
        "Method": str(parameters.get("name", "")),
        "Length": f"{seconds:.3f} s, {origin.frames} frames",
        "Input": f"{origin.sample_rate} Hz, {origin.channels} channel{'s' if origin.channels > 1 else ''}",
        "Bit depth": manifest.bit_depth,
        "Gain": "" if manifest.gain == 1 else f"{manifest.gain:.4g} for all stems",
        "Made in": f"{manifest.seconds:.1f} s"
        + (f", {seconds / manifest.seconds:.1f} times real time" if manifest.seconds > 0 else ""),
        "From": Path(origin.path).name,
        "Program": str(key.get("program", "")),
        "Parameters": ", ".join(f"{name} = {value}" for name, value in said.items()),
    }
    return {name: printable(value) for name, value in facts.items() if value}


def _stem(file: Path, name: str, number: int | None, origin: Origin) -> OpenSource:
    """Opens a stem: a file, a part of its channels or a sound of a Stem file; raises what does not fit."""

    @contextmanager
    def opened() -> Iterator[AudioSource]:
        is_stem_mp4 = file.name.endswith(f".{STEM_MP4}")
        stream = 1 + read_titles(file).index(name) if is_stem_mp4 else 0
        with AudioFileSource(file, stream) as source:
            part: AudioSource = source
            if is_stem_mp4:
                part = ChannelsSource(source, 0, origin.channels)
            elif number is not None:
                part = ChannelsSource(source, number * origin.channels, origin.channels)
            if (source.frames, source.sample_rate) != (origin.frames, origin.sample_rate):
                raise JobError(f"{file}: is not as long as its manifest says; make the stems again")
            yield part

    return opened


class ChannelsSource:
    """Some channels of a source as a source."""

    def __init__(self, source: AudioSource, first: int, channels: int) -> None:
        self._source, self._first, self.channels = source, first, channels
        self.sample_rate, self.frames = source.sample_rate, source.frames

    def read(self, start: int, frames: int) -> Audio:
        """Frames ``start`` to ``start + frames`` as ``(channels, frames)``."""
        return self._source.read(start, frames)[self._first : self._first + self.channels]


def _original(folder: Path, manifest: Manifest) -> tuple[OpenSource | None, str]:
    """What was separated, if it is still there; else why it is not heard."""
    reason = "is not there any more"
    for path in dict.fromkeys([Path(manifest.input.path), folder.parent / manifest.input.path]):
        if not path.exists():
            continue
        reason = "is not what was separated any more"
        for one in _candidates(path, manifest):
            try:
                opener = _opener(one, manifest)
                with opener() as source:
                    same = _measures(source) == _measures(manifest.input)
                    if same and samples_hash(source) == manifest.samples:
                        return opener, ""
            except (BridgeError, OSError) as error:
                reason = f"cannot be opened: {error}"
    return None, f"{printable(manifest.input.path)} {printable(reason)}"


def _opener(one: Input, manifest: Manifest) -> OpenSource:
    """Opens what was separated of ``one``: what was converted first if the stems lie in a Stem file."""
    converted = any(output.path.endswith(f".{STEM_MP4}") for output in manifest.outputs)

    @contextmanager
    def opened() -> Iterator[AudioSource]:
        with one.open() as found:
            yield for_stem_mp4(found).source if converted else found.source

    return opened


def _measures(audio: AudioSource | Origin) -> tuple[int, int, int]:
    return audio.sample_rate, audio.channels, audio.frames


def _candidates(path: Path, manifest: Manifest) -> Iterator[Input]:
    """What the manifest may mean by ``path``: a file, a channel of it, a track of a session, its mix."""
    try:
        with AudioFileSource(path) as source:
            channels = source.channels
    except BridgeError:
        yield from _of_session(path, manifest)
        return
    yield FileInput(path)
    if channels > 1 and manifest.input.channels == 1:
        yield from (ChannelInput(FileInput(path), channel) for channel in range(channels))


def _of_session(path: Path, manifest: Manifest) -> Iterator[Input]:
    if manifest.input.track:
        yield TrackInput(path, manifest.input.track)
        return
    read_session.cache_clear()
    session = read_session(path)
    for track in session.walk():
        whole = TrackInput(path, track.identifier)
        if track.name == manifest.track:
            yield from (whole, TrackInput(path, track.identifier, post_fader=True))
        elif manifest.track.startswith(f"{track.name} ") and manifest.input.channels == 1:
            with whole.open() as opened:
                channels = opened.source.channels
            yield from (ChannelInput(whole, channel) for channel in range(channels))
    yield MixInput(path)
