"""Trains a separator's network by name, on any folder of recordings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from separators.errors import ParameterError
from separators.training.trainer import Report, Settings, Task, Trainer

RECIPES = {
    "pit": "separators.training.voices:prepare",
    "danet": "separators.training.voices:prepare",
    "deep-clustering": "separators.training.voices:prepare",
    "wave-u-net": "separators.training.music:prepare",
}
"""Name -> ``module:function``; the function is called like :func:`separators.training.voices.prepare`."""


@dataclass(frozen=True)
class Prepared:
    """A task ready to be trained, and how its network becomes a weights file."""

    task: Task
    export: Callable[[nn.Module, Path, Mapping[str, Any]], None]
    """Called with the network, the file to write, and notes for its metadata."""


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
    report: Report = print,
) -> dict[str, float]:
    """Train the network of the separator ``name`` on the folder ``data`` and write its weights to ``out``.

    ``work`` (by default beside ``out``) holds checkpoints, and ``cache`` (by default ``work``) the
    decoded recordings. A run that was killed goes on from ``work`` when it is started again.
    ``start`` gives weights to begin with instead of random ones (those of another separator lend
    their backbone), ``checkpoint`` a whole state of another run. ``source_weights`` says how much
    more often the speakers of a source (a column of the manifest) are drawn. Returns the last
    validation scores. Raises :class:`ParameterError` for an unknown name and
    :class:`~separators.training.corpus.CorpusError` for unusable data.
    """
    if name not in RECIPES:
        raise ParameterError(f"no training recipe {name!r}; there are: {', '.join(RECIPES)}")
    settings = settings or Settings()
    work = work or out.with_name(out.name + ".training")
    module, _, function = RECIPES[name].partition(":")
    prepare = getattr(import_module(module), function)
    prepared: Prepared = prepare(
        name,
        data,
        cache or work,
        start=start,
        seed=settings.seed,
        source_weights=source_weights or {},
        report=report,
    )
    trainer = Trainer(prepared.task, settings, work, report)
    if (work / "checkpoint.pt").is_file():
        trainer.resume(work / "checkpoint.pt")
        report(f"resumed at step {trainer.step} from {work / 'checkpoint.pt'}")
    elif checkpoint is not None:
        trainer.resume(checkpoint, new_run=True)
        report(f"starting from step {trainer.step} of {checkpoint}")
    trainer.run()
    best = torch.load(work / "best.pt", map_location="cpu", weights_only=True)
    trainer.average.load_state_dict(best["average"])
    notes = {
        "separator": name,
        "steps": best["step"],
        "hours": round(best["seconds"] / 3600, 3),
        "validation_score": best["best_score"],
        "seed": settings.seed,
    }
    prepared.export(trainer.average, out, notes)
    return trainer.scores
