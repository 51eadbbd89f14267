"""Training on a (pretended) GPU: all of it happens there, and a run goes on on the processor and back."""

import numpy as np
import pytest
import torch

from separators.errors import ParameterError
from separators.neural.devices import CPU, DeviceError
from separators.training import muon, recipes
from separators.training.muon import Muon
from separators.training.trainer import Settings, Trainer
from tests.separators import pretend_gpu
from tests.separators.pretend_gpu import GPU, held
from tests.separators.training.synthetic_voices import write_corpus

SAME = 1e-5
"""Largest difference between weights around 1 that were trained here and there."""


@pytest.fixture(autouse=True)
def in_full_precision(monkeypatch):
    """Whatever this processor is fast with."""
    monkeypatch.setattr(muon, "bfloat16_is_fast", lambda _device: False)


class Lines:
    """Learns a matrix from noisy products, by Muon and AdamW."""

    def __init__(self):
        torch.manual_seed(0)
        self.network = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 2))
        self.seen = []

    def hidden_weights(self):
        return [self.network[0].weight]

    def mixer(self, rng):
        x = torch.from_numpy(rng.standard_normal((16, 4), np.float32))
        return x, x[:, :2] - x[:, 2:]

    batch = mixer

    def loss(self, network, batch):
        self.seen.append(batch[0].device)
        return (network(batch[0]) - batch[1]).square().mean()

    def validate(self, network):
        self.seen.append(network[0].weight.device)
        return {"score": -float(network[0].weight.square().sum())}


def settings(device, steps=6, **changes):
    values = {"learning_rate": 0.01, "warm_up_steps": 1, "ema": 0.9, "bfloat16": False, "workers": 0}
    return Settings(steps=steps, device=device, **values | changes)


def train(folder, device, steps, **changes):
    task = Lines()
    trainer = Trainer(task, settings(device, steps, **changes), folder, lambda _line: None)
    if (folder / "checkpoint.pt").is_file():
        trainer.resume(folder / "checkpoint.pt", new_run=True)
    trainer.run()
    return trainer, task


def weights(trainer):
    return torch.cat([held(p).detach().flatten() for p in trainer.network.parameters()])


@pytest.mark.parametrize("order", [("cuda", "cpu"), ("cpu", "cuda"), ("cuda", "cuda")])
def test_a_run_goes_on_on_another_device(tmp_path, monkeypatch, order):
    whole, _ = train(tmp_path / "whole", "cpu", 6)
    with pretend_gpu.present(monkeypatch):
        train(tmp_path / "parts", order[0], 3)
        parts, task = train(tmp_path / "parts", order[1], 3)
    assert set(task.seen) == {GPU if order[1] == "cuda" else CPU}
    assert parts.step == whole.step == 6
    assert (weights(parts) - weights(whole)).abs().max() < SAME


def test_checkpoints_need_no_gpu(tmp_path, monkeypatch):
    with pretend_gpu.present(monkeypatch):
        train(tmp_path, "cuda", 2)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert all(type(value) is torch.Tensor for value in state["network"].values())
    momenta = [one["momentum"] for one in state["optimizers"][1]["state"].values()]
    assert {value.device for value in momenta} == {CPU}


def test_all_optimizers_work_on_the_gpu(tmp_path, monkeypatch):
    with pretend_gpu.present(monkeypatch) as gpu:
        trainer, _ = train(tmp_path, "cuda", 1)
        gpu.done.clear()
        trainer._train_step()
    assert any(isinstance(one, Muon) for one in trainer.optimizers)
    on_processor = {name for name in gpu.where(CPU) if "mm" in name or "adam" in name or "lerp" in name}
    assert on_processor == set()
    assert any("adam" in name for name in gpu.where(GPU))


def test_worker_processes_mix_the_same_batches(tmp_path):
    alone, _ = train(tmp_path / "alone", "cpu", 4)
    fed, _ = train(tmp_path / "fed", "cpu", 4, workers=2)
    assert torch.equal(weights(alone), weights(fed))
    assert all(not process.is_alive() for process in fed.feeder.processes if process.join(10) is None)


def test_a_gpu_is_fed_by_processes(tmp_path, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 6)
    with pretend_gpu.present(monkeypatch):
        assert Trainer(Lines(), settings("cuda", workers=None), tmp_path).workers == 5
        assert Trainer(Lines(), settings("cpu", workers=None), tmp_path).workers == 0


@pytest.mark.parametrize(
    ("device", "processes", "error", "said"),
    [
        ("gpu", 1, ParameterError, "device must be auto, cpu, cuda, cuda:NUMBER or mps, not 'gpu'"),
        ("cuda:99", 1, DeviceError, "device cuda:99: "),
    ],
)
def test_devices_that_are_not_there_are_errors(tmp_path, device, processes, error, said):
    with pytest.raises(error, match=said):
        recipes.train("pit", tmp_path, tmp_path / "x", settings=settings(device), processes=processes)


def test_teams_train_on_the_cpu(tmp_path, monkeypatch):
    with (
        pretend_gpu.present(monkeypatch),
        pytest.raises(ParameterError, match="processes must be 1 on cuda:0"),
    ):
        recipes.train("pit", tmp_path, tmp_path / "x", settings=settings("cuda"), processes=2)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("MPS backend out of memory"),
    ],
)
def test_a_batch_that_is_too_large_for_a_gpu_is_one_line(tmp_path, monkeypatch, error):
    write_corpus(tmp_path / "voices")

    def full(_trainer):
        raise error

    monkeypatch.setattr(Trainer, "_train_step", full)
    with (
        pretend_gpu.present(monkeypatch),
        pytest.raises(
            recipes.TrainingError, match=r"has not enough memory for this batch; give a smaller --batch"
        ),
    ):
        recipes.train(
            "pit",
            tmp_path / "voices",
            tmp_path / "out",
            settings=settings("cuda", 1),
            report=lambda _line: None,
        )
