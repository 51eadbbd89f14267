from itertools import permutations

import numpy as np
import pytest
import torch

from separators.evaluation import si_sdr as reference_si_sdr
from separators.training.losses import (
    CLAMP_DB,
    QUIET_DB,
    affinity_loss,
    attractors,
    best_permutation,
    faithfulness,
    pit_loss,
    si_sdr,
)

DB = 1e-3


def signals(seed, *shape):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def test_si_sdr_is_the_evaluation_s():
    target, noise = signals(0, 2, 4000)
    estimate = 0.3 * target + 0.2 * noise
    wanted = reference_si_sdr(target.numpy(), estimate.numpy())
    assert si_sdr(estimate, target, clamp_db=100).item() == pytest.approx(wanted, abs=DB)


def test_si_sdr_ends_at_its_clamp():
    target = signals(0, 4000)
    assert si_sdr(target, target, clamp_db=30).item() == pytest.approx(30, abs=DB)


@pytest.mark.parametrize("speakers", [2, 3])
def test_the_permutation_found_is_the_best_of_all(speakers):
    scores = signals(1, 50, speakers, speakers)
    best, orders = best_permutation(scores)
    for matrix, mean, order in zip(scores, best, orders, strict=True):
        tried = [matrix[list(o), range(speakers)].mean().item() for o in permutations(range(speakers))]
        assert mean.item() == pytest.approx(max(tried), abs=1e-6)
        assert matrix[order, range(speakers)].mean().item() == pytest.approx(max(tried), abs=1e-6)


def test_pit_does_not_care_about_the_order_of_estimates():
    targets = signals(2, 3, 2, 4000)
    estimates = targets + 0.5 * signals(3, 3, 2, 4000)
    assert pit_loss(estimates.flip(1), targets, targets.sum(1)).item() == pytest.approx(
        pit_loss(estimates, targets, targets.sum(1)).item(), abs=DB
    )


def test_pit_punishes_an_output_that_swaps_voices_midway():
    targets = signals(4, 1, 2, 4000)
    swapped = torch.cat([targets[:, :, :2000], targets.flip(1)[:, :, 2000:]], 2)
    assert pit_loss(targets, targets, targets.sum(1)).item() < -29
    assert pit_loss(swapped, targets, targets.sum(1)).item() > -1


def clustered(seed, speakers=2, bands=8, times=50, dimensions=6):
    """Perfect embeddings: each bin's is the unit vector of its speaker."""
    rng = np.random.default_rng(seed)
    owner = torch.from_numpy(rng.integers(speakers, size=(1, bands, times)))
    weights = torch.nn.functional.one_hot(owner, speakers).movedim(-1, 1)
    loudness = torch.from_numpy(rng.random((1, 1, bands, times), np.float32))
    return torch.eye(dimensions)[owner], weights * loudness


def test_attractors_of_perfect_embeddings_are_their_vectors():
    embeddings, weights = clustered(0)
    found = attractors(embeddings, weights)
    assert torch.allclose(found, torch.eye(6)[None, :2], atol=1e-5)


def test_clustering_loss_is_zero_for_perfect_embeddings():
    embeddings, weights = clustered(1)
    assert affinity_loss(embeddings, weights).item() == pytest.approx(0, abs=1e-5)


def test_clustering_loss_is_the_norm_of_the_difference_of_affinities():
    embeddings, weights = clustered(1, bands=3, times=7)
    embeddings = torch.nn.functional.normalize(signals(6, *embeddings.shape), dim=-1)
    v, loudness = embeddings.view(-1, 6), weights.sum(1).flatten()
    y = (weights[0] > 0).float().view(2, -1).T
    difference = (v @ v.T - y @ y.T) * (loudness[:, None] * loudness).sqrt()
    wanted = difference.square().sum() / loudness.sum() ** 2
    assert affinity_loss(embeddings, weights).item() == pytest.approx(wanted.item(), rel=1e-4)


def test_clustering_loss_falls_as_embeddings_part():
    embeddings, weights = clustered(2)
    noise = signals(5, *embeddings.shape)
    losses = []
    for amount in (2.0, 1.0, 0.5, 0.1):
        mixed = torch.nn.functional.normalize(embeddings + amount * noise, dim=-1)
        losses.append(affinity_loss(mixed, weights).item())
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.2


def test_a_silent_voice_must_be_silent():
    target = torch.stack([signals(7, 1, 4000), torch.zeros(1, 4000)], 1)
    mixture = target.sum(1)
    leaks = []
    for leak in (0.5, 0.1, 0.01):
        estimate = torch.stack([(1 - leak) * mixture, leak * mixture], 1)
        leaks.append(pit_loss(estimate, target, mixture).item())
    assert leaks == sorted(leaks, reverse=True)
    # The mean of what the voice and what silence can earn; a leak of 1 % is not quite silence.
    assert leaks[-1] == pytest.approx(-(CLAMP_DB + QUIET_DB) / 2, abs=2)
    assert pit_loss(estimate.flip(1), target, mixture).item() == pytest.approx(leaks[-1], abs=DB)


def test_faithfulness_is_how_far_the_error_stays_below_the_mixture():
    mixture = signals(8, 1, 4000)
    for target in (torch.zeros_like(mixture), 0.3 * mixture):
        found = faithfulness(target + 0.1 * mixture, target, mixture).item()
        assert found == pytest.approx(20, abs=0.1)
    assert faithfulness(target, target, mixture).item() == pytest.approx(QUIET_DB, abs=DB)
