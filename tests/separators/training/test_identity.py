"""Teaching who talks: batches, the loss, the figure of validation, a run by name on stand-ins for voices."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from separators.neural import identity as listening
from separators.neural.identity import BANDS, Identity
from separators.neural.network import SAMPLE_RATE
from separators.training import identity
from separators.training.corpus import load
from separators.training.identity import MIXING, IdentityTask, PhraseMixer, Scaled, equal_error
from separators.training.mixing import Mixer
from separators.training.recipes import train
from separators.training.trainer import Settings
from tests.separators.training.synthetic_voices import write_corpus


@pytest.fixture(scope="module")
def mixer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    corpus = load(write_corpus(folder / "voices", seconds=7.0), folder / "cache", lambda line: None)
    return PhraseMixer(Mixer(corpus, "train", replace(MIXING, batch=3)))


def test_batches_hold_two_phrases_of_each_voice(mixer):
    phrases, who = mixer(np.random.default_rng(0))
    assert phrases.shape[:3] == (2, 6, BANDS)
    shortest, longest = (seconds * SAMPLE_RATE / listening.HOP for seconds in identity.PHRASE_SECONDS)
    assert shortest <= phrases.shape[3] <= longest + 2
    assert all(who[index] != who[index + 1] for index in range(0, 6, 2))
    again, same = mixer(np.random.default_rng(0))
    assert torch.equal(phrases, again)
    assert torch.equal(who, same)


def test_a_person_heard_twice_is_not_told_from_itself():
    task = IdentityTask(mixer=None, validation=[], network=Scaled(Identity(16, 8)))
    phrases = torch.randn(2, 4, BANDS, 50)
    with torch.inference_mode():
        apart = task.loss(task.network, (phrases, torch.arange(4)))
        alike = task.loss(task.network, (phrases, torch.zeros(4, dtype=torch.long)))
    assert apart > 0.1
    assert alike == 0


@pytest.mark.parametrize(
    ("own", "other", "expected"),
    [([0.9, 0.8], [0.1, 0.2], 0.0), ([0.1, 0.9], [0.2, 0.0], 0.5), ([0.0, 0.1], [0.8, 0.9], 1.0)],
)
def test_equal_errors(own, other, expected):
    assert equal_error(torch.tensor(own), torch.tensor(other)) == expected


def test_it_learns_to_tell_voices(mixer):
    torch.manual_seed(0)
    batches = [mixer(np.random.default_rng(number)) for number in range(4)]
    task = IdentityTask(mixer, batches, Scaled(Identity(32, 16)))
    optimizer = torch.optim.Adam(task.network.parameters(), 3e-3)
    with torch.inference_mode():
        before = task.validate(task.network)["score"]
    losses = []
    for step in range(40):
        loss = task.loss(task.network, task.batch(np.random.default_rng(100 + step)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    with torch.inference_mode():
        after = task.validate(task.network)["score"]
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])
    assert after >= before
    assert after > -25


def test_training_by_name_writes_weights(tmp_path):
    folder = write_corpus(tmp_path / "voices", seconds=7.0)
    out = tmp_path / "mine.safetensors"
    settings = Settings(steps=2, bfloat16=False)
    scores = train("voices-identity", folder, out, settings=settings, batch=2, report=lambda line: None)
    assert -100 <= scores["score"] <= 0
    made = listening.load(out)
    assert made(torch.zeros(1, BANDS, 30)).shape == (1, made.dimensions)
    train("voices-identity", folder, out, settings=settings, batch=2, start=out, report=lambda line: None)
