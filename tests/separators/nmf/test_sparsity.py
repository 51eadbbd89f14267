"""The penalty on activations: what it does, and that updates still go downhill."""

import numpy as np
import pytest

from separators.nmf.solver import activations, background_of, divergence, factorize, random_start, update

FLOAT32 = 1e-5
AUDIBLE = 0.01
"""Part of a frame's level from which on an activation counts."""


def overlapping(frames=60, bins=40, components=6, seed=0):
    """Frames of one template each, among templates that resemble each other."""
    random = np.random.default_rng(seed)
    W = (random.random((components, bins)) + 0.5).astype(np.float32)
    W /= W.sum(axis=1, keepdims=True)
    H = np.eye(components)[random.integers(components, size=frames)] * random.uniform(1, 5, (frames, 1))
    return (H @ W * random.uniform(0.7, 1.3, (frames, bins)) + 1e-4).astype(np.float32), W


@pytest.mark.parametrize("sparsity", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("beta", [0, 1, 2])
def test_no_update_increases_the_penalised_divergence(beta, sparsity):
    V, _ = overlapping()
    H, W = random_start(V, 6, 0)
    background = background_of(V)
    values = [divergence(V, H, W, beta, background, sparsity)]
    for _ in range(40):
        H, W = update(V, H, W, beta, background, sparsity)
        values.append(divergence(V, H, W, beta, background, sparsity))
    assert (np.diff(values) <= FLOAT32 * np.abs(values[:-1])).all()
    assert values[-1] < values[0]


@pytest.mark.parametrize("beta", [0, 1, 2])
def test_more_sparsity_leaves_fewer_activations(beta):
    V, W = overlapping()
    counts = []
    for sparsity in (0.0, 0.3, 3.0):
        H = activations(V, W, beta, background_of(V), sparsity)
        counts.append(int((AUDIBLE * V.sum(axis=1, keepdims=True) < H).sum()))
    assert counts[0] >= counts[1] >= counts[2]
    assert counts[0] > counts[2]


def test_the_penalty_is_a_square_root_of_shares():
    V, W = overlapping()
    H = np.random.default_rng(1).random((len(V), len(W))).astype(np.float32)
    plain, penalised = (divergence(V, H, W, 1, 1e-9, sparsity) for sparsity in (0.0, 0.3))
    level = V.sum(axis=1, keepdims=True).astype(float)
    expected = 0.3 * (level * np.sqrt(H * W.sum(axis=1) / level)).sum()
    assert penalised - plain == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("beta", [0, 1, 2])
def test_scaling_templates_against_activations_gains_nothing(beta):
    V, W = overlapping()
    H = np.random.default_rng(1).random((len(V), len(W))).astype(np.float32)
    values = [
        divergence(V, H / scale, W * scale, beta, 0.0, 0.2) for scale in (np.float32(1), np.float32(16))
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-5)


def test_given_templates_stay_and_the_others_learn():
    V, W = overlapping()
    H, free = random_start(V, 2, 0)
    H = np.concatenate([np.ones((len(V), 3), np.float32), H], axis=1)
    found = factorize(V, H, free, iterations=30, given=W[:3])
    np.testing.assert_allclose(found.W[:3], W[:3], rtol=1e-5)
    assert found.W.shape == (5, 40)
    assert found.objectives[-1] < found.objectives[0]


def test_silent_frames_are_no_trouble():
    V, W = overlapping()
    V[::2] = 0
    H = activations(V, W, 1, background_of(V), 0.5)
    assert np.isfinite(H).all()
    assert not H[::2].any()
