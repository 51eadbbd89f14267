"""Reads Ableton Live sets (``.als``, Live 8 to 12): the arrangement's clips, strips, groups, returns.

A set is XML packed by gzip, undocumented and different in every version; :data:`PATHS` names where the values
lie. What a set says and rendering does not do goes into ``Session.not_honoured``.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import Element

from plugin_bridge.errors import SessionError
from plugin_bridge.sessions import warps
from plugin_bridge.sessions.ableton import values
from plugin_bridge.sessions.ableton.notes import played, written_notes
from plugin_bridge.sessions.beats import BeatClock, BeatTempo, Frame
from plugin_bridge.sessions.model import (
    Clip,
    Envelope,
    Fade,
    Marker,
    Parameter,
    Point,
    PointShape,
    Send,
    Session,
    Tap,
    Track,
)
from plugin_bridge.sessions.sources import MediaFolders
from plugin_bridge.sessions.xml import BLOCK, COUNTED, number, parse_xml, switch, whole
from separators import regular_files

LARGEST_FILE = 256 << 20
SKIPPED = frozenset({
    "ClipSlotList", "MidiControllers", "GroovePool", "ViewData", "Onsets",
    "BrowserContentPath", "UserOnsets", "Buffer", "ProcessorState", "ControllerState", "ParameterSettings",
    "SequencerNavigator", "TakeLanes",
})  # fmt: skip
"""What is large and not needed; it is not built."""
PATHS = {
    "tracks": "LiveSet/Tracks",
    "name": "Name/EffectiveName",
    "group": "TrackGroupId",
    "mixer": "DeviceChain/Mixer",
    "clips": "DeviceChain/MainSequencer/Sample/ArrangerAutomation/Events",
    "frozen clips": "DeviceChain/FreezeSequencer/Sample/ArrangerAutomation/Events",
    "MIDI clips": "DeviceChain/MainSequencer/ClipTimeable/ArrangerAutomation/Events",
    "slots": "DeviceChain/MainSequencer/ClipSlotList",
    "devices": "DeviceChain/DeviceChain/Devices",
    "envelopes": "AutomationEnvelopes/Envelopes",
    "output": "DeviceChain/AudioOutputRouting/Target",
    "locators": "LiveSet/Locators/Locators",
    "sends before the fader": "LiveSet/SendsPre",
    "file": "SampleRef/FileRef",
}
MASTERS = ("LiveSet/MasterTrack", "LiveSet/MainTrack")
TRACKS = ("AudioTrack", "MidiTrack", "GroupTrack", "ReturnTrack")
DEFAULT_SAMPLE_RATE = 44100
SAMPLE_RATES = (1000, 768000)
TEMPOS = (1.0, 10000.0)
RE_PITCH = 3
"""The warp mode that moves the pitch with the time."""
LONGEST_SET = 1e7
"""Beats; the events before all others lie further back than this."""
MOST_REPEATS = 20_000
MOST_NOTES = 1_000_000
"""With the repeats of loops."""
SHORTEST_LOOP = 1e-3
LONGEST_DELAY = 60.0
"""Seconds that a track may be late or early."""
PLAIN_XML = b"<?xml"
FADERS = {"Volume": Parameter.VOLUME, "Pan": Parameter.PAN, "Speaker": Parameter.MUTE}
MONITOR_IN, NO_CROSSFADER, SPLIT_PAN = 0, 1, 1
"""Codes of a track that plays its input, of one that the crossfader leaves alone, of a pan for each side."""


def read_ableton(path: Path, media_roots: Sequence[Path] = ()) -> Session:
    """Read the Live set at ``path``. Raises :class:`SessionError` if it is damaged.

    Samples are looked for in the set's folder and ``media_roots`` only.
    """
    with closing(_unpacked(path)) as blocks:
        root = parse_xml(blocks, path, skipped=SKIPPED, counted=("AudioClip", "MidiClip"))
    if root.tag != "Ableton" or root.find("LiveSet") is None:
        raise SessionError(f"{path}: not an Ableton Live set (its XML begins with <{root.tag:.80}>)")
    try:
        return _SetReader(path, root, MediaFolders(path.parent, media_roots)).session
    except SessionError as error:
        raise SessionError(f"{path}: {error}") from error


def _unpacked(path: Path) -> Generator[bytes]:
    """The XML, piece by piece: packed by gzip, or as it is, which Live opens as well."""
    try:
        regular_files.check(path, LARGEST_FILE)
        with path.open("rb") as file:
            if file.read(len(PLAIN_XML)) == PLAIN_XML:
                yield PLAIN_XML
                while block := file.read(BLOCK):
                    yield block
                return
            file.seek(0)
            unpack = zlib.decompressobj(wbits=31)
            while block := file.read(BLOCK):
                while block:
                    yield unpack.decompress(block, BLOCK)
                    block = unpack.unconsumed_tail
            if not unpack.eof:
                raise SessionError("cut short; take a set from the project's Backup folder")
    except OSError as error:
        raise SessionError(f"cannot be read: {(error.strerror or str(error)).lower()}") from error
    except zlib.error as error:
        raise SessionError(f"not an Ableton Live set, which is packed by gzip: {error}") from None


class _SetReader:
    def __init__(self, path: Path, root: Element, media: MediaFolders) -> None:
        self.root = root
        self.media = media
        self.remarks: Counter[str] = Counter()
        self.repeats = 0
        self.notes_played = 0
        self.session = Session(path, "ableton", self._sample_rate())
        self.master = next((found for name in MASTERS if (found := root.find(name)) is not None), None)
        self.clock = BeatClock(self._tempo())
        self.session.tempo = self.clock.changes([(0.0, *self._meter())])
        self.frame = Frame(self.clock, "beats")
        self._read_master()
        self._read_tracks()
        self._read_locators()
        self._remark_on_session_view()
        self.session.not_honoured = [
            text if count == 1 else f"{text} ({count} times)" for text, count in self.remarks.items()
        ]

    def _remark(self, where: str, text: str) -> None:
        self.remarks[f"{where}: {text}"] += 1

    def _sample_rate(self) -> int:
        """The rate that most samples have; a set does not hold that of the audio hardware."""
        rates = Counter(
            whole(found, "Value") for found in self.root.iterfind(".//AudioClip/SampleRef/DefaultSampleRate")
        )
        known = {rate: count for rate, count in rates.items() if SAMPLE_RATES[0] <= rate <= SAMPLE_RATES[1]}
        return max(known, key=lambda rate: (known[rate], rate), default=DEFAULT_SAMPLE_RATE)

    def _tempo(self) -> list[BeatTempo]:
        tempo = self.master.find(f"{PATHS['mixer']}/Tempo") if self.master is not None else None
        bpm = values.real(tempo, "Manual", 120.0)
        events = self._events(self.master, tempo)
        found = [BeatTempo(time, value, True) for time, value in events]
        if not found or found[0].beat > 0:
            found.insert(0, BeatTempo(0.0, found[0].bpm if found else bpm))
        for one in found:
            if not TEMPOS[0] <= one.bpm <= TEMPOS[1]:
                raise SessionError(f"a tempo of {one.bpm:g} beats a minute; Live has 20 to 999")
        return found

    def _meter(self) -> tuple[int, int]:
        mixer = self.master.find(PATHS["mixer"]) if self.master is not None else None
        code = int(min(max(values.real(mixer, "TimeSignature/Manual", 201), 0), 494))
        return code % 99 + 1, 2 ** (code // 99)

    def _events(self, track: Element | None, parameter: Element | None) -> list[tuple[float, float]]:
        """The automation of a parameter: beats and values, in order; what lies before beat 0 is at 0."""
        target = parameter.find("AutomationTarget") if parameter is not None else None
        if track is None or target is None:
            return []
        for envelope in track.iterfind(f"{PATHS['envelopes']}/AutomationEnvelope"):
            if values.word(envelope, "EnvelopeTarget/PointeeId") != target.get("Id"):
                continue
            events = list(envelope.iterfind("Automation/Events/*"))
            found = []
            for event in events:
                value = float(switch(event, "Value")) if event.tag == "BoolEvent" else number(event, "Value")
                found.append((max(0.0, number(event, "Time")), value))
            if any(time > LONGEST_SET for time, _ in found):
                raise SessionError("automation that no set reaches")
            return sorted(found, key=lambda one: one[0]) if len(found) > 1 else []
        return []

    def _remark_on_session_view(self) -> None:
        lists = self.root.iterfind(f"{PATHS['tracks']}/*/{PATHS['slots']}")
        if count := sum(whole(one, COUNTED) for one in lists):
            clips = "1 clip" if count == 1 else f"{count} clips"
            self._remark("Set", f"{clips} of the session view left out; the arrangement is read")

    def _read_master(self) -> None:
        mixer = self.master.find(PATHS["mixer"]) if self.master is not None else None
        self.session.master_volume = values.gain(values.real(mixer, "Volume/Manual", 1.0))
        self.session.master_pan = values.pan(values.real(mixer, "Pan/Manual"))
        if self.master is not None:
            self.session.master_envelopes = list(self._envelopes(self.master, mixer, ("Volume", "Pan")))
            for name in _devices(self.master):
                self._remark("Master", f"device {name} is left out")

    def _read_tracks(self) -> None:
        tracks = self.root.find(PATHS["tracks"])
        elements = [one for one in tracks if one.tag in TRACKS] if tracks is not None else []
        returns = [one for one in elements if one.tag == "ReturnTrack"]
        made = {id(element): self._track(element, number) for number, element in enumerate(elements, 1)}
        groups = {
            element.get("Id", ""): made[id(element)] for element in elements if element.tag == "GroupTrack"
        }
        before = [
            values.is_on(one, ".", False)
            for one in self.root.iterfind(f"{PATHS['sends before the fader']}/*")
        ]
        parents: dict[int, Track] = {}
        for element in elements:
            track = made[id(element)]
            parent = groups.get(values.word(element, PATHS["group"]))
            if parent is not None and not _is_above(track, parent, parents):
                parents[id(track)] = parent
                parent.children.append(track)
            else:
                self.session.tracks.append(track)
            for index, holder in enumerate(element.iterfind(f"{PATHS['mixer']}/Sends/TrackSendHolder")):
                gain = values.real(holder, "Send/Manual")
                is_moved = bool(self._events(element, holder.find("Send")))
                if (
                    (gain > values.SILENT or is_moved)
                    and index < len(returns)
                    and returns[index] is not element
                ):
                    is_pre = index < len(before) and before[index]
                    tap = Tap.PRE_FADER if is_pre else Tap.POST_FADER
                    moves = self._envelope(element, holder.find("Send"), Parameter.VOLUME)
                    track.sends.append(
                        Send(
                            made[id(returns[index])].identifier,
                            values.gain(gain),
                            tap=tap,
                            envelopes=() if moves is None else (moves,),
                        )
                    )

    def _track(self, element: Element, number: int) -> Track:
        mixer = element.find(PATHS["mixer"])
        track = Track(
            values.word(element, PATHS["name"]) or f"Track {number}",
            identifier=f"{element.tag} {element.get('Id', '')} {number}",
            volume=values.gain(values.real(mixer, "Volume/Manual", 1.0)),
            pan=values.pan(values.real(mixer, "Pan/Manual")),
            muted=not values.is_on(mixer, "Speaker/Manual", True),
            soloed=values.is_on(mixer, "SoloSink", False),
            is_bus=element.tag == "ReturnTrack",
        )
        if track.pan:
            self._remark(track.name, "pan is played as 0 dB balance; Live's is louder at the sides")
        output = values.word(element, PATHS["output"])
        if output.startswith(("AudioOut/External", "AudioOut/None", "AudioOut/Track")):
            self._remark(track.name, f"its output {output} is played into the mix")
        delay = values.real(element, "TrackDelay/Value")
        is_in_samples = values.is_on(element, "TrackDelay/IsValueSampleBased", False)
        track.play_offset = delay / (self.session.sample_rate if is_in_samples else 1000)
        if not abs(track.play_offset) <= LONGEST_DELAY:
            raise SessionError(
                f"a track delay of {track.play_offset:g} s; it must lie within {LONGEST_DELAY:g}"
            )
        track.envelopes = list(self._envelopes(element, mixer, FADERS))
        if any(one.parameter is Parameter.MUTE for one in track.envelopes):
            track.muted = False
        self._remark_on_mixer(track.name, element, mixer)
        self._play(track, element)
        return track

    def _envelopes(self, track: Element, mixer: Element | None, names: Iterable[str]) -> Iterator[Envelope]:
        for name in names:
            found = self._envelope(track, mixer.find(name) if mixer is not None else None, FADERS[name])
            if found is not None:
                yield found

    def _envelope(self, track: Element, control: Element | None, parameter: Parameter) -> Envelope | None:
        """What automation does to a control, if it moves it."""
        read = {Parameter.VOLUME: values.gain, Parameter.PAN: values.pan, Parameter.MUTE: values.muted}
        shape = PointShape.HOLD if parameter is Parameter.MUTE else PointShape.LINEAR
        points = tuple(
            Point(self.frame.seconds(beat), read[parameter](value), shape)
            for beat, value in self._events(track, control)
        )
        return Envelope(parameter, points, relative=False) if points else None

    def _remark_on_mixer(self, name: str, element: Element, mixer: Element | None) -> None:
        if round(values.real(mixer, "PanMode")) == SPLIT_PAN:
            self._remark(name, "its split stereo pan is played in the middle")
        if round(values.real(mixer, "CrossFadeState/Manual", NO_CROSSFADER)) != NO_CROSSFADER:
            self._remark(name, "what the crossfader does to it is left out")
        if round(values.real(element, "DeviceChain/MainSequencer/MonitoringEnum", 1)) == MONITOR_IN:
            self._remark(name, "its monitor is on In, where Live plays its input; its clips are played")

    def _play(self, track: Track, element: Element) -> None:
        """The clips; of a frozen track what Live made of them and of its devices."""
        if values.is_on(element, "Freeze", False):
            if frozen := list(element.iterfind(f"{PATHS['frozen clips']}/AudioClip")):
                for clip in frozen:
                    self._clips(track, clip)
                self.session.notes.append(f"{track.name}: it is frozen, and played as Live froze it")
                return
            self._remark(track.name, "what Live froze of it is not in the set; its clips are played")
        for name in _devices(element):
            track.plugins.append(name)
            self._remark(track.name, f"device {name} is left out")
        for clip in element.iterfind(f"{PATHS['MIDI clips']}/MidiClip"):
            self._notes(track, clip)
        track.notes.sort(key=lambda note: note.start)
        for clip in element.iterfind(f"{PATHS['clips']}/AudioClip"):
            self._clips(track, clip)

    def _notes(self, track: Track, element: Element) -> None:
        start = self.frame.seconds(values.real(element, "CurrentStart", number(element, "Time")))
        end = self.frame.seconds(values.real(element, "CurrentEnd"))
        written = written_notes(element)
        if end <= start or not written or values.is_on(element, "Disabled", False):
            return
        self._remark(track.name, "MIDI clips are not played")
        if not all(note.is_certain for note in written):
            self._remark(track.name, "notes that Live plays by chance are always there")
        self._remark_on_modulation(track.name, element)
        for frame, first, last in self._stretches(start, end, element):
            found = list(played(written, frame, first, last))
            self.notes_played += len(found)
            if self.notes_played > MOST_NOTES:
                raise SessionError(f"loops that repeat more than {MOST_NOTES} notes")
            track.notes += found

    def _remark_on_modulation(self, name: str, clip: Element) -> None:
        for envelope in clip.iterfind("Envelopes/Envelopes/ClipEnvelope"):
            if len(list(envelope.iterfind("Automation/Events/*"))) > 1:
                self._remark(name, "modulation inside clips is left out")

    def _clips(self, track: Track, element: Element) -> None:
        start = self.frame.seconds(values.real(element, "CurrentStart", number(element, "Time")))
        end = self.frame.seconds(values.real(element, "CurrentEnd"))
        if end <= start:
            return
        is_warped = values.is_on(element, "IsWarped", False)
        pitch = values.real(element, "PitchCoarse") + values.real(element, "PitchFine") / 100
        if not -48 <= pitch <= 48:
            raise SessionError(f"a clip is transposed by {pitch:g} semitones; Live has -48 to 48")
        path, problem = self._file(element)
        made = Clip(
            path,
            start,
            end - start,
            gain=values.gain(values.real(element, "SampleVolume", 1.0)),
            muted=values.is_on(element, "Disabled", False),
            name=values.word(element, "Name"),
            problem=problem,
        )
        if made.problem and not made.muted:
            self._remark(track.name, made.problem)
        self._remark_on_modulation(track.name, element)
        self._remark_on_fades(track.name, element)
        if not is_warped:
            speed = 2 ** (pitch / 12)
            content = values.real(element, "Loop/LoopStart") + values.real(element, "Loop/StartRelative")
            track.clips.append(self._faded(replace(made, offset=content, rate=speed), element))
            return
        marks = [
            (number(mark, "BeatTime"), number(mark, "SecTime"))
            for mark in element.iterfind("WarpMarkers/WarpMarker")
        ]
        try:
            pairs = warps.anchors(marks)
        except SessionError as error:
            self._remark(track.name, str(error))
            track.clips.append(replace(made, problem=made.problem or str(error)))
            return
        mode = int(values.real(element, "WarpMode"))
        for frame, first, last in self._stretches(start, end, element):
            moments = warps.markers(frame, pairs, first, last)
            rate, stretch, trouble = warps.rate(moments)
            clip = replace(
                made,
                position=first,
                length=last - first,
                offset=moments[0][1],
                rate=rate,
                stretch=stretch,
                keep_pitch=(rate != 1 or bool(stretch)) and mode != RE_PITCH,
                pitch=0.0 if mode == RE_PITCH else pitch,
                problem=made.problem or trouble,
            )
            track.clips.append(self._faded(clip, element))

    def _stretches(self, start: float, end: float, clip: Element) -> Iterator[tuple[Frame, float, float]]:
        """What a clip in beats plays in one go, with where the content's beats lie; repeated in a loop."""
        loop_start, loop_end = values.real(clip, "Loop/LoopStart"), values.real(clip, "Loop/LoopEnd")
        content = loop_start + values.real(clip, "Loop/StartRelative")
        is_loop = values.is_on(clip, "Loop/LoopOn", False) and loop_end - loop_start > SHORTEST_LOOP
        beat = self.clock.beats(start)
        while start < end:
            frame = Frame(self.clock, "beats", beat - content)
            last = min(end, frame.seconds(loop_end)) if is_loop and content < loop_end else end
            if last > start:
                yield frame, start, last
            beat += loop_end - content
            start, content = last, loop_start
            self.repeats += 1
            if self.repeats > MOST_REPEATS:
                raise SessionError(f"loops that repeat more than {MOST_REPEATS} times")

    def _faded(self, clip: Clip, element: Element) -> Clip:
        """With its fades, whose lengths are beats; those at the joints of a loop are none."""
        if not values.is_on(element, "Fade", False):
            return clip
        start = self.frame.seconds(values.real(element, "CurrentStart", number(element, "Time")))
        end = self.frame.seconds(values.real(element, "CurrentEnd"))
        lengths = [
            0.0
            if values.is_on(element, f"Fades/IsDefault{side}", False)
            else values.real(element, f"Fades/{side}Length")
            for side in ("FadeIn", "FadeOut")
        ]
        into, out = (max(0.0, length) for length in lengths)
        beats = self.clock.beats
        fade_in = self.frame.seconds(beats(start) + into) - start if clip.position == start else 0.0
        fade_out = end - self.frame.seconds(beats(end) - out) if clip.position + clip.length >= end else 0.0
        return replace(clip, fade_in=Fade(fade_in), fade_out=Fade(fade_out))

    def _remark_on_fades(self, name: str, element: Element) -> None:
        if not values.is_on(element, "Fade", False):
            return
        for side in ("FadeIn", "FadeOut"):
            is_own = not values.is_on(element, f"Fades/IsDefault{side}", False)
            is_bent = any(values.real(element, f"Fades/{side}Curve{word}") for word in ("Skew", "Slope"))
            if is_own and is_bent and values.real(element, f"Fades/{side}Length") > 0:
                self._remark(name, "curved fades are played as straight ones")
        if round(values.real(element, "Fades/CrossfadeInState")):
            self._remark(name, "crossfades are played as fades of either clip")

    def _file(self, element: Element) -> tuple[Path, str]:
        """The sample, by its path from the set's folder or by its name, and why it cannot be played."""
        file = element.find(PATHS["file"])
        if file is None:
            return self.session.path, "a clip names no sample"
        relative = values.word(file, "RelativePath")
        if not relative:
            folders = [one.get("Dir", "") for one in file.iterfind("RelativePath/RelativePathElement")]
            relative = "/".join([*(folder or ".." for folder in folders), values.word(file, "Name")])
        names = [name for name in (relative, values.word(file, "Path")) if name]
        found = [self.media.find(name) for name in names]
        path, trouble = ([one for one in found if not one[1]] or found or [(self.media.folder, "")])[0]
        shown = Path((names or ["a sample"])[0].replace("\\", "/")).name
        if not found:
            return path, "a clip names no sample"
        return path, f"{shown} {trouble}" if trouble else ""

    def _read_locators(self) -> None:
        for locator in self.root.iterfind(f"{PATHS['locators']}/Locator"):
            seconds = self.frame.seconds(values.real(locator, "Time"))
            self.session.markers.append(Marker(seconds, values.word(locator, "Name")))
        self.session.markers.sort(key=lambda marker: marker.seconds)


def _devices(track: Element) -> list[str]:
    """The names of the devices that are on; Live's own are called like their elements."""
    found = track.find(PATHS["devices"])
    names = []
    for device in found if found is not None else ():
        if not values.is_on(device, "On/Manual", True):
            continue
        plugin = next(
            (name for tag in ("PlugName", "Name") for one in device.iterfind(f"PluginDesc//{tag}")
             if (name := one.get("Value", ""))), "",
        )  # fmt: skip
        names.append(plugin or values.word(device, "UserName") or device.tag)
    return names


def _is_above(track: Track, parent: Track, parents: dict[int, Track]) -> bool:
    """Whether ``track`` is ``parent`` or one of the groups around it."""
    one: Track | None = parent
    while one is not None:
        if one is track:
            return True
        one = parents.get(id(one))
    return False
