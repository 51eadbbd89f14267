import multiprocessing

import torch

from separators.neural import weights
from separators.neural.network import Architecture
from separators.training import voices
from separators.training.corpus import load
from separators.training.mixing import MixingSettings
from separators.training.recipes import train
from separators.training.team import Team, start_members
from separators.training.trainer import Settings
from tests.separators.training.synthetic_voices import write_corpus


def member(meeting, number, size, queue):
    team = Team(meeting, number, size)
    gradients = [torch.full((2, 3), float(number)), torch.tensor([10.0 * number])]
    rate = team.average(gradients, rate=0.5 if number == 0 else 99.0)
    queue.put((gradients[0].tolist(), gradients[1].tolist(), rate))
    team.leave()


def test_gradients_are_averaged_and_number_0_sets_the_rate(tmp_path):
    queue = multiprocessing.get_context("spawn").Queue()
    meeting, members = start_members(tmp_path, 2, member, queue)
    member(meeting, 0, 2, queue)
    results = [queue.get(timeout=60) for _ in range(2)]
    for process in members:
        process.join()
    assert results == [([[0.5] * 3] * 2, [5.0], 0.5)] * 2


def test_two_processes_train_one_network(tmp_path):
    data = write_corpus(tmp_path / "data", speakers=4, recordings=1)
    mixing = MixingSettings()
    small = Architecture(channels=18, dilations=(1, 2), attention=())
    corpus = load(data, tmp_path / "cache")
    weights.save(voices.new_network(small, corpus, mixing, 0), tmp_path / "start.safetensors", {})
    lines = []
    train(
        "pit",
        data,
        tmp_path / "out.safetensors",
        settings=Settings(steps=2),
        start=tmp_path / "start.safetensors",
        cache=tmp_path / "cache",
        processes=2,
        report=lines.append,
    )
    assert lines[-1].startswith("step 2,")
    first, second = (weights.load(tmp_path / f"{name}.safetensors").state_dict() for name in ("start", "out"))
    assert not torch.equal(first["outputs.weight"], second["outputs.weight"])
    assert weights.notes(tmp_path / "out.safetensors")["history"][0]["processes"] == 2
