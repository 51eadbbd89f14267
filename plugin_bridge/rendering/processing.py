"""What stands on a track's strip, made to sound: its effects and instruments, hosted in child processes.

Off unless asked. Effects run from the timeline's start on, over the whole session, as in a DAW that plays
from there. An instrument plays the track's notes; where the session has none that can be had, a SoundFont
does, if the user names one. Plug-ins are loaded when a track is first read, several side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pedalboard

from plugin_bridge.audio.sequential import SequentialReader
from plugin_bridge.errors import PluginError
from plugin_bridge.plugins.folders import find_hosted
from plugin_bridge.plugins.hosted import SIDE_BY_SIDE, WrongKindError
from plugin_bridge.plugins.hosting import HostedPlugin
from plugin_bridge.plugins.instruments import (
    FRAMES_AT_ONCE,
    HostedInstrument,
    Instrument,
    SoundFontInstrument,
    timed,
)
from plugin_bridge.plugins.streamed_chain import StreamedChain
from plugin_bridge.rendering import devices
from plugin_bridge.rendering.clips import add
from plugin_bridge.sessions.model import PluginState, Track
from plugin_bridge.sessions.notes import messages_of
from plugin_bridge.vst_presets import vst_preset
from separators.base import Audio
from separators.remarks import remark

LIMITS: dict[str, Any] = {}
"""Of time and memory, where they are not those of :mod:`plugin_bridge.plugins.hosted`."""
SOUND_FONT = -1
Place = tuple[str, int]
"""A track's identifier, and a plug-in's number in its chain (:data:`SOUND_FONT`: none of them)."""
NOTES_UNPLAYED = (
    "MIDI items are not played",
    "notes are not played",
    "MIDI regions are not played",
    "MIDI clips are not played",
)
"""What readers say of tracks with notes."""


class BrokenPluginError(PluginError):
    """A plug-in of a session crashed, hung, ate memory or refused the track's channels."""

    def __init__(self, message: str, place: Place) -> None:
        super().__init__(message)
        self.place = place
        """Where it stands."""

    def __reduce__(self) -> tuple[type[BrokenPluginError], tuple[str, Place]]:
        return type(self), (str(self.args[0]), self.place)


@dataclass(frozen=True)
class Processing:
    """What of a session's plug-ins is to sound; a small description that travels to workers."""

    effects: bool = False
    """Hosted ones: VST3."""
    approximate: bool = False
    """The devices that DAWproject describes without saying how they sound, by the nearest built-ins."""
    instruments: bool = False
    sound_font: Path | None = None
    """For notes whose instrument is missing."""
    plugin_paths: tuple[Path, ...] = ()
    bypass_broken: bool = False
    """Leave out what breaks, rather than fail."""
    broken: frozenset[tuple[Place, str]] = frozenset()
    """What broke in earlier tries, and how."""

    @property
    def plays_notes(self) -> bool:
        """Whether tracks of notes sound."""
        return self.instruments or self.sound_font is not None

    @property
    def is_asked_for(self) -> bool:
        """Whether any of them is to sound."""
        return self.effects or self.approximate or self.plays_notes

    def without(self, error: BrokenPluginError) -> Processing:
        """The same without the plug-in that broke; raises ``error`` unless that is wanted."""
        if not self.bypass_broken:
            raise error
        return replace(self, broken=self.broken | {(error.place, str(error))})


DRY = Processing()
"""Nothing of them."""


@dataclass(frozen=True)
class _Slot:
    """One plug-in that will be loaded; the name is the installed one's, empty for an approximation."""

    place: Place
    state: PluginState
    name: str = ""


class StripProcessing:
    """The plug-ins of one track."""

    def __init__(self, track: Track, processing: Processing, sample_rate: int, end_frame: int) -> None:
        """``end_frame``: where the session ends."""
        self.track = track
        self.honoured: set[str] = set()
        """Lines of the session's reader that no longer hold, without the track's name."""
        self.not_honoured: list[str] = []
        """What is left out, one line each."""
        self._processing = processing
        self._broken = {place for place, _ in processing.broken}
        self._rate = sample_rate
        self._end = end_frame
        self._effects: list[tuple[Place, list[pedalboard.Plugin]]] | None = None
        self._instruments: list[tuple[Place, Instrument]] = []
        self._reader: SequentialReader | None = None
        self._remarks: list[str] = []
        for place, said in sorted(processing.broken):
            if place[0] == track.identifier:
                self.not_honoured.append(f"{said}; bypassed")
        self._slots = [
            slot
            for number, state in enumerate(track.chain)
            if not state.bypassed and (slot := self._planned((track.identifier, number), state)) is not None
        ]
        self._plan_notes()

    def _planned(self, place: Place, state: PluginState) -> _Slot | None:
        """The plug-in to load, if any; says why it is left out."""
        processing, said = self._processing, f"plug-in {state.name} is left out"
        if state.format == devices.FORMAT:
            return self._approximated(place, state, said) if processing.approximate else None
        # Of some formats the reader does not know which it is; loading it tells.
        wanted = {"instrument": processing.instruments, "effect": processing.effects}
        if not wanted.get(state.role, processing.instruments or processing.effects):
            return None
        self.honoured.add(said)
        if place in self._broken:
            return None
        if state.format != "VST3":
            self._say(f"{said}: only VST3 is hosted, not {state.format or 'its format'}")
            return None
        try:
            return _Slot(
                place, state, find_hosted(state.identifier, (state.file, state.name), processing.plugin_paths)
            )
        except PluginError as error:
            self._say(f"{said}: {error}")
            return None

    def _approximated(self, place: Place, state: PluginState, said: str) -> _Slot | None:
        try:
            devices.plugins(state)
        except PluginError as error:
            self._say(f"{said}: {error}")
            return None
        self.honoured.add(said)
        self._say(f"plug-in {state.name} is played by Pedalboard's nearest, which sounds otherwise")
        return _Slot(place, state)

    def _plan_notes(self) -> None:
        self._font: Path | None = None
        self._plays_notes = False
        if not (self.track.notes and self._processing.plays_notes):
            return
        place = (self.track.identifier, SOUND_FONT)
        if self._processing.instruments and any(
            slot.state.role != "effect" and slot.name for slot in self._slots
        ):
            self._plays_notes = True
        elif self._processing.sound_font is not None and place not in self._broken:
            self._font, self._plays_notes = self._processing.sound_font, True
        elif place not in self._broken:
            self._say(
                "its notes are not played: its instrument is missing; name a SoundFont to play them with"
            )
        self.honoured.update(NOTES_UNPLAYED)

    def _say(self, line: str) -> None:
        self.not_honoured.append(f"{self.track.name}: {line}")

    @property
    def is_needed(self) -> bool:
        """Whether anything is done here."""
        return bool(self._slots) or self._plays_notes

    def channels(self, mixed: int) -> int:
        """The strip's channels where ``mixed`` come in: plug-ins get both sides of a track that has two."""
        return max(mixed, min(self.track.channels, 2)) if self.is_needed else mixed

    def read(self, start: int, frames: int, channels: int, dry: Callable[[int, int], Audio]) -> Audio:
        """Frames of the timeline, silence behind the session's end; ``dry`` reads what comes in."""
        if self._reader is None:
            self._reader = SequentialReader(channels, lambda: self._stream(channels, dry))
        audio = np.zeros((channels, frames), np.float32)
        came = self._reader.read(start, max(0, min(frames, self._end - start)))
        audio[:, : came.shape[1]] = came
        return audio

    def close(self) -> None:
        """End the child processes; reading starts them again."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        for _, instrument in self._instruments:
            instrument.close()
        for _, effects in self._effects or ():
            for effect in effects:
                if isinstance(effect, HostedPlugin):
                    effect.close()

    def loaders(self) -> list[Callable[[], None]]:
        """What loads the plug-ins that are not loaded yet, to be called side by side."""
        if self._effects is not None:
            return []
        self._effects = [(slot.place, []) for slot in self._slots]
        made: list[Callable[[], None]] = [
            partial(self._load, slot, effects)
            for slot, (_, effects) in zip(self._slots, self._effects, strict=True)
        ]
        if self._font is not None:
            made.append(partial(self._load_font, self._font))
        return made

    def take_remarks(self) -> list[str]:
        """What was noticed while loading."""
        said, self._remarks = self._remarks, []
        return said

    def _load(self, slot: _Slot, effects: list[pedalboard.Plugin]) -> None:
        if not slot.name:
            effects += devices.plugins(slot.state)
            return
        with self._blaming(slot.place):
            plugin = self._hosted(slot)
            if plugin is None:
                return
            state = slot.state
            preset = state.preset
            if not preset and state.state:
                preset = vst_preset(plugin.class_id, state.state, state.controller_state)
            if preset and not plugin.restore(preset):
                self._remarks.append(
                    f"{self.track.name}: {state.name} gives back another state than the session holds, "
                    "and may sound otherwise"
                )
        if isinstance(plugin, HostedPlugin):
            effects.append(plugin)
        else:
            self._instruments.append((slot.place, plugin))

    def _hosted(self, slot: _Slot) -> HostedPlugin | HostedInstrument | None:
        state, processing = slot.state, self._processing
        if state.role != "instrument" and processing.effects:
            try:
                return HostedPlugin(
                    slot.name, plugin_paths=processing.plugin_paths, class_id=state.identifier, **LIMITS
                )
            except WrongKindError:
                if state.role == "effect" or not processing.instruments:
                    return None
        try:
            return HostedInstrument(
                slot.name, plugin_paths=processing.plugin_paths, class_id=state.identifier, **LIMITS
            )
        except WrongKindError:
            return None

    def _load_font(self, path: Path) -> None:
        with self._blaming((self.track.identifier, SOUND_FONT)):
            self._instruments.append(((self.track.identifier, SOUND_FONT), SoundFontInstrument(path)))

    @contextmanager
    def _blaming(self, place: Place) -> Iterator[None]:
        """Errors of a plug-in, with the track and the place where it stands."""
        try:
            yield
        except (PluginError, ValueError, RuntimeError) as error:
            raise BrokenPluginError(f"{self.track.name}: {error}", place) from error

    def _stream(self, channels: int, dry: Callable[[int, int], Audio]) -> Iterator[Audio]:
        load([self])
        notes = timed(messages_of(self.track)) if self._plays_notes else []
        players = []
        for place, instrument in self._instruments if self._plays_notes else ():
            with self._blaming(place):
                instrument.reset()
            players.append((place, instrument.blocks(notes, self._rate, self._end, channels=channels)))
        chains = [
            (place, StreamedChain(effects, self._rate, channels))
            for place, effects in self._effects or ()
            if effects
        ]
        for start in range(0, self._end, FRAMES_AT_ONCE):
            frames = min(FRAMES_AT_ONCE, self._end - start)
            block = np.zeros((channels, frames), np.float32)
            add(block, dry(start, frames))
            for place, player in players:
                with self._blaming(place):
                    block += next(player)
            for place, chain in chains:
                with self._blaming(place):
                    block = chain.process(block)
            yield block
        rest = np.zeros((channels, 0), np.float32)
        for place, chain in chains:
            with self._blaming(place):
                rest = np.concatenate([chain.process(rest), chain.flush()], axis=1)
        yield rest


def load(strips: Iterable[StripProcessing]) -> None:
    """Load the plug-ins of ``strips`` side by side; raises :class:`BrokenPluginError`."""
    strips = list(strips)
    loaders = [loader for strip in strips for loader in strip.loaders()]
    if loaders:
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            for loading in [pool.submit(loader) for loader in loaders]:
                loading.result()
    for strip in strips:
        for line in strip.take_remarks():
            remark(line)
