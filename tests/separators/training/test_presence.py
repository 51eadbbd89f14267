"""Teaching when stems sound: what is known of mixtures, batches, and the command's run on songs made here."""

import numpy as np
import pytest
import torch

from separators.neural import presence as listening
from separators.neural.presence import BANDS, HOP, MOMENT, SAMPLE_RATE, STEMS
from separators.training import presence
from separators.training.presence import UNKNOWN, Examples, PresenceTask, when
from separators.training.recipes import train
from separators.training.song_mixing import groups_of
from separators.training.trainer import Settings
from tests.separators.training.test_music import folder  # noqa: F401  # a fixture

MOMENTS = 12


def known(labels, target, level_db, stem="vocals"):
    groups = groups_of(labels).numpy()
    return when(target, groups[:, STEMS.index(stem)], groups, level_db)


def test_a_stem_sounds_where_it_is_loud_beside_the_mixture():
    target = np.zeros((2, 10 * SAMPLE_RATE), np.float32)
    target[:, 6 * SAMPLE_RATE :] = 0.1  # -20 dB
    found = known(["vocals", "drums"], target, 0.0)
    moment = MOMENT * HOP / SAMPLE_RATE
    times = (np.arange(len(found)) + 0.5) * moment
    assert (found[times < 4.7] == 0).all()
    assert (found[times > 6.3] == 1).all()
    assert (known(["vocals"], target, 15.0)[times > 7.3] == UNKNOWN).all()  # -35 dB
    assert (known(["vocals"], target, 40.0)[times < 4.7] == 0).all()


def test_nothing_is_known_of_a_stem_that_is_part_of_a_sum():
    target = np.ones((2, SAMPLE_RATE), np.float32)
    assert (known(["accompaniment"], target, 0.0, "drums") == UNKNOWN).all()
    assert (known(["vocals", "rest"], 0 * target, 0.0, "drums") == 0).all()


def examples(count=6, seed=0):
    """Stems that sound are loud, those that do not are 20 dB lower; one of them is not known."""
    rng = np.random.default_rng(seed)
    sounds = rng.integers(0, 2, (count, len(STEMS), 1)).repeat(MOMENTS, 2).astype(np.int8)
    levels = rng.normal(0, 0.1, (count, 1 + len(STEMS), BANDS, MOMENT * MOMENTS)).astype(np.float16)
    levels[:, 1:] += sounds[:, :, None, :1]
    sounds[0, 0] = UNKNOWN
    return Examples(levels, sounds)


def test_batches_hold_what_is_known():
    made = examples()
    levels, stems, sounds = made.batch(np.random.default_rng(1), 200)
    assert levels.shape == (200, 2, BANDS, MOMENT * MOMENTS)
    assert sounds.shape == (200, MOMENTS)
    assert set(stems.tolist()) == {0, 1}
    assert (sounds != UNKNOWN).any(1).all()
    again = made.batch(np.random.default_rng(1), 200)
    assert all(torch.equal(one, other) for one, other in zip((levels, stems, sounds), again, strict=True))
    # The stem is changed as the mixture is: what lies between them stays, unless it is all of the mixture.
    between = (levels[:, 1] - levels[:, 0]).mean((1, 2))
    whole = (levels[:, 1] == levels[:, 0]).flatten(1).all(1)
    assert torch.allclose(between[~whole], sounds[~whole, 0].float(), atol=0.05)
    assert whole.float().mean().item() == pytest.approx(presence.WHOLE, abs=0.1)


def test_it_learns_to_tell_loud_from_quiet():
    torch.manual_seed(0)
    task = PresenceTask(examples(40), examples(20, seed=1), network=listening.Presence(16))
    optimizer = torch.optim.Adam(task.network.parameters(), 3e-3)
    before = task.validate(task.network)["score"]
    for step in range(60):
        loss = task.loss(task.network, task.batch(np.random.default_rng(step)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.inference_mode():
        after = task.validate(task.network)
    assert before < -0.6 < -0.2 < after["score"]
    assert after["vocals_lost"] == 0


@pytest.mark.usefixtures("folder")
def test_training_by_name_writes_weights_that_are_heard(folder, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(presence, "MIXTURES", 3)
    monkeypatch.setattr(presence, "VALIDATED", 2)
    lines = []
    out = tmp_path / "mine.safetensors"
    arguments = {"settings": Settings(steps=2, bfloat16=False), "cache": tmp_path / "cache"}
    scores = train("wave-u-net-presence", folder, out, report=lines.append, **arguments)
    assert np.isfinite(scores["score"])
    written = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cache").glob("presence-*.npz")}
    assert len(written) == 2
    train("wave-u-net-presence", folder, tmp_path / "again.safetensors", report=lines.append, **arguments)
    assert written == {
        path.name: path.stat().st_mtime_ns for path in (tmp_path / "cache").glob("presence-*.npz")
    }
    made = listening.load(out)
    audio = np.random.default_rng(0).standard_normal((2, SAMPLE_RATE)).astype(np.float32)
    gains = listening.gains(made, listening.Mixture(audio), audio, "vocals")
    assert ((gains >= 0) & (gains <= 1)).all()
