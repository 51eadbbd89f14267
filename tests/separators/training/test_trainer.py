import errno
import json
import math
import os

import numpy as np
import pytest
import torch
from torch import nn

from separators.training.trainer import Settings, Trainer


class Line:
    """Learns y = 2 x + 1 from noisy points."""

    def __init__(self):
        torch.manual_seed(0)
        self.network = nn.Linear(1, 1)
        self.fail_at = None
        self.drawn = []

    def hidden_weights(self):
        return []

    def batch(self, rng):
        x = rng.standard_normal((32, 1), np.float32)
        self.drawn.append(float(x[0, 0]))
        if self.fail_at is not None and len(self.drawn) == self.fail_at:
            raise KeyboardInterrupt
        return torch.from_numpy(x), torch.from_numpy(2 * x + 1)

    def loss(self, network, batch):
        return (network(batch[0]) - batch[1]).square().mean()

    def validate(self, network):
        return {"score": -abs(network.weight.item() - 2) - abs(network.bias.item() - 1)}


def settings(**changes):
    values = {"steps": 40, "learning_rate": 0.05, "warm_up_steps": 1, "ema": 0.9, "weight_decay": 0.0}
    return Settings(**values | {"bfloat16": False} | changes)


def quiet(_line):
    pass


def trained(tmp_path, **changes):
    trainer = Trainer(Line(), settings(**changes), tmp_path, quiet)
    trainer.run()
    return trainer


def weights(trainer):
    return torch.cat([p.detach().flatten() for p in trainer.network.parameters()])


def test_it_learns(tmp_path):
    trainer = trained(tmp_path, steps=300, decay=0.5)
    assert trainer.scores["score"] > -0.05
    assert trainer.best_score == trainer.scores["score"]


def test_a_resumed_run_continues_exactly(tmp_path):
    whole = trained(tmp_path / "whole", decay=0.5)
    task = Line()
    task.fail_at = 25
    broken = Trainer(task, settings(decay=0.5), tmp_path / "broken", quiet)
    with pytest.raises(KeyboardInterrupt):
        broken.run()
    resumed = Trainer(Line(), settings(decay=0.5), tmp_path / "broken", quiet)
    resumed.resume(tmp_path / "broken" / "checkpoint.pt")
    assert resumed.step == 24
    resumed.run()
    assert torch.equal(weights(resumed), weights(whole))
    assert resumed.step == 40


def test_a_new_run_from_a_checkpoint_has_its_own_length(tmp_path):
    trained(tmp_path / "first")
    second = Trainer(Line(), settings(steps=10), tmp_path / "second", quiet)
    second.resume(tmp_path / "first" / "checkpoint.pt", new_run=True)
    second.run()
    assert second.step == 50
    assert second.run_step == 10


def test_batches_depend_on_seed_and_step_alone(tmp_path):
    first, second, other = (trained(tmp_path / str(n), seed=seed) for n, seed in enumerate((1, 1, 2)))
    assert first.task.drawn == second.task.drawn
    assert first.task.drawn != other.task.drawn
    assert len(set(first.task.drawn)) == 40


def test_the_learning_rate_warms_up_stays_and_decays(tmp_path):
    trainer = Trainer(Line(), settings(steps=20, warm_up_steps=5, decay=0.5), tmp_path, quiet)
    rates = []
    trainer.optimizers[0].register_step_pre_hook(
        lambda optimizer, *_: rates.append(optimizer.param_groups[0]["lr"])
    )
    trainer.run()
    peak = 0.05
    assert rates[:5] == pytest.approx([peak * step / 5 for step in range(1, 6)])
    assert rates[5:11] == pytest.approx([peak] * 6)
    assert rates[11:] == pytest.approx([peak * (20 - step) / 10 for step in range(11, 20)])


def test_a_broken_batch_changes_nothing(tmp_path):
    class Poisoned(Line):
        def loss(self, network, batch):
            loss = super().loss(network, batch)
            return loss * math.nan if len(self.drawn) == 3 else loss

    trainer = Trainer(Poisoned(), settings(steps=5), tmp_path, quiet)
    trainer.run()
    assert torch.isfinite(weights(trainer)).all()


def test_it_stops_early_when_nothing_improves(tmp_path):
    class Stuck(Line):
        def validate(self, _network):
            return {"score": 0.0}

    trainer = Trainer(Stuck(), settings(steps=1000, patience=2, validate_minutes=0.0), tmp_path, quiet)
    trainer.run()
    assert trainer.step == 3


def test_the_log_is_one_json_object_per_validation(tmp_path):
    trained(tmp_path, steps=5, validate_minutes=0.0)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 5]
    assert {"step", "hours", "learning_rate", "loss", "score"} <= rows[0].keys()


def test_a_checkpoint_is_never_half_written(tmp_path, full_disk):
    trainer = trained(tmp_path)
    path = tmp_path / "checkpoint.pt"
    before = path.read_bytes()
    full_disk(len(before) // 2)
    with pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
        trainer.save(path)
    assert path.read_bytes() == before
