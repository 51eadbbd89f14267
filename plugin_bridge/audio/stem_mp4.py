"""The open Stem format of Native Instruments: an MP4 that DJ programs open as four stems, players as the mix.

Five stereo streams of one rate and length: the mixdown, then four stems; their names, colours and a mastering
chain that does nothing lie as JSON in the box ``stem`` under ``moov/udta``.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.audio.boxes import mp4_boxes
from plugin_bridge.audio.cover import Cover
from plugin_bridge.audio.outputs import BIT_DEPTHS
from plugin_bridge.audio.tags import Tags, write_mp4_tags
from plugin_bridge.audio.writer import to_integers
from plugin_bridge.errors import AudioFileError
from separators.base import Audio

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer

SUFFIX = "stem.mp4"
STEMS = 4
ORDER = ("drums", "bass", "other", "vocals")
"""What DJ programs expect at which place."""
COLOURS = ("#fd4a4a", "#ffb300", "#3fa9f5", "#7ac943")
EMPTY = "(empty)"
AAC_BITS_PER_SECOND = 256_000
BOX_HEADER = 8
MOST_BYTES = 1 << 26
"""Longest table of contents that is read."""
ENCODED_AT_ONCE = 4096
"""Frames."""
MASTERING = {
    "compressor": {
        "enabled": False, "ratio": 3, "output_gain": 0.5, "release": 0.300000012, "attack": 0.00300000003,
        "input_gain": 0.5, "threshold": 0, "hp_cutoff": 300, "dry_wet": 50,
    },
    "limiter": {"enabled": False, "release": 0.0500000007, "threshold": 0, "ceiling": -0.349999994},
}  # fmt: skip
"""Both switched off; programs want the rest to be there."""


@dataclass(frozen=True)
class Place:
    """One of the four stems of the file: which of ours are heard in it."""

    title: str
    stems: tuple[str, ...]


def places(names: Sequence[str]) -> list[Place]:
    """Which stems go where: the expected ones to their places, what is too many together, what lacks empty.

    Raises :class:`AudioFileError` for fewer than two stems, which are no choice for a DJ.

    >>> [place.title for place in places(["vocals", "drums", "bass", "other"])]
    ['drums', 'bass', 'other', 'vocals']
    >>> [place.title for place in places(["vocals", "drums", "bass", "guitar", "piano"])]
    ['drums', 'bass', 'guitar + piano', 'vocals']
    >>> [place.title for place in places(["voice", "music"])]
    ['voice', 'music', '(empty)', '(empty)']
    """
    if len(names) < 2:
        raise AudioFileError(
            f"layout {SUFFIX} holds the mix and up to {STEMS} stems, at least two; there is only "
            f"{', '.join(names) or 'none'}: choose a preset that separates, or another layout"
        )
    known = [name for name in names if name in ORDER]
    if len(known) > 1 and (len(names) > STEMS or len(known) == len(names)):
        rest = tuple(name for name in names if name not in ("drums", "bass", "vocals"))
        groups = [rest if name == "other" else ((name,) if name in names else ()) for name in ORDER]
    else:
        groups = [(name,) for name in names[: STEMS - 1]]
        groups += [tuple(names[STEMS - 1 :])] if len(names) >= STEMS else []
        groups += [()] * (STEMS - len(groups))
    return [Place(" + ".join(group) or EMPTY, group) for group in groups]


def merged(names: Sequence[str]) -> str:
    """What has to be said of these stems in such a file; nothing if they are its four."""
    said = [f"{place.title} are one stem" for place in places(names) if len(place.stems) > 1]
    empty = sum(not place.stems for place in places(names))
    if empty:
        said.append(f"{empty} of its {STEMS} stems {'is' if empty == 1 else 'are'} empty")
    return f"the {SUFFIX} holds {STEMS} stems: {'; '.join(said)}" if said else ""


def write_stem_mp4(
    path: Path,
    blocks: Iterable[Sequence[Audio]],
    titles: Sequence[str],
    sample_rate: int,
    *,
    codec: str = "alac",
    bit_depth: str = "24",
    tags: Tags | None = None,
    cover: Cover | None = None,
) -> None:
    """Write ``blocks`` of four stems, each ``(1 or 2, frames)`` within -1..1, to ``path``.

    In ALAC the mixdown is the sum of the stems to the bit (but where that would pass full scale). Raises
    :class:`AudioFileError` if the disk is full or FFmpeg's libraries lack the codec.
    """
    import av

    try:
        with av.open(str(path), "w", format="mp4") as container:
            streams = [_stream(container, codec, bit_depth, sample_rate) for _ in range(1 + STEMS)]
            at = 0
            for block in blocks:
                stereo = [np.broadcast_to(stem, (2, stem.shape[1])) for stem in block]
                samples = _samples(stereo, codec, bit_depth)
                for start in range(0, samples[0].shape[1], ENCODED_AT_ONCE):
                    for stream, one in zip(streams, samples, strict=True):
                        container.mux(
                            stream.encode(_frame(one[:, start : start + ENCODED_AT_ONCE], stream, at + start))
                        )
                at += samples[0].shape[1]
            for stream in streams:
                container.mux(stream.encode(None))
        write_mp4_tags(path, tags or {}, cover)
        _add_box(path, _described(titles))
    except (av.FFmpegError, OSError) as error:
        raise AudioFileError(f"{path}: cannot be written: {error}") from error


def _stream(container: OutputContainer, codec: str, bit_depth: str, sample_rate: int) -> AudioStream:
    from av.stream import Disposition

    first = not container.streams
    form = {"aac": "fltp"}.get(codec) or ("s16p" if bit_depth == "16" else "s32p")
    made = cast("AudioStream", container.add_stream(codec, rate=sample_rate, layout="stereo", format=form))
    made.time_base = Fraction(1, sample_rate)
    if codec == "aac":
        made.bit_rate = AAC_BITS_PER_SECOND
    # Players take what is on by default, which is the mixdown alone.
    made.disposition = Disposition.default if first else Disposition(0)
    return made


def _samples(stems: Sequence[Audio], codec: str, bit_depth: str) -> list[NDArray[Any]]:
    """The mixdown and the stems as the codec takes them."""
    if codec == "aac":
        return [np.asarray(np.sum(stems, axis=0, dtype=np.float32)), *stems]
    bits = BIT_DEPTHS[bit_depth]
    whole = [to_integers(stem, bits) for stem in stems]
    full = 1 << (bits - 1)
    made = [np.clip(np.sum(whole, axis=0), -full, full - 1), *whole]
    return [one.astype(np.int16) if bits == 16 else one.astype(np.int32) << (32 - bits) for one in made]


def _frame(samples: NDArray[Any], stream: AudioStream, at: int) -> Any:
    from av import AudioFrame

    form = stream.codec_context.format.name
    frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples), format=form, layout="stereo")
    frame.sample_rate = stream.codec_context.sample_rate
    frame.pts = at
    return frame


def _described(titles: Sequence[str]) -> bytes:
    stems = [{"name": title, "color": colour} for title, colour in zip(titles, COLOURS, strict=True)]
    values: Mapping[str, Any] = {"mastering_dsp": MASTERING, "stems": stems, "version": 1}
    return json.dumps(values, ensure_ascii=False).encode()


def _add_box(path: Path, content: bytes) -> None:
    """Put the box ``stem`` into ``moov/udta``; ``moov`` lies last, so that nothing else moves."""
    with path.open("rb+") as file:
        boxes = list(mp4_boxes(file))
        name, start, size = boxes[-1]
        if name != b"moov":
            raise AudioFileError(f"{path}: FFmpeg's libraries have put it together in another way than known")
        file.seek(start + BOX_HEADER)
        inside = file.read(size - BOX_HEADER)
        place = _child(inside, b"udta")
        begin, end = place or (len(inside), len(inside))
        udta = inside[begin + BOX_HEADER : end] + _box(b"stem", content)
        file.seek(start)
        file.write(_box(b"moov", inside[:begin] + _box(b"udta", udta) + inside[end:]))


def read_titles(path: Path) -> list[str]:
    """What a Stem file calls its four stems; raises :class:`AudioFileError` if it is none."""
    try:
        with path.open("rb") as file:
            for name, start, size in mp4_boxes(file):
                if name == b"moov" and size < MOST_BYTES:
                    file.seek(start + BOX_HEADER)
                    content = file.read(size - BOX_HEADER)
                    for inner in (b"udta", b"stem"):
                        begin, end = _child(content, inner) or (0, 0)
                        content = content[begin + BOX_HEADER : end]
                    return [str(stem["name"]) for stem in json.loads(content)["stems"]][:STEMS]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    raise AudioFileError(f"{path}: is no Stem file: nothing in it says what its stems are")


def _box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", BOX_HEADER + len(content), name) + content


def _child(content: bytes, name: bytes) -> tuple[int, int] | None:
    """Where the box ``name`` begins and ends among those of ``content``."""
    at = 0
    while at + BOX_HEADER <= len(content):
        size, found = struct.unpack_from(">I4s", content, at)
        if size < BOX_HEADER:
            return None
        if found == name:
            return at, at + size
        at += size
    return None
