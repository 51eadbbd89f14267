"""Layers taken apart: clips cut where others hide them, so that they sound mixed as they did in layers.

For projects that know no layers. A track on which a cut would fall into a fade, a loop, or a clip at another
speed or pitch stays as it is: it could not be cut exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from plugin_bridge.rendering.overlaps import Gap, gaps
from plugin_bridge.sessions.fades import fade_lengths
from plugin_bridge.sessions.model import Clip, Fade, FadeShape, Overlap, Session, Track

SAME = 1e-9
"""Seconds, by which places may differ that are one."""


def flattened(session: Session) -> Session:
    """``session`` without layers, wherever it sounds the same without."""
    frame = 1 / session.sample_rate
    return replace(session, tracks=[_flat(track, frame) for track in session.tracks])


def _flat(track: Track, frame: float) -> Track:
    clips = [] if all(one.overlap is Overlap.MIX for one in track.clips) else _cut(track.clips, frame)
    children = [_flat(child, frame) for child in track.children]
    return replace(track, clips=clips or track.clips, children=children)


def _cut(clips: Sequence[Clip], frame: float) -> list[Clip]:
    """The pieces of all clips; none if one of them cannot be cut."""
    # What cannot be played hides nothing.
    hidden = gaps([replace(one, muted=one.muted or bool(one.problem)) for one in clips])
    found: list[Clip] = []
    for index, clip in enumerate(clips):
        if index not in hidden:
            found.append(_plain(clip))
            continue
        merged = _merged(sorted(hidden[index], key=lambda gap: gap.start))
        is_moved = clip.loop or clip.stretch or clip.rate != 1 or clip.pitch
        end = clip.position + clip.length
        if not clip.fade_out.seconds and any(
            gap.shortens(clip.position + frame / 2, end - frame / 2) for gap in hidden[index]
        ):
            clip = replace(clip, length=clip.length - frame)
        pieces = None if merged is None or is_moved else list(_pieces(clip, merged))
        if pieces is None or not all(_is_whole(clip, piece) for piece in pieces):
            return []
        found += pieces
    return found


def _plain(clip: Clip) -> Clip:
    return replace(clip, overlap=Overlap.MIX, layer=0, lane=0)


def _merged(ordered: Iterable[Gap]) -> list[Gap] | None:
    """Gaps that meet as one; None where the fades of one reach into another."""
    merged: list[Gap] = []
    for gap in ordered:
        last = merged[-1] if merged else None
        if last is None or gap.start >= last.end - SAME:
            merged.append(gap)
            continue
        hidden_from, hidden_to = last.start + last.out.seconds, last.end - last.back.seconds
        if gap.start < hidden_from - SAME or gap.start + gap.out.seconds > hidden_to + SAME:
            return None
        if gap.end <= hidden_to + SAME:
            continue
        if last.end > gap.end - gap.back.seconds + SAME:
            return None
        merged[-1] = Gap(last.start, gap.end, last.out, gap.back)
    return merged


def _pieces(clip: Clip, merged: Iterable[Gap]) -> Iterator[Clip]:
    """What is heard of ``clip`` between gaps, with the fades with which it gives way and returns."""
    at, end = clip.position, clip.position + clip.length
    fade_in = clip.fade_in
    for gap in merged:
        gone = gap.start + gap.out.seconds
        if gone > at + SAME:
            yield _piece(clip, at, gone, fade_in, _given(gap.out))
        at, fade_in = gap.end - gap.back.seconds, _given(gap.back)
    if at < end - SAME:
        yield _piece(clip, at, end, fade_in, clip.fade_out)


def _piece(clip: Clip, start: float, end: float, fade_in: Fade, fade_out: Fade) -> Clip:
    late = start - clip.position
    envelopes = tuple(
        replace(one, points=tuple(replace(point, seconds=point.seconds - late) for point in one.points))
        for one in clip.envelopes
    )
    return replace(
        _plain(clip),
        position=start,
        length=end - start,
        offset=clip.offset + late * clip.rate,
        fade_in=fade_in,
        fade_out=fade_out,
        envelopes=envelopes,
    )


def _given(fade: Fade) -> Fade:
    """How the lower clip fades while ``fade`` is that of the upper one."""
    if not fade.beneath:
        return replace(fade)
    points = tuple(sorted((1 - at, gain) for at, gain in fade.beneath))
    return replace(fade, shape=FadeShape.POINTS, points=points, beneath=())


def _is_whole(clip: Clip, piece: Clip) -> bool:
    """Whether a piece lies in its clip, keeps its own fades whole and has room for those of the cuts."""
    own_in, own_out = fade_lengths(clip.fade_in, clip.fade_out, clip.length)
    start, end = clip.position, clip.position + clip.length
    first, last = piece.position, piece.position + piece.length
    begins, ends = abs(first - start) <= SAME, abs(last - end) <= SAME
    return (
        (begins or first >= start + own_in - SAME)
        and (ends or last <= end - own_out + SAME)
        and piece.fade_in.seconds + piece.fade_out.seconds <= piece.length + SAME
    )
