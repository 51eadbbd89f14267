"""Trains any network on batches that are made on the fly; survives being killed.

The trainer knows nothing of audio. A task gives it a network and three functions: a batch from a
random generator, the loss of a batch, and the scores of the network on fixed validation data.
Batches depend on the seed and the step alone (and on the process, if several train together),
so a resumed run continues exactly.

The learning rate warms up, stays constant, and falls to zero over the last part of a run (warm-up,
stable, decay; Hu et al. 2024), so training is open-ended: a checkpoint of the stable part can
be trained further at any time, or annealed into weights to ship. A moving average of the
weights (EMA) is validated and exported.
"""

from __future__ import annotations

import copy
import io
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from separators.atomic import write_atomically
from separators.neural.devices import AUTO, CPU, chosen
from separators.neural.precision import bfloat16_is_fast
from separators.training.feeding import Feeder, Mixer, mapped, step_rng
from separators.training.muon import Muon
from separators.training.team import Team

Report = Callable[[str], None]
"""Called with one line of progress now and then."""
Progress = Callable[[float, str], None]
"""Called after each step with how much of the run is done, 0 to 1, and what there is to say of it."""

MOST_WORKERS = 8
"""A GPU is fed by that many."""
RECENT = 50
"""The loss shown is the mean over so many steps at most."""


class Task(Protocol):
    """What is trained: a network, its data and its loss."""

    @property
    def network(self) -> nn.Module:
        """The network to train."""
        ...

    def hidden_weights(self) -> list[Tensor]:
        """Weights between hidden layers, which Muon optimizes; AdamW has the rest."""
        ...

    @property
    def mixer(self) -> Mixer:
        """What makes batches, in this process or in others."""
        ...

    def batch(self, rng: np.random.Generator) -> Any:
        """One batch on the processor; all its randomness comes from ``rng``."""
        ...

    def loss(self, network: nn.Module, batch: Any) -> Tensor:
        """The loss of ``batch``, a scalar; ``network`` is the one to call."""
        ...

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Scores on fixed data; ``score`` decides which weights are best, higher is better."""
        ...


@dataclass(frozen=True)
class Settings:
    """How long and how fast to train; the defaults suit a run of hours on one core."""

    minutes: float = math.inf
    """Wall-clock length of this run, without what was trained before."""
    steps: float = math.inf
    """Number of steps of this run."""
    decay: float = 0.0
    """The last part of the run, 0 to 1, over which the learning rate falls to zero."""
    learning_rate: float = 1e-3
    warm_up_steps: int = 300
    """Steps from a new optimizer over which the learning rate rises."""
    weight_decay: float = 0.01
    clip: float = 5.0
    ema: float = 0.999
    seed: int = 0
    device: str = AUTO
    """Where to train; see :mod:`separators.neural.devices`. A run may change it when it goes on."""
    workers: int | None = None
    """Processes that mix batches; 0: the one that trains. None: that one on the CPU, for a GPU all cores but
    one, at most :data:`MOST_WORKERS`."""
    bfloat16: bool | None = None
    """Compute in bfloat16; None: where the device does it natively (elsewhere it is far slower)."""
    checkpoint_minutes: float = 3.0
    validate_minutes: float = 8.0
    patience: int = 0
    """Stop after this many validations without a better score; 0 never stops early."""


class Trainer:
    """Trains ``task`` in ``folder``, where it keeps checkpoint.pt, best.pt and log.jsonl."""

    def __init__(
        self,
        task: Task,
        settings: Settings,
        folder: Path,
        report: Report = print,
        team: Team | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Start with the task's network as it is; with ``team``, train it together with other processes."""
        self.task = task
        self.team = team
        self.settings = settings
        self.folder = folder
        self.report = report
        self.show = progress or (lambda _fraction, _detail: None)
        self.device = chosen("cpu" if team else settings.device)
        self.half = bfloat16_is_fast(self.device) if settings.bfloat16 is None else settings.bfloat16
        self.feeder: Feeder | None = None
        self.network = task.network.to(self.device)
        self.average = copy.deepcopy(self.network)
        self.optimizers = _optimizers(task, settings, team)
        self.step = 0
        """Steps over all runs since the optimizer was new."""
        self.seconds = 0.0
        """Time trained, over all runs, without validation."""
        self.run_step = 0
        self.run_seconds = 0.0
        self.scores: dict[str, float] = {}
        self.best_score = -math.inf
        self.fruitless = 0
        folder.mkdir(parents=True, exist_ok=True)

    def run(self) -> dict[str, float]:
        """Train until a limit of the settings is reached; returns the last validation scores.

        An interrupt (Ctrl-C, KeyboardInterrupt) saves a checkpoint and is passed on.
        """
        settings = self.settings
        losses: list[float] = []
        if self.workers:
            self.feeder = Feeder(self.task.mixer, settings.seed, self.step, self.workers)
        checkpointed = validated = self.run_seconds
        try:
            while self.progress < 1 and not (settings.patience and self.fruitless >= settings.patience):
                losses.append(self._train_step())
                self.show(min(1.0, self.progress), f"step {self.step}, loss {np.mean(losses[-RECENT:]):.2f}")
                if self.run_seconds - validated > settings.validate_minutes * 60:
                    self._validate(losses)
                    losses, validated = [], self.run_seconds
                if self.run_seconds - checkpointed > settings.checkpoint_minutes * 60:
                    self.save(self.folder / "checkpoint.pt")
                    checkpointed = self.run_seconds
        finally:
            if self.feeder:
                self.feeder.close()
            self.save(self.folder / "checkpoint.pt")
        self._validate(losses)
        return self.scores

    def follow(self) -> None:
        """Train as a further member of a team, which number 0 validates, saves and ends."""
        while True:
            self._train_step()

    @property
    def workers(self) -> int:
        """How many processes mix batches."""
        if self.settings.workers is not None:
            return self.settings.workers
        return 0 if self.device == CPU else min(MOST_WORKERS, max(1, (os.cpu_count() or 2) - 1))

    def _batch(self, member: int) -> Any:
        """The batch of this step."""
        if self.feeder:
            return self.feeder.next()
        return self.task.batch(step_rng(self.settings.seed, self.step, member))

    @property
    def progress(self) -> float:
        """How much of the run is done, 0 to 1."""
        settings = self.settings
        return max(self.run_step / settings.steps, self.run_seconds / 60 / settings.minutes)

    def _train_step(self) -> float:
        settings = self.settings
        started = time.monotonic()
        rate = settings.learning_rate * min(1.0, (self.step + 1) / settings.warm_up_steps)
        if settings.decay > 0:
            rate *= min(1.0, (1 - self.progress) / settings.decay)
        member = self.team.number if self.team else 0
        self.network.train()
        torch.manual_seed(hash((settings.seed, self.step, member)) & 0x7FFFFFFF)
        batch = mapped(self._batch(member), lambda tensor: tensor.to(self.device))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            loss = self.task.loss(self.network, batch)
        self.network.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.team:
            rate = self.team.average([p.grad for p in self.network.parameters() if p.grad is not None], rate)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), settings.clip)
        # One broken batch must not poison hours of work.
        if math.isfinite(float(norm)):
            for optimizer in self.optimizers:
                optimizer.step()
        self.step += 1
        self.run_step += 1
        # The average forgets its random start quickly, then reaches back 1 / (1 - ema) steps.
        keep = min(settings.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.network.parameters()), 1 - keep)
        elapsed = time.monotonic() - started
        self.seconds += elapsed
        self.run_seconds += elapsed
        return loss.item()

    def _validate(self, losses: list[float]) -> None:
        self.average.eval()
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            self.scores = self.task.validate(self.average)
        self.fruitless += 1
        if self.scores["score"] > self.best_score:
            self.best_score, self.fruitless = self.scores["score"], 0
            self.save(self.folder / "best.pt")
        row = {
            "step": self.step,
            "hours": round(self.seconds / 3600, 4),
            "seconds_per_step": round(self.run_seconds / max(1, self.run_step), 4),
            "learning_rate": self.optimizers[0].param_groups[0]["lr"],
            "loss": round(float(np.mean(losses)), 4) if losses else None,
            **{name: round(value, 3) for name, value in self.scores.items()},
        }
        with (self.folder / "log.jsonl").open("a") as log:
            log.write(json.dumps(row) + "\n")
        self.report(", ".join(f"{key} {value}" for key, value in row.items()))

    def save(self, path: Path) -> None:
        """Write everything a later run needs to ``path``, which is never seen half-written.

        It needs no GPU to be read, wherever the network was trained.
        """
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
            "seconds": self.seconds,
            "run_step": self.run_step,
            "run_seconds": self.run_seconds,
            "fruitless": self.fruitless,
            "best_score": self.best_score,
            "settings": asdict(self.settings),
        }
        # Into memory first: what torch itself says of a full disk tells nobody what is wrong.
        content = io.BytesIO()
        torch.save(tree_map(_on_cpu, state), content)
        write_atomically(path, content.getbuffer())

    def resume(self, path: Path, *, new_run: bool = False) -> None:
        """Continue from the checkpoint at ``path``: weights, average, optimizer, step.

        A new run has its own length and search for the best weights; else the interrupted one goes on.
        """
        state = torch.load(path, map_location="cpu", weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.seconds = state["step"], state["seconds"]
        if not new_run:
            self.run_step, self.run_seconds = state["run_step"], state["run_seconds"]
            self.best_score, self.fruitless = state["best_score"], state["fruitless"]


def _on_cpu(value: Any) -> Any:
    return value.cpu() if isinstance(value, Tensor) else value


def _optimizers(task: Task, settings: Settings, team: Team | None) -> list[torch.optim.Optimizer]:
    """AdamW, and Muon for the weights between hidden layers if the task names some."""
    hidden = task.hidden_weights()
    taken = {id(weight) for weight in hidden}
    rest = [weight for weight in task.network.parameters() if id(weight) not in taken]
    adam = torch.optim.AdamW(
        [
            {"params": [p for p in rest if p.ndim > 1], "weight_decay": settings.weight_decay},
            {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=settings.learning_rate,
        betas=(0.9, 0.99),
        fused=True,
    )
    if not hidden:
        return [adam]
    muon = Muon(hidden, lr=settings.learning_rate, weight_decay=settings.weight_decay, team=team)
    return [adam, muon]
