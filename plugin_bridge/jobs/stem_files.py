"""The files of one track's stems, made block by block in a temporary folder.

Float files are written as the stems come. Integer formats need the peak of all stems first, which decides
how they are written; those stems, and stems that end up in one file, wait as float32 in the folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from plugin_bridge.audio.cover import read_cover
from plugin_bridge.audio.outputs import check_output, has_full_scale
from plugin_bridge.audio.stem_mp4 import SUFFIX as STEM_MP4
from plugin_bridge.audio.stem_mp4 import merged, places, write_stem_mp4
from plugin_bridge.audio.writer import AudioWriter
from plugin_bridge.errors import PluginError
from plugin_bridge.jobs.workspace import Spool
from plugin_bridge.naming import safe_name
from plugin_bridge.plugins.streamed_chain import StreamedChain, Tail
from separators.base import Audio

COPIED_AT_ONCE = 1 << 15
"""Frames, few enough to stay in the processor's cache."""
REMIX = "remix"
"""What the sum of a preset's stems is called in results; its file is called like the track."""
MULTICHANNEL = "stems"
"""What a file with all stems in its channels is called."""


@dataclass(frozen=True)
class FileFormat:
    """How a job's files are written."""

    format: str
    bit_depth: str
    sample_rate: int
    layout: str = "files"
    """A file for each stem; or all stems of a track in one, ``multichannel`` or as a ``stem.mp4``."""
    time_reference: int | None = None
    tags: Mapping[str, list[str]] = field(default_factory=dict)
    cover_of: Path | None = None
    """The file whose cover goes into a ``stem.mp4``."""
    channel_mask: int = 0
    """The input's loudspeakers; a file with all stems in its channels has none."""

    def check(self, channels: int, stems: int) -> None:
        """Raise :class:`~plugin_bridge.errors.AudioFileError` if the format cannot hold such stems."""
        together = stems if self.layout == "multichannel" else 1
        check_output(self.format, self.bit_depth, channels * together, self.sample_rate)

    def particulars(self, stems: Sequence[str]) -> list[str]:
        """What has to be said of these stems in such files; raises what cannot be."""
        said = merged(stems) if self.layout == STEM_MP4 else ""
        return [said] if said else []

    def writer(self, path: Path, channels: int) -> AudioWriter:
        """A writer of this format; who makes the file gets it onto the disk."""
        return AudioWriter(
            path,
            self.sample_rate,
            channels,
            format=self.format,
            bit_depth=self.bit_depth,
            time_reference=self.time_reference,
            tags=self.tags,
            channel_mask=self.channel_mask if self.layout == "files" else 0,
            flushed=False,
        )


@dataclass(frozen=True)
class MadeFile:
    """A finished file that still lies in the temporary folder."""

    path: Path
    name: str
    """The stem's name, or :data:`MULTICHANNEL`."""
    stems: tuple[str, ...]
    peak: float


@contextmanager
def chain_errors(where: str) -> Iterator[None]:
    """Say which chain a plug-in refused its audio in."""
    try:
        yield
    except (ValueError, TypeError, RuntimeError) as error:
        raise PluginError(f"{where}: {error}") from error


class StemFiles:
    """Takes the stems of one track in blocks, :meth:`write` by :meth:`write`, and makes their files."""

    def __init__(
        self,
        opened: ExitStack,
        folder: Path,
        form: FileFormat,
        channels: int,
        chains: Mapping[str, StreamedChain | None],
        remix: bool = False,
        after: StreamedChain | None = None,
        tail: Tail = 0,
    ) -> None:
        """Open files in ``folder``, to be closed (after an error: deleted) by ``opened``.

        ``chains`` holds the stems to write, in order, each with its chain or None. With ``remix`` they
        are summed and sent through ``after``, and become one stem of that name. With a ``tail`` all become
        as long as the one that rings longest.
        """
        self._folder = folder
        self._form = form
        self._channels = channels
        self._chains = dict(chains)
        self._remix = remix
        self._after = after
        self._tail = tail
        self._frames = dict.fromkeys(chains, 0)
        self._opened = opened
        self._writers = opened.enter_context(ExitStack())
        whole = form.layout != "files" or remix
        self._direct = not (whole or has_full_scale(form.format, form.bit_depth))
        self._peaks: dict[str, float] = {}
        self._spools: dict[str, Spool] = {}
        self._files: dict[str, AudioWriter] = {}
        for name in chains:
            if self._direct:
                self._files[name] = self._writers.enter_context(self._writer(name, channels))
            else:
                self._spools[name] = self._spool(name)

    def write(self, stems: Sequence[Audio]) -> None:
        """Append a block of each stem, ``(channels, frames)``, in the order of the chains."""
        for (name, chain), audio in zip(self._chains.items(), stems, strict=True):
            with chain_errors(f"the chain of stem {name}"):
                ready = chain.process(audio) if chain else audio
            self._append(name, ready)

    def end(self) -> float:
        """No more blocks; returns the largest sample's magnitude in what is to be written."""
        for name, chain in self._chains.items():
            if chain:
                with chain_errors(f"the chain of stem {name}"):
                    rest = chain.flush(self._tail)
                self._append(name, rest)
        longest = max(self._frames.values(), default=0)
        for name, frames in list(self._frames.items()):
            for start in range(frames, longest, COPIED_AT_ONCE):
                silence = (self._channels, min(COPIED_AT_ONCE, longest - start))
                self._append(name, np.zeros(silence, np.float32))
        self._writers.close()
        if self._remix:
            self._sum()
        peak = max(self._peaks.values(), default=0.0)
        return max(peak, self._peak_of_mixdown()) if self._form.layout == STEM_MP4 else peak

    def make(self, bit_depth: str, gain: float) -> Iterator[MadeFile]:
        """Make the files, scaled by ``gain``; yields each as it is complete."""
        if self._direct:
            assert (bit_depth, gain) == (self._form.bit_depth, 1)
            for name, file in self._files.items():
                yield MadeFile(file.path, name, (name,), self._peaks[name])
            return
        self._form = replace(self._form, bit_depth=bit_depth)
        if self._form.layout == STEM_MP4:
            yield self._stem_mp4(gain)
        elif self._form.layout == "multichannel":
            yield self._convert(MULTICHANNEL, tuple(self._spools), gain)
        else:
            for name in self._spools:
                yield self._convert(name, (name,), gain)

    def _append(self, name: str, audio: Audio) -> None:
        peak = float(np.abs(audio).max(initial=0.0))
        self._frames[name] = self._frames.get(name, 0) + audio.shape[1]
        self._peaks[name] = max(self._peaks.get(name, 0.0), peak)
        (self._files[name] if self._direct else self._spools[name]).write(audio)

    def _sum(self) -> None:
        parts = list(self._spools.values())
        total = self._spool(REMIX)
        self._spools, self._peaks = {REMIX: total}, {}
        for blocks in _blocks(parts):
            audio = np.stack(blocks).sum(axis=0, dtype=np.float64).astype(np.float32)
            with chain_errors("the chain after the remix"):
                ready = self._after.process(audio) if self._after else audio
            self._append(REMIX, ready)
        if self._after:
            with chain_errors("the chain after the remix"):
                rest = self._after.flush(self._tail)
            self._append(REMIX, rest)

    def _peak_of_mixdown(self) -> float:
        return max(
            (float(np.abs(np.sum(blocks, axis=0)).max()) for blocks in _blocks(list(self._spools.values()))),
            default=0.0,
        )

    def _stem_mp4(self, gain: float) -> MadeFile:
        names = list(self._spools)
        grouped = places(names)

        def mixed() -> Iterator[list[Audio]]:
            for blocks in _blocks(list(self._spools.values())):
                named = dict(zip(names, blocks, strict=True))
                silence = np.zeros_like(blocks[0])
                parts = [sum((named[name] for name in one.stems), silence) for one in grouped]
                yield [part * np.float32(gain) for part in parts]

        path = self._folder / f"{MULTICHANNEL}.{STEM_MP4}"
        write_stem_mp4(
            path,
            mixed(),
            [one.title for one in grouped],
            self._form.sample_rate,
            codec=self._form.format,
            bit_depth=self._form.bit_depth,
            tags=self._form.tags,
            cover=read_cover(self._form.cover_of) if self._form.cover_of else None,
        )
        stems = tuple(one.title for one in grouped if one.stems)
        return MadeFile(path, MULTICHANNEL, stems, max(self._peaks.values()) * gain)

    def _convert(self, name: str, stems: tuple[str, ...], gain: float) -> MadeFile:
        parts = [self._spools[stem] for stem in stems]
        with self._writer(name, self._channels * len(parts)) as writer:
            for blocks in _blocks(parts):
                writer.write(np.concatenate(blocks) * np.float32(gain))
        peak = max(self._peaks.get(stem, 0.0) for stem in stems)
        return MadeFile(writer.path, name, stems, peak * gain)

    def _writer(self, name: str, channels: int) -> AudioWriter:
        return self._form.writer(self._folder / f"{safe_name(name)}.{self._form.format}", channels)

    def _spool(self, name: str) -> Spool:
        path = self._folder / f"{safe_name(name)}.raw"
        return self._opened.enter_context(Spool(path, self._form.sample_rate, self._channels))


def _blocks(parts: Sequence[Spool]) -> Iterable[list[Audio]]:
    """The parts, which are equally long, block by block."""
    frames = parts[0].frames
    for start in range(0, frames, COPIED_AT_ONCE):
        yield [part.read(start, min(COPIED_AT_ONCE, frames - start)) for part in parts]
