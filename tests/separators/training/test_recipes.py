import numpy as np
import pytest
import torch

from separators.errors import ParameterError
from separators.neural import weights
from separators.neural.clustering import kmeans
from separators.neural.danet import DANet
from separators.neural.deep_clustering import DeepClustering
from separators.neural.network import Architecture, Network
from separators.neural.pit import PIT
from separators.training import voices
from separators.training.corpus import load
from separators.training.mixing import MixingSettings
from separators.training.recipes import train
from separators.training.trainer import Settings, Trainer
from tests.separators.training.synthetic_voices import voice, write_corpus

SMALL = {"channels": 24, "dilations": (1, 2, 4), "dimensions": 4, "attention": (2,)}
SEPARATORS = {"pit": PIT, "danet": DANet, "deep-clustering": DeepClustering}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("data") / "voices")


@pytest.fixture(autouse=True)
def small_networks(monkeypatch):
    monkeypatch.setattr(voices, "Architecture", lambda **given: Architecture(**SMALL | given))
    monkeypatch.setattr(voices, "VALIDATION_BATCHES", 1)
    monkeypatch.setattr(voices, "FEATURE_BATCHES", 2)
    monkeypatch.setattr(voices, "MixingSettings", lambda **given: MixingSettings(**given | {"seconds": 1.0}))


@pytest.mark.parametrize("name", SEPARATORS)
def test_trained_weights_separate(data, tmp_path, name):
    out = tmp_path / "weights.safetensors"
    scores = train(name, data, out, settings=Settings(steps=3), report=lambda _line: None)
    assert np.isfinite(scores["score"])
    mixture = voice(110, 2, 1) + voice(200, 2, 2)
    stems = SEPARATORS[name](weights=str(out)).separate(mixture, 16_000)
    assert np.abs(stems.array.sum(0)[0] - mixture).max() < 1e-6
    assert np.abs(stems["voice-1"] - stems["voice-2"]).max() > 0


@pytest.mark.parametrize("name", SEPARATORS)
def test_a_few_steps_lower_the_loss(data, tmp_path, name):
    corpus = load(data, tmp_path)
    pairs = name != "pit"
    mixing = MixingSettings(seconds=1.0, pairs=pairs, room=0.0)
    architecture = Architecture(head="embeddings" if pairs else "masks", **SMALL)
    task = voices.TASKS[name](corpus, mixing, voices.new_network(architecture, corpus, mixing, 0))
    fixed = task.batch(np.random.default_rng(0))
    task.batch = lambda _rng: fixed
    trainer = Trainer(
        task,
        Settings(steps=25, warm_up_steps=5, learning_rate=3e-3, bfloat16=False),
        tmp_path,
        lambda _line: None,
    )
    before = task.loss(task.network, fixed).item()
    trainer.run()
    after = task.loss(task.network, fixed).item()
    assert after < before - 0.05


def test_deep_clustering_learns_through_the_centroids_that_k_means_finds(data, tmp_path):
    corpus = load(data, tmp_path)
    mixing = MixingSettings(seconds=1.0, pairs=True, turns=0.0, alone=0.0)
    network = voices.new_network(Architecture(head="embeddings", background=True, **SMALL), corpus, mixing, 0)
    task = voices.DeepClusteringTask(corpus, mixing, network)
    mixture, targets = task.batch(np.random.default_rng(0))
    embeddings = network(mixture).detach().requires_grad_(True)
    assignment = task._assignment(network, (mixture, targets))
    found = task._attractors(embeddings, assignment, 2)
    ideal = voices.DANetTask._attractors(task, embeddings, assignment, 2)
    for points, weights_of, centroids in zip(embeddings.detach(), assignment, found.detach(), strict=True):
        loudness = weights_of.sum(0) * (1 - points[..., -1].clamp(0, 1))
        again = kmeans(points, loudness, 2, 0, centroids)
        assert torch.nn.functional.cosine_similarity(again, centroids).min() > 0.999  # they stay
    assert (found - ideal).abs().max() > 0.01  # the untrained do not cluster by voice
    found.square().sum().backward()
    assert embeddings.grad.abs().max() > 0


def test_a_killed_run_goes_on(data, tmp_path):
    out = tmp_path / "weights.safetensors"
    lines = []
    train("pit", data, out, settings=Settings(steps=2), report=lines.append)
    train("pit", data, out, settings=Settings(steps=4), report=lines.append)
    assert any("resumed at step 2" in line for line in lines)
    assert any(line.startswith("step 4,") for line in lines)


def test_another_separator_lends_its_backbone(data, tmp_path):
    first, second = tmp_path / "pit.safetensors", tmp_path / "danet.safetensors"
    train("pit", data, first, settings=Settings(steps=1), report=lambda _line: None)
    train("danet", data, second, settings=Settings(steps=1, learning_rate=0.0), start=first, report=print)
    lent, made = weights.load(first).state_dict(), weights.load(second).state_dict()
    assert torch.equal(lent["blocks.1.conv.weight"], made["blocks.1.conv.weight"])
    assert lent["outputs.weight"].shape != made["outputs.weight"].shape
    assert [run["separator"] for run in weights.notes(second)["history"]] == ["pit", "danet"]


@pytest.mark.parametrize("name", ["pit", "danet"])
def test_of_a_network_that_listens_twice_the_second_pass_learns(data, tmp_path, name):
    start, out = tmp_path / "start.safetensors", tmp_path / "out.safetensors"
    torch.manual_seed(0)
    weights.save(Network(Architecture(**SMALL, background=True, passes=2)), start, {})
    train(
        name, data, out, settings=Settings(steps=2, warm_up_steps=1), start=start, report=lambda _line: None
    )
    before, after = weights.load(start), weights.load(out)
    assert after.architecture.passes == 2
    for key, value in before.first.state_dict().items():
        assert torch.equal(after.first.state_dict()[key], value), key
    assert not torch.equal(after.inputs.weight, before.inputs.weight)
    assert not torch.equal(after.blocks[1].conv.weight, before.blocks[1].conv.weight)


def test_an_unknown_recipe_is_refused(tmp_path):
    with pytest.raises(ParameterError, match="no training recipe 'nmf'; there are: pit"):
        train("nmf", tmp_path, tmp_path / "out")
