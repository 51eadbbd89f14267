"""The other tracks that a preset's chains listen to, opened beside the one that is worked on.

Of a session they are its tracks, before their faders, at their places; of an audio file they are the
files of that name, but for the ending, in its folder, beginning together with it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from plugin_bridge.audio.formats import SUFFIXES
from plugin_bridge.errors import JobError
from plugin_bridge.jobs.inputs import FileInput, Input, MixInput, Opened, TrackInput, read_session
from plugin_bridge.plugins.sidechains import TRACK, read_padded
from plugin_bridge.presets.preset import Preset
from separators.base import Audio
from separators.near import did_you_mean
from separators.streaming import AudioSource


class Moved:
    """A source that begins ``offset`` frames later than another one; zeros where that has nothing."""

    def __init__(self, source: AudioSource, offset: int, frames: int) -> None:
        self._source, self._offset = source, offset
        self.sample_rate, self.channels, self.frames = source.sample_rate, source.channels, frames

    def read(self, start: int, frames: int) -> Audio:
        """Frames ``start`` to ``start + frames``."""
        return read_padded(self._source, start + self._offset, frames)


def heard_tracks(
    preset: Preset,
    own_input: Input,
    own: Opened,
    opened: ExitStack,
    suited: Callable[[Opened], Opened] = lambda found: found,
) -> dict[str, AudioSource]:
    """What the preset's chains listen to besides ``own``, by name; raises :class:`JobError`.

    ``suited`` does to them what was done to ``own``.
    """
    heard: dict[str, AudioSource] = {}
    names = [name for key in preset.chain_keys for kind, name in preset.listens_to(key) if kind == TRACK]
    for name in dict.fromkeys(names):
        other = suited(opened.enter_context(_named(own_input, name).open()))
        if other.source.sample_rate != own.source.sample_rate:
            raise JobError(
                f"{name!r} is listened to and has {other.source.sample_rate} Hz, this track has "
                f"{own.source.sample_rate}; bring both to one rate"
            )
        offset = 0
        if not isinstance(own_input, FileInput):
            offset = (own.time_reference or 0) - (other.time_reference or 0)
        heard[name] = Moved(other.source, offset, own.source.frames)
    return heard


def _named(beside: Input, name: str) -> Input:
    if isinstance(beside, TrackInput | MixInput):
        session = read_session(beside.path, beside.media_roots, beside.play_rate)
        found = [one for one in session.walk() if one.name == name]
        if len(found) == 1:
            return TrackInput(
                beside.path, found[0].identifier, beside.media_roots, play_rate=beside.play_rate
            )
        known, where = [one.name for one in session.walk()], f"{beside.path.name}"
    elif isinstance(beside, FileInput):
        files = [path for path in sorted(beside.path.absolute().parent.iterdir()) if _is_audio(path)]
        found_files = [path for path in files if path.stem == name]
        if len(found_files) == 1:
            return FileInput(found_files[0])
        known, where = [path.stem for path in files], f"the folder of {beside.path.name}"
    else:
        raise JobError(f"{name!r} cannot be listened to where channels or mixes are taken apart")
    if (many := known.count(name)) > 1:
        raise JobError(f"{many} tracks are called {name!r}, so that it is not clear which one to listen to")
    shown = ", ".join(known[:8]) + (", ..." if len(known) > 8 else "")
    raise JobError(
        f"there is no track {name!r} to listen to{did_you_mean(name, known)}; {where} has: {shown}"
    )


def _is_audio(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()
