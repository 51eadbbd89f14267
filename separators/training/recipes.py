"""Trains a separator's network by name, on any folder of recordings."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.process import BaseProcess
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import nn

from separators.errors import ParameterError, SeparatorError
from separators.neural.allocator import keep_freed_memory
from separators.neural.devices import AUTO, CPU, NAMES, called, chosen
from separators.neural.placement import is_out_of_memory
from separators.training.team import Team, start_members
from separators.training.trainer import Progress, Report, Settings, Task, Trainer

RECIPES = {
    "pit": "separators.training.voices:prepare",
    "danet": "separators.training.voices:prepare",
    "deep-clustering": "separators.training.voices:prepare",
    "voices-identity": "separators.training.identity:prepare",
    "wave-u-net": "separators.training.music:prepare",
    "wave-u-net-presence": "separators.training.presence:prepare",
}
"""Name -> ``module:function``; the function is called like :func:`separators.training.voices.prepare`."""


class TrainingError(SeparatorError):
    """A run cannot go on from what was given."""


@dataclass(frozen=True)
class Prepared:
    """A task ready to be trained, and how its network becomes a weights file."""

    task: Task
    export: Callable[[nn.Module, Path, Mapping[str, Any]], None]
    """Called with the network, the file to write, and notes for its metadata."""


@dataclass(frozen=True)
class Job:
    """What to train, on what, from where: the same for every process of a team."""

    name: str
    data: Path
    work: Path
    cache: Path
    settings: Settings
    start: Path | None
    checkpoint: Path | None
    source_weights: dict[str, float]
    batch: int | None = None

    def prepare(self, report: Report) -> Prepared:
        """Read the data and make the task."""
        module, _, function = RECIPES[self.name].partition(":")
        prepare = getattr(import_module(module), function)
        prepared: Prepared = prepare(
            self.name,
            self.data,
            self.cache,
            start=self.start,
            seed=self.settings.seed,
            source_weights=self.source_weights,
            batch=self.batch,
            report=report,
        )
        return prepared

    def trainer(
        self, task: Task, report: Report, team: Team | None, progress: Progress | None = None
    ) -> Trainer:
        """The trainer, at the point where the job stopped or is to begin."""
        trainer = Trainer(task, self.settings, self.work, report, team, progress)
        own = self.work / "checkpoint.pt"
        found = own if own.is_file() else self.checkpoint
        try:
            if found is not None:
                trainer.resume(found, new_run=found is not own)
        except (KeyError, ValueError, RuntimeError, UnpicklingError, EOFError) as error:
            raise TrainingError(
                f"{found} does not fit: it is damaged or of another network or version; "
                "give another --work or --checkpoint, or remove it to begin anew"
            ) from error
        if found is own:
            report(f"resumed at step {trainer.step} from {found}")
        elif found is not None:
            report(f"starting from step {trainer.step} of {found}")
        return trainer


def train(
    name: str,
    data: Path,
    out: Path,
    *,
    settings: Settings | None = None,
    start: Path | None = None,
    checkpoint: Path | None = None,
    work: Path | None = None,
    cache: Path | None = None,
    source_weights: Mapping[str, float] | None = None,
    batch: int | None = None,
    processes: int = 1,
    report: Report = print,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Train the network of the separator ``name`` on the folder ``data`` and write its weights to ``out``.

    ``work`` (by default beside ``out``) holds checkpoints, and ``cache`` (by default ``work``) the
    decoded recordings. A run that was killed goes on from ``work`` when it is started again.
    ``start`` gives weights to begin with instead of random ones (those of another separator lend
    their backbone), ``checkpoint`` a whole state of another run. ``source_weights`` says how much
    more often the speakers of a source (a column of the manifest) are drawn, ``batch`` how many mixtures
    are heard in a step. ``processes`` train together on the CPU, each with a batch of its own and one thread;
    a GPU (``settings.device``) is fed by ``settings.workers``. ``report`` gets lines for people, ``progress``
    every step. Returns the last validation scores.
    Raises :class:`ParameterError` for an unknown name, :class:`~separators.neural.devices.DeviceError` for a
    device that is not there and :class:`~separators.training.corpus.CorpusError` for unusable data.
    """
    if name not in RECIPES:
        raise ParameterError(f"no training recipe {name!r}; there are: {', '.join(RECIPES)}")
    settings = settings or Settings()
    if not re.fullmatch(NAMES.pattern, settings.device):
        raise ParameterError(f"device must be {NAMES.words}, not {settings.device!r}")
    device = CPU if processes > 1 and settings.device == AUTO else chosen(settings.device)
    if processes > 1 and device != CPU:
        raise ParameterError(f"processes must be 1 on {device}, not {processes}; workers feed a GPU")
    work = work or out.with_name(out.name + ".training")
    weights = dict(source_weights or {})
    job = Job(name, data, work, cache or work, settings, start, checkpoint, weights, batch)
    keep_freed_memory()
    prepared = job.prepare(report)
    team: Team | None = None
    members: list[BaseProcess] = []
    if processes > 1:
        work.mkdir(parents=True, exist_ok=True)
        torch.set_num_threads(1)
        meeting, members = start_members(work, processes, _follow, job)
        team = Team(meeting, 0, processes)
    trainer = job.trainer(prepared.task, report, team, progress)
    if device != CPU:
        report(f"trains on {called(device)}, {trainer.workers} processes mix batches")
    try:
        trainer.run()
    except Exception as error:
        if device == CPU or not is_out_of_memory(error):
            raise
        raise TrainingError(
            f"{called(device)} has not enough memory for this batch; give a smaller --batch"
        ) from error
    finally:
        for member in members:
            member.terminate()
        if team:
            team.leave()
    best = torch.load(work / "best.pt", map_location="cpu", weights_only=True)
    trainer.average.to(CPU).load_state_dict(best["average"])
    notes = {
        "separator": name,
        "steps": best["step"],
        "hours": round(best["seconds"] / 3600, 3),
        "processes": processes,
        "validation_score": best["best_score"],
        "seed": job.settings.seed,
    }
    prepared.export(trainer.average, out, notes)
    return trainer.scores


def _follow(meeting: Path, number: int, size: int, job: Job) -> None:
    """A further process of a team: trains until number 0 ends it, or is gone."""
    torch.set_num_threads(1)
    keep_freed_memory()
    prepared = job.prepare(lambda _line: None)
    team = Team(meeting, number, size)
    job.trainer(prepared.task, lambda _line: None, team).follow()
