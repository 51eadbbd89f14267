"""What only some DAWs have, in terms that all have: pans as balances, fades without Ardour's last frame."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.sessions.model import Clip, PanMode, Parameter, Send, Session, Tap, Track

ARDOUR_MIDDLE = 10 ** (-3 / 20)
"""Ardour's mono panner in the middle."""
ARDOUR_SCALE = 2 - 4 * ARDOUR_MIDDLE


Way = TypeVar("Way", float, NDArray[np.float64])


def as_balance(track: Track) -> tuple[float, float] | None:
    """The volume and the pan of a balance without a pan law that sound as the track's own do, standing still.

    None if no balance does: both channels are moved.
    """
    if track.pan_mode is PanMode.ARDOUR_MONO and track.channels == 1:
        left, right = (ardour_side(way) for way in ((1 - track.pan) / 2, (1 + track.pan) / 2))
    elif track.pan_mode in (PanMode.BALANCE, PanMode.ARDOUR_MONO):
        near = track.pan_law + (1 - track.pan_law) * abs(track.pan)
        far = track.pan_law * (1 - abs(track.pan))
        factor = 1 / track.pan_law if track.pan_boosts and track.pan_law > 0 else 1.0
        left, right = (near * factor, far * factor) if track.pan <= 0 else (far * factor, near * factor)
    elif track.pan_mode is PanMode.DUAL:
        if track.dual_pan != (-1.0, 1.0):
            return None
        left = right = 1.0
    elif track.pan == 0 and track.width == 1:
        left = right = 1.0
    else:
        return None
    loud = max(left, right)
    pan = 0.0 if loud == 0 else (right - left) / loud
    return track.volume * loud, pan


def is_balanced(session: Session) -> bool:
    """Whether a balance does what the master's pan does."""
    master = Track(
        "Master",
        pan=session.master_pan,
        pan_mode=session.master_pan_mode,
        width=session.master_width,
        dual_pan=session.master_dual_pan,
    )
    return as_balance(master) is not None


def ardour_side(way: Way) -> Way:
    """Ardour's gain of one side, of a signal that is ``way`` (0..1) over there."""
    return way * (ARDOUR_SCALE * way + 1 - ARDOUR_SCALE)


def behind_the_pan(track: Track, send: Send) -> Send:
    """A send from before the pan that pans as its track does, as one from behind it; others as they are."""
    if send.tap is not Tap.PRE_PAN:
        return send
    moves = [one for one in track.envelopes if one.parameter is Parameter.PAN]
    own = [one for one in send.envelopes if one.parameter is Parameter.PAN]
    if (send.pan, send.pan_mode, send.width, own) != (track.pan, track.pan_mode, track.width, moves):
        return send
    rest = tuple(one for one in send.envelopes if one not in own)
    return replace(send, tap=Tap.POST_FADER, pan=0.0, pan_mode=PanMode.BALANCE, width=1.0, envelopes=rest)


def one_frame_later(clip: Clip, sample_rate: int) -> Clip:
    """``clip`` with fades that are complete one frame behind their last, as most DAWs play them.

    A fade-out whose last frame is silent ends with the frame before.
    """
    frame = 1 / sample_rate
    fades, length = [], clip.length
    for fade, is_out in ((clip.fade_in, False), (clip.fade_out, True)):
        if fade.to_last_frame and fade.seconds > frame:
            fades.append(replace(fade, seconds=fade.seconds - frame, to_last_frame=False))
            length -= frame * is_out
        else:
            fades.append(fade)
    return replace(clip, fade_in=fades[0], fade_out=fades[1], length=length)


def fades_meet(clip: Clip) -> bool:
    """Whether the clip's fades overlap in Ardour's way, which mixes it with itself there."""
    is_ardours = clip.fade_in.to_last_frame or clip.fade_out.to_last_frame
    return is_ardours and clip.fade_in.seconds + clip.fade_out.seconds > clip.length


def meet(clips: list[Clip]) -> bool:
    """Whether any two of the clips meet."""
    end = -math.inf
    for clip in sorted(clips, key=lambda one: one.position):
        if clip.position < end - 1e-9:
            return True
        end = max(end, clip.position + clip.length)
    return False
