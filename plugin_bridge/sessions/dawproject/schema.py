"""What a ``project.xml`` of DAWproject 1.0 may hold, as tables; after its public description.

A word in :data:`ATTRIBUTES` is an attribute's name and type, with ``!`` if it must be there. A word in
:data:`CHILDREN` is what may follow: one (``A``), none or one (``A?``), any number (``A*``), at least one
(``A+``); a name of :data:`CHOICES` stands for any of its elements.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element

NAMED = "name:text color:text comment:text"
REFERRED = f"{NAMED} id:id"
TIMELINE = f"{REFERRED} timeUnit:timeUnit track:idref"
PARAMETER = f"{REFERRED} parameterID:int"
REAL = f"{PARAMETER} max:real min:real unit:unit! value:real"
BOOL = f"{PARAMETER} value:bool"
DEVICE = f"{REFERRED} deviceID:text deviceName:text! deviceRole:deviceRole! deviceVendor:text loaded:bool"
PLUGIN = f"{DEVICE} pluginVersion:text"
MEDIA = f"{TIMELINE} duration:double! algorithm:text channels:int! sampleRate:int!"
DEVICE_PARTS = "Parameters? Enabled? State?"

ATTRIBUTES = {
    "Project": "version:text!",
    "Application": "name:text! version:text!",
    "Transport": "",
    "Tempo": REAL,
    "TimeSignature": f"{PARAMETER} denominator:int! numerator:int!",
    "Structure": "",
    "Track": f"{REFERRED} contentType:contentTypes loaded:bool",
    "Channel": f"{REFERRED} audioChannels:int destination:idref role:mixerRole solo:bool",
    "Devices": "",
    "Device": DEVICE,
    "BuiltinDevice": DEVICE,
    "Equalizer": DEVICE,
    "Compressor": DEVICE,
    "NoiseGate": DEVICE,
    "Limiter": DEVICE,
    "Vst2Plugin": PLUGIN,
    "Vst3Plugin": PLUGIN,
    "ClapPlugin": PLUGIN,
    "AuPlugin": PLUGIN,
    "Parameters": "",
    "RealParameter": REAL,
    "BoolParameter": BOOL,
    "IntegerParameter": f"{PARAMETER} max:int min:int value:int",
    "EnumParameter": f"{PARAMETER} count:int! labels:text value:int",
    "TimeSignatureParameter": f"{PARAMETER} denominator:int! numerator:int!",
    "Enabled": BOOL,
    "State": "path:text! external:bool",
    "File": "path:text! external:bool",
    "Band": "type:eqBandType! order:int",
    **dict.fromkeys(("Freq", "Gain", "Q", "InputGain", "OutputGain", "Attack", "Ratio", "Release"), REAL),
    **dict.fromkeys(("Threshold", "Range", "Volume", "Pan"), REAL),
    **dict.fromkeys(("AutoMakeup", "Mute", "Enable"), BOOL),
    "Sends": "",
    "Send": f"{REFERRED} destination:idref type:sendType",
    "Arrangement": REFERRED,
    "Lanes": TIMELINE,
    "Clips": TIMELINE,
    "Clip": f"{NAMED} time:double! duration:double contentTimeUnit:timeUnit playStart:double playStop:double "
    "loopStart:double loopEnd:double fadeTimeUnit:timeUnit fadeInTime:double fadeOutTime:double enable:bool "
    "reference:idref",
    "ClipSlot": f"{TIMELINE} hasStop:bool",
    "Notes": TIMELINE,
    "Note": "time:double! duration:double! channel:int! key:int! vel:double rel:double",
    "Markers": TIMELINE,
    "markers": TIMELINE,
    "Marker": f"{NAMED} time:double!",
    "Warps": f"{TIMELINE} contentTimeUnit:timeUnit!",
    "Warp": "time:double! contentTime:double!",
    "Audio": MEDIA,
    "Video": MEDIA,
    **dict.fromkeys(("Points", "TempoAutomation", "TimeSignatureAutomation"), f"{TIMELINE} unit:unit"),
    "Target": "parameter:idref expression:expression channel:int key:int controller:int",
    "RealPoint": "time:double! value:real! interpolation:interpolation",
    "BoolPoint": "time:double! value:bool!",
    "EnumPoint": "time:double! value:int!",
    "IntegerPoint": "time:double! value:int!",
    "TimeSignaturePoint": "time:double! numerator:int! denominator:int!",
    "Scenes": "",
    "Scene": REFERRED,
}
CHOICES = {
    "AnyTimeline": ("Lanes", "Notes", "Clips", "ClipSlot", "markers", "Warps", "Audio", "Video", "Points"),
    "AnyLane": ("Track", "Channel"),
    "AnyDevice": (
        "Device", "Vst2Plugin", "Vst3Plugin", "ClapPlugin", "AuPlugin", "BuiltinDevice", "Equalizer",
        "Compressor", "NoiseGate", "Limiter",
    ),
    "AnyParameter": (
        "RealParameter", "BoolParameter", "IntegerParameter", "EnumParameter", "TimeSignatureParameter",
    ),
    "AnyPoint": ("RealPoint", "BoolPoint", "EnumPoint", "IntegerPoint", "TimeSignaturePoint"),
}  # fmt: skip
CHILDREN = {
    "Project": "Application Transport? Structure? Arrangement? Scenes?",
    "Transport": "Tempo? TimeSignature?",
    "Structure": "AnyLane*",
    "Track": "Channel? Track*",
    "Channel": "Devices? Mute? Pan? Sends? Volume?",
    "Devices": "AnyDevice*",
    **dict.fromkeys(CHOICES["AnyDevice"], DEVICE_PARTS),
    "Equalizer": f"{DEVICE_PARTS} Band* InputGain? OutputGain?",
    "Compressor": f"{DEVICE_PARTS} Attack? AutoMakeup? InputGain? OutputGain? Ratio? Release? Threshold?",
    "NoiseGate": f"{DEVICE_PARTS} Attack? Range? Ratio? Release? Threshold?",
    "Limiter": f"{DEVICE_PARTS} Attack? InputGain? OutputGain? Release? Threshold?",
    "Parameters": "AnyParameter*",
    "Band": "Freq Gain? Q? Enabled?",
    "Sends": "Send*",
    "Send": "Enable? Pan? Volume",
    "Arrangement": "Lanes? Markers? TempoAutomation? TimeSignatureAutomation?",
    "Lanes": "AnyTimeline*",
    "Clips": "Clip*",
    "Clip": "AnyTimeline?",
    "ClipSlot": "Clip?",
    "Notes": "Note*",
    "Note": "AnyTimeline?",
    "Markers": "Marker+",
    "markers": "Marker+",
    "Warps": "AnyTimeline Warp+",
    "Audio": "File",
    "Video": "File",
    **dict.fromkeys(("Points", "TempoAutomation", "TimeSignatureAutomation"), "Target AnyPoint*"),
    "Scenes": "Scene*",
    "Scene": "AnyTimeline",
}
WORDS = {
    "unit": "linear normalized percent decibel hertz semitones seconds beats bpm",
    "timeUnit": "beats seconds",
    "deviceRole": "instrument noteFX audioFX analyzer",
    "eqBandType": "highPass lowPass bandPass highShelf lowShelf bell notch",
    "mixerRole": "regular master effect submix vca",
    "sendType": "pre post",
    "contentTypes": "audio automation notes video markers tracks",
    "interpolation": "hold linear",
    "expression": "gain pan transpose timbre formant pressure channelController channelPressure polyPressure "
    "pitchBend programChange",
}
REPEATED, NEEDED = ("*", "+"), ("", "+")
NAME = re.compile(r"[A-Za-z_][\w.-]*")


def problems(root: Element) -> Iterator[str]:
    """One line for each place where the document at ``root`` is not as described, in the document's order."""
    if root.tag != "Project":
        yield f"the root is <{root.tag}>; it must be <Project>"
        return
    identifiers: set[str] = set()
    references: list[tuple[str, str, str]] = []
    for element in root.iter():
        if not isinstance(element.tag, str):  # a comment
            continue
        if element.tag not in ATTRIBUTES:
            yield f"<{element.tag}> is no element of DAWproject"
            continue
        yield from _attributes(element, identifiers, references)
        yield from _children(element)
    for tag, name, value in references:
        if value not in identifiers:
            yield f"<{tag}> holds {name}={value!r:.80}, and nothing has that id"


def _attributes(
    element: Element, identifiers: set[str], references: list[tuple[str, str, str]]
) -> Iterator[str]:
    known = dict(word.split(":") for word in ATTRIBUTES[element.tag].split())
    for name, kind in known.items():
        if kind.endswith("!") and name not in element.attrib:
            yield f"<{element.tag}> lacks {name}"
    for name, value in element.attrib.items():
        kind = known.get(name, "").rstrip("!")
        if not kind:
            yield f"<{element.tag}> has no attribute {name}"
        elif not _fits(kind, value):
            yield f"<{element.tag}> holds {name}={value!r:.80}; it must be {WORDS.get(kind, kind)}"
        elif kind == "id":
            if value in identifiers:
                yield f"the id {value!r:.80} is there twice"
            identifiers.add(value)
        elif kind == "idref":
            references.append((element.tag, name, value))


def _fits(kind: str, value: str) -> bool:
    match kind:
        case "text":
            return True
        case "id" | "idref":
            return bool(NAME.fullmatch(value))
        case "bool":
            return value in ("true", "false", "1", "0")
        case "int":
            return bool(re.fullmatch(r"[+-]?\d{1,10}", value)) and -(2**31) <= int(value) < 2**31
        case "double" | "real":
            try:
                return math.isfinite(float(value)) or kind == "real"
            except ValueError:
                return False
        case "contentTypes":
            return set(value.split()) <= set(WORDS[kind].split())
    return value in WORDS[kind].split()


def _children(element: Element) -> Iterator[str]:
    """Whether the children come in the order and the number that :data:`CHILDREN` says."""
    tags = [child.tag for child in element if isinstance(child.tag, str)]
    at = 0
    for word in CHILDREN.get(element.tag, "").split():
        name, count = (word[:-1], word[-1]) if word[-1] in "?*+" else (word, "")
        allowed = CHOICES.get(name, (name,))
        first = at
        while at < len(tags) and tags[at] in allowed and (count in REPEATED or at == first):
            at += 1
        if at == first and count in NEEDED:
            yield f"<{element.tag}> lacks its {' or '.join(allowed)}"
    if at < len(tags) and tags[at] in ATTRIBUTES:
        yield f"<{tags[at]}> stands in <{element.tag}> where it must not"
