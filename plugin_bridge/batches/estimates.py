"""What a batch will take: time by what the same presets took before, disk by how long the files are."""

from __future__ import annotations

import shutil
import tomllib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from plugin_bridge.errors import JobError
from plugin_bridge.jobs.job import PresetText, SeparateJob
from plugin_bridge.jobs.manifest import Manifest, text_hash
from plugin_bridge.jobs.not_done import NotDone
from plugin_bridge.jobs.plan import Planned

SIZING = Path(__file__).with_name("sizing.toml")
"""Seconds for a minute of stereo by preset, as measured; docs/operations.md shows it."""


@dataclass(frozen=True)
class PresetEstimate:
    """The jobs of one preset that are still to be done."""

    preset: str
    jobs: int
    audio_seconds: float
    work_seconds: float | None
    """On one worker; None if nobody has measured this preset."""
    measured_here: bool
    """By manifests of earlier runs in the same place, rather than by the table."""


@dataclass(frozen=True)
class Estimate:
    """What is still to be done of a plan."""

    jobs: int
    up_to_date: int
    """Jobs whose results seem to be there: whether the input is still the same is seen when they are done."""
    presets: list[PresetEstimate]
    seconds: float | None
    """With all workers."""
    size: int
    """Bytes of the results, more or less."""
    temporary: int
    """Bytes beside them, while the largest jobs are done."""
    free: int
    """Bytes on the fullest of the disks that the results go to."""
    short: list[tuple[Path, int, int]]
    """Output folders on disks that cannot hold the results, with the bytes that are needed and free there."""

    def refuse_if_short(self) -> None:
        """Raise :class:`JobError` if a disk cannot hold the results."""
        for folder, needed, free in self.short:
            raise JobError(
                f"{folder}: the results need about {amount(needed)} and {amount(free)} are free; free some "
                'space, choose another out, fewer stems, or format = "flac"'
            )


def estimate(plan: Sequence[Planned], outs: Sequence[Path], workers: int) -> Estimate:
    """Estimate what ``plan`` takes with so many workers; reads the manifests that are there."""
    jobs: dict[str, int] = defaultdict(int)
    audio: dict[str, float] = defaultdict(float)
    took: dict[str, float] = defaultdict(float)
    lasted: dict[str, float] = defaultdict(float)
    needed: dict[int, int] = defaultdict(int)
    temporary: dict[int, list[int]] = defaultdict(list)
    folders = {_device(out): out for out in reversed(outs)}
    done = size = longest = 0
    for planned in plan:
        job = planned.job
        if isinstance(job, NotDone) or not isinstance(job, SeparateJob):
            continue
        found = [Manifest.read(path) for path in planned.survey.outputs if path.suffix == ".json"]
        sets = [manifest for manifest in found if manifest is not None]
        there = sum(output.bytes for manifest in sets for output in manifest.outputs)
        name, hashed = job.preset.name, _hash(job.preset)
        same = [one for one in sets if one.key.get("preset") == {"name": name, "hash": hashed}]
        for one in same[:1]:
            took[name] += one.seconds
            lasted[name] += one.input.frames / one.input.sample_rate
        if found and len(same) == len(found) and not job.settings.force:
            done += 1
            continue
        jobs[name] += 1
        audio[name] += planned.survey.seconds
        size += planned.survey.size
        device = _device(job.parts[0].folder)
        needed[device] += max(0, planned.survey.size - there)
        temporary[device].append(planned.survey.temporary + min(there, planned.survey.size))
    presets = [
        PresetEstimate(name, jobs[name], audio[name], _work(name, audio[name], took, lasted), name in took)
        for name in jobs
    ]
    works = [one.work_seconds for one in presets]
    known = [work for work in works if work is not None]
    longest = min(workers, max(1, sum(jobs.values())))
    waiting = {device: sum(sorted(values)[-workers:]) for device, values in temporary.items()}
    short, frees = [], []
    for device, folder in folders.items():
        free = shutil.disk_usage(_existing(folder)).free
        frees.append(free)
        if needed[device] + waiting.get(device, 0) > free:
            short.append((folder, needed[device] + waiting.get(device, 0), free))
    return Estimate(
        jobs=sum(jobs.values()),
        up_to_date=done,
        presets=presets,
        seconds=sum(known) / longest if len(known) == len(works) else None,
        size=size,
        temporary=sum(waiting.values()),
        free=min(frees, default=0),
        short=short,
    )


def _work(name: str, audio: float, took: dict[str, float], lasted: dict[str, float]) -> float | None:
    if lasted.get(name):
        return audio * took[name] / lasted[name]
    table = sizing().get(name)
    return None if table is None else audio / 60 * float(table["seconds"])


@cache
def sizing() -> dict[str, dict[str, float]]:
    """By preset: ``seconds`` of work and ``megabytes`` of memory for a minute of stereo at 44.1 kHz."""
    with SIZING.open("rb") as file:
        return tomllib.load(file)


@cache
def _hash(preset: PresetText) -> str:
    return text_hash(preset.deciding)


def _existing(folder: Path) -> Path:
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())


@cache
def _device(folder: Path) -> int:
    return _existing(folder).stat().st_dev


def amount(size: int) -> str:
    """Bytes for people.

    >>> amount(999), amount(2_345_000), amount(12_000_000_000)
    ('999 B', '2.3 MB', '12.0 GB')
    """
    value, unit = float(size), "B"
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
