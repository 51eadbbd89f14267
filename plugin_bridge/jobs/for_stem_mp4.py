"""What a ``stem.mp4`` is made of: 44.1 or 48 kHz and two channels at most, all that DJ programs take."""

from __future__ import annotations

from dataclasses import replace

from plugin_bridge.audio.downmix import StereoSource, stereo_gains
from plugin_bridge.audio.outputs import STEM_RATES
from plugin_bridge.audio.resampling import MAX_RATIO, ResampledSource
from plugin_bridge.audio.stem_mp4 import SUFFIX
from plugin_bridge.jobs.inputs import Opened

CD_FAMILY = 11025
"""Rates that are multiples of this become 44.1 kHz, all others 48."""


def for_stem_mp4(opened: Opened) -> Opened:
    """``opened`` in the format's rate and channels, and what was converted among its notes.

    What cannot be converted (more channels than it is known what they are for) stays as it is, to be refused.
    """
    source, notes = opened.source, list(opened.notes)
    if source.channels > 2:
        gains = stereo_gains(source.channels, opened.channel_mask)
        if gains is None:
            return opened
        notes.append(
            f"a {SUFFIX} is stereo: the {source.channels} channels are mixed into two before they are "
            "separated (ITU-R BS.775, without the channel of low frequencies)"
        )
        source = StereoSource(source, gains)
    rate = source.sample_rate
    target = 44_100 if rate % CD_FAMILY == 0 else 48_000
    stamp = opened.time_reference
    if rate not in STEM_RATES and max(rate / target, target / rate) < MAX_RATIO:
        frames = -(-source.frames * target // rate)
        source = ResampledSource(source, rate, target, frames)
        notes.append(f"a {SUFFIX} has 44100 or 48000 Hz: {rate} Hz are converted to {target}")
        stamp = None if stamp is None else round(stamp * target / rate)
    if source is opened.source:
        return opened
    return replace(
        opened,
        source=source,
        notes=tuple(notes),
        time_reference=stamp,
        channel_mask=0 if opened.channel_mask and opened.source.channels > 2 else opened.channel_mask,
        bit_depth="float32",
        rendered=True,  # reading is costly now
    )
