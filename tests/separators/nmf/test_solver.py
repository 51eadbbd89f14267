import numpy as np
import pytest

from separators.nmf import solver
from separators.nmf.solver import (
    Prior,
    activations,
    background_of,
    divergence,
    factorize,
    minimize,
    random_start,
    update,
)

BETAS = (0, 1, 2)
FLOAT32 = 2e-4  # relative, after some ten updates in float32
NEAR_BEST = 0.02  # relative, after the fixed number of updates of activations
FOUND = 1e-4  # relative divergence of an exact factorization


def low_rank(frames=90, bins=70, components=3, seed=0):
    """A spectrogram with sparse activations, so that its factors are unique up to scale and order."""
    random = np.random.default_rng(seed)
    W = random.exponential(size=(components, bins)) * (random.random((components, bins)) < 0.4)
    H = random.exponential(size=(frames, components)) * (random.random((frames, components)) < 0.5)
    return (H @ W + 1e-3).astype(np.float32), H, W


def noise(frames=300, bins=65, seed=1):
    return np.random.default_rng(seed).exponential(size=(frames, bins)).astype(np.float32) + np.float32(1e-3)


def textbook_divergence(V, H, W, beta):
    V, M = V.astype(float), H.astype(float) @ W.astype(float)
    if beta == 0:
        return np.sum(V / M - np.log(V / M) - 1)
    if beta == 1:
        return np.sum(V * np.log(V / M) - V + M)
    return 0.5 * np.sum((V - M) ** 2)


def textbook_update(V, H, W, beta):
    """Févotte and Idier 2011, table 2, in float64; on whole matrices."""
    V = V.astype(float)
    exponent = 0.5 if beta == 0 else 1.0
    M = H @ W
    H = H * ((M ** (beta - 2.0) * V) @ W.T / (M ** (beta - 1.0) @ W.T)) ** exponent
    M = H @ W
    W = W * (H.T @ (M ** (beta - 2.0) * V) / (H.T @ M ** (beta - 1.0))) ** exponent
    return H, W


@pytest.mark.parametrize("beta", BETAS)
def test_updates_and_divergence_agree_with_the_textbook(beta, monkeypatch):
    monkeypatch.setattr(solver, "CHUNK_VALUES", 65 * 32)  # 300 frames are ten chunks, the last one short
    V = noise()
    H, W = random_start(V, 5, seed=3)
    exact_H, exact_W = H.astype(float), W.astype(float)
    assert divergence(V, H, W, beta) == pytest.approx(textbook_divergence(V, H, W, beta), rel=FLOAT32)
    for _ in range(20):
        H, W = update(V, H, W, beta, background_of(V))
        exact_H, exact_W = textbook_update(V, exact_H, exact_W, beta)
    assert H.dtype == W.dtype == np.float32
    np.testing.assert_allclose(H @ W, exact_H @ exact_W, rtol=20 * FLOAT32)
    expected = textbook_divergence(V, exact_H, exact_W, beta)
    assert divergence(V, H, W, beta) == pytest.approx(expected, rel=FLOAT32)


@pytest.mark.parametrize("beta", BETAS)
def test_chunks_do_not_change_the_update(beta, monkeypatch):
    V = noise()
    H, W = random_start(V, 5, seed=3)
    whole = update(V, H, W, beta, background_of(V))
    monkeypatch.setattr(solver, "CHUNK_VALUES", 1)  # one frame at a time
    for one, other in zip(whole, update(V, H, W, beta, background_of(V)), strict=True):
        np.testing.assert_allclose(one, other, rtol=FLOAT32)


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_objective_never_increases(beta, seed):
    V, *_ = low_rank(seed=seed)
    H, W = random_start(V, 6, seed)
    result = factorize(V, H, W, beta, iterations=300, tolerance=0)
    assert len(result.objectives) > 5
    assert np.all(np.diff(result.objectives) <= 0)
    background = background_of(V) if beta < 2 else 0
    assert divergence(V, result.H, result.W, beta, background) == pytest.approx(
        result.objectives[-1], rel=FLOAT32, abs=1e-6 * float(V.sum())
    )


def test_a_step_too_far_is_taken_back():
    """Minimises x by halving, which no extrapolation can spoil; a trap on the way stands for an
    extrapolation that led uphill."""
    visited = []

    def step(x):
        visited.append(float(x[0]))
        return (x * np.float32(0.5) if len(visited) != 10 else x * np.float32(1e6),)

    (x,), objectives = minimize(step, lambda x: float(x[0]), (np.ones(1, np.float32),), 40, tolerance=0)
    assert visited[10] == 1  # back at the last good state, the start
    assert objectives == sorted(objectives, reverse=True)
    assert x[0] == objectives[-1] <= 2.0**-30  # thirty steps counted


@pytest.mark.parametrize("beta", BETAS)
def test_extrapolation_needs_fewer_updates_than_plain_steps(beta):
    V = noise()
    H, W = start = random_start(V, 8, seed=0)
    for _ in range(100):
        H, W = update(V, H, W, beta, background_of(V))
    plain = divergence(V, H, W, beta, background_of(V))
    assert factorize(V, *start, beta, iterations=60, tolerance=0).objectives[-1] < plain


@pytest.mark.parametrize("beta", BETAS)
def test_an_exact_factorization_is_found(beta):
    V, _, true_W = low_rank()
    best = min(
        (factorize(V, *random_start(V, 4, seed), beta, iterations=3000, tolerance=0) for seed in range(3)),
        key=lambda result: result.objectives[-1],
    )
    scale = {0: V.size, 1: V.sum(), 2: np.square(V).sum()}[beta]
    assert best.objectives[-1] < FOUND * scale
    np.testing.assert_allclose(best.W.sum(axis=1), 1, rtol=1e-5)
    unit = best.W / np.linalg.norm(best.W, axis=1, keepdims=True)
    cosines = true_W / np.linalg.norm(true_W, axis=1, keepdims=True) @ unit.T
    assert cosines.max(axis=1).min() > 0.99  # every true template is among those found


def test_zeros_stay_zero():
    V = noise()
    H, W = random_start(V, 4, seed=0)
    H[50:100, 1] = 0
    W[2, 10:20] = 0
    result = factorize(V, H, W, iterations=50)
    assert not result.H[50:100, 1].any()
    assert not result.W[2, 10:20].any()
    assert np.isfinite(result.H).all()
    assert np.isfinite(result.W).all()


@pytest.mark.parametrize("beta", [1, 2])
def test_silent_frames_have_silent_activations(beta):
    V = noise()
    V[100:150] = 0
    result = factorize(V, *random_start(V, 4, seed=0), beta, iterations=100, tolerance=0)
    assert np.isfinite(result.W).all()
    assert result.H[100:150].max() < 1e-6 * result.H.mean()
    assert np.isfinite(activations(V, result.W, beta, background_of(V))).all()


def test_activations_lean_on_what_is_expected_the_more_the_heavier_the_prior():
    V, _, W = low_rank()
    W = (W / W.sum(axis=1, keepdims=True)).astype(np.float32)
    expected = noise(90, len(W))
    found = [
        activations(V, W, 1, background_of(V), prior=Prior(expected, weight)) for weight in (0, 0.5, 1e4)
    ]
    distances = [np.linalg.norm(h - expected) for h in found]
    assert distances[0] > 1.2 * distances[1] > 1e2 * distances[2]
    plain = activations(V, W, 1, background_of(V))
    assert np.linalg.norm(found[0] - plain) < 0.01 * np.linalg.norm(plain)


@pytest.mark.parametrize("beta", BETAS)
def test_activations_for_given_templates_are_near_the_best(beta):
    V = low_rank()[0] * noise(90, 70)
    W = factorize(V, *random_start(V, 4, seed=0), beta).W
    found = activations(V, W, beta, background_of(V))
    best = np.ones((90, 4))
    for _ in range(2000):
        best, _ = textbook_update(V, best, W.astype(float), beta)
    limit = textbook_divergence(V, best, W, beta)
    assert divergence(V, found, W, beta) == pytest.approx(limit, rel=NEAR_BEST)


@pytest.mark.parametrize("beta", BETAS)
def test_activations_of_a_part_are_the_part_of_the_activations(beta):
    V = noise()
    W = random_start(V, 6, seed=0)[1]
    W /= W.sum(axis=1, keepdims=True)
    whole = activations(V, W, beta, 1e-6)
    np.testing.assert_allclose(activations(V[120:200], W, beta, 1e-6), whole[120:200], rtol=1e-3, atol=1e-6)


def test_the_same_seed_gives_the_same_factors():
    V = noise()
    first, again = (factorize(V, *random_start(V, 5, seed=7), iterations=20) for _ in range(2))
    np.testing.assert_array_equal(first.H, again.H)
    np.testing.assert_array_equal(first.W, again.W)
    other = factorize(V, *random_start(V, 5, seed=8), iterations=20)
    assert not np.allclose(first.W, other.W)


@pytest.mark.parametrize("gain", [1e-4, 1e4])
def test_a_gain_on_the_spectrogram_is_a_gain_on_the_activations(gain):
    V = noise()
    quiet = factorize(V, *random_start(V, 5, seed=0), iterations=30)
    loud = factorize(V * np.float32(gain), *random_start(V * np.float32(gain), 5, seed=0), iterations=30)
    np.testing.assert_allclose(loud.W, quiet.W, rtol=0.01, atol=1e-6)
    np.testing.assert_allclose(loud.H, quiet.H * gain, rtol=0.01, atol=1e-5 * gain)


def test_a_tolerance_ends_early():
    V, *_ = low_rank()
    start = random_start(V, 4, seed=0)
    patient = factorize(V, *start, iterations=500, tolerance=0)
    hasty = factorize(V, *start, iterations=500, tolerance=0.05)
    assert len(hasty.objectives) < len(patient.objectives)
    last, before = hasty.objectives[-1], hasty.objectives[-2]
    assert before - last < 0.05 * before
