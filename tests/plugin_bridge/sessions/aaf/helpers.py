"""AAF files, made by pyaaf2: compositions of clips of a file inside and of one outside."""

from fractions import Fraction

import numpy as np
import soundfile
from aaf2.auid import AUID

from tests.plugin_bridge import session_helpers as made

RATE = 48000
NOISE = np.round(made.noise(2.0)[0] * 32767).astype(np.int16)


class Maker:
    """An AAF of one composition, whose sound slots are sequences."""

    def __init__(self, file, folder, rate, sound=NOISE):
        self.file, self.rate = file, rate
        self.composition = file.create.CompositionMob("song")
        self.composition.usage = "Usage_TopLevel"
        file.content.mobs.append(self.composition)
        self.wave = folder / "essence.wav"
        soundfile.write(self.wave, sound, RATE, subtype="PCM_16")
        self.embedded = file.create.MasterMob("take")
        file.content.mobs.append(self.embedded)
        self.embedded.import_audio_essence(str(self.wave), RATE)
        self.outside = self._outside()

    def _outside(self):
        source = self.file.create.SourceMob("file")
        self.file.content.mobs.append(source)
        source.descriptor = self.file.create.PCMDescriptor()
        source.descriptor["SampleRate"].value = RATE
        source.descriptor["AudioSamplingRate"].value = RATE
        source.descriptor["Channels"].value = 1
        source.descriptor["BlockAlign"].value = 2
        source.descriptor["AverageBPS"].value = 2 * RATE
        source.descriptor["QuantizationBits"].value = 16
        source.descriptor["Length"].value = 2 * RATE
        locator = self.file.create.NetworkLocator()
        locator["URLString"].value = "file:///C:/Users/some%20one/Audio%20Files/my%20take.wav"
        source.descriptor["Locator"].append(locator)
        slot = source.create_timeline_slot(RATE)
        slot.segment = self.file.create.SourceClip(media_kind="sound", length=2 * RATE)
        master = self.file.create.MasterMob("outside")
        self.file.content.mobs.append(master)
        inner = master.create_timeline_slot(RATE)
        inner.segment = source.create_source_clip(slot.slot_id, 0, 2 * RATE)
        return master, inner.slot_id

    def sequence(self, *components, usage=None, rate=None):
        """A clip of a composition of its own that holds these components."""
        mob = self.file.create.CompositionMob("inner")
        if usage:
            mob.usage = usage
        self.file.content.mobs.append(mob)
        slot = self.slot(*components, mob=mob, rate=rate)

        def clip(start, length):
            made = mob.create_source_clip(slot.slot_id, start, length)
            made.media_kind = "sound"
            return made

        return clip

    def slot(self, *components, name="Vox", mob=None, rate=None):
        slot = (mob or self.composition).create_timeline_slot(rate or self.rate)
        slot.name = name
        sequence = self.file.create.Sequence(media_kind="sound")
        slot.segment = sequence
        sequence.components.extend(components)
        return slot

    def clip(self, start, length, outside=False):
        if outside:
            master, slot = self.outside
            made = master.create_source_clip(slot, start, length)
        else:
            made = self.embedded.create_source_clip(self.embedded.slots[0].slot_id, start, length)
        made.media_kind = "sound"
        return made

    def filler(self, length):
        return self.file.create.Filler("sound", length)

    def dissolve(self, length):
        transition = self.file.create.Transition("sound", length)
        transition["CutPoint"].value = 0
        definition = self._definition("Audio Dissolve", 2)
        transition["OperationGroup"].value = self.file.create.OperationGroup(definition, length, "sound")
        return transition

    def operation(self, name, parameter, value, inner):
        definition = self._definition(name, 1)
        group = self.file.create.OperationGroup(definition, inner.length, "sound")
        kind = self.file.dictionary.lookup_typedef("Rational")
        number = self.file.create.ParameterDef(
            AUID(int=sum(parameter.encode()) + (1 << 91)), parameter, "", kind
        )
        self.file.dictionary.register_def(number)
        if isinstance(value, list):
            steps = self.file.create.InterpolationDef(AUID(int=7 << 90), "ConstantInterp", "")
            self.file.dictionary.register_def(steps)
            made = self.file.create.VaryingValue(number, steps)
            for time, one in value:
                made.add_keyframe(Fraction(time), Fraction(one))
        else:
            made = self.file.create.ConstantValue(number, Fraction(value).limit_denominator(1000))
        group.parameters.append(made)
        group.segments.append(inner)
        return group

    def _definition(self, name, inputs):
        definition = self.file.create.OperationDef(AUID(int=sum(name.encode()) + (1 << 90)), name)
        definition.media_kind = "sound"
        definition["NumberInputs"].value = inputs
        self.file.dictionary.register_def(definition)
        return definition
