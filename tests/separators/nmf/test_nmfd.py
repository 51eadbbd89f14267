import numpy as np
import pytest

from separators.nmf import solver
from separators.nmf.nmfd import event_divergence, event_models, events, factorize_events, level_start
from separators.nmf.solver import background_of

BETAS = (0, 1, 2)
FLOAT32 = 2e-4
LENGTH = 5


def sparse_events(frames=120, bins=40, seed=0):
    """Two sounds that decay, struck now and then; ``V``, ``H`` and ``W``."""
    random = np.random.default_rng(seed)
    W = random.exponential(size=(2, LENGTH, bins)) * np.exp(-np.arange(LENGTH))[:, None]
    H = random.exponential(size=(frames + LENGTH - 1, 2)) * (random.random((frames + LENGTH - 1, 2)) < 0.15)
    W, H = W.astype(np.float32), H.astype(np.float32)
    return textbook_model(H, W).astype(np.float32) + np.float32(1e-3), H, W


def textbook_model(H, W):
    """Every event adds its sound, from its own frame on; in float64."""
    frames = len(H) - LENGTH + 1
    V = np.zeros((frames, W.shape[2]))
    for row, component in np.argwhere(H):
        for delay in range(LENGTH):
            frame = row - (LENGTH - 1) + delay
            if 0 <= frame < frames:
                V[frame] += float(H[row, component]) * W[component, delay]
    return V


def textbook_step(V, H, W, beta):
    """Multiplicative updates from the gradient's two parts, term by term."""
    exponent = 0.5 if beta == 0 else 1.0
    frames = len(V)

    def parts(M):
        return M ** (beta - 2.0) * V, M ** (beta - 1.0)

    up, down = parts(textbook_model(H, W))
    new_H = H.copy()
    for row, component in np.ndindex(H.shape):
        at = [(row - LENGTH + 1 + d, d) for d in range(LENGTH) if 0 <= row - LENGTH + 1 + d < frames]
        quotient = sum(up[f] @ W[component, d] for f, d in at) / sum(down[f] @ W[component, d] for f, d in at)
        new_H[row, component] *= quotient**exponent
    up, down = parts(textbook_model(new_H, W))
    new_W = W.copy()
    for component in range(W.shape[0]):
        for delay in range(LENGTH):
            h = new_H[LENGTH - 1 - delay : LENGTH - 1 - delay + frames, component]
            new_W[component, delay] *= (h @ up / (h @ down)) ** exponent
    return new_H, new_W


@pytest.mark.parametrize("beta", BETAS)
def test_a_step_agrees_with_the_textbook(beta, monkeypatch):
    monkeypatch.setattr(solver, "CHUNK_VALUES", 40 * 32)  # several chunks, the last one short
    monkeypatch.setattr("separators.nmf.nmfd.START_UPDATES", 0)
    V, _, W = sparse_events()
    start = np.random.default_rng(1).exponential(size=W.shape).astype(np.float32)
    start /= start.sum(axis=(1, 2), keepdims=True)
    result = factorize_events(V, start, beta, 1e-9, iterations=1)  # the only one is free
    H, W = textbook_step(V.astype(float), level_start(V, start).astype(float), start.astype(float), beta)
    weights = W.sum(axis=(1, 2))
    np.testing.assert_allclose(result.H, H * weights, rtol=FLOAT32)
    np.testing.assert_allclose(result.W, W / weights[:, None, None], rtol=FLOAT32)


def test_models_are_what_each_sound_adds():
    V, H, W = sparse_events()
    models = event_models(H, W)
    assert models.shape == (2, *V.shape)
    np.testing.assert_allclose(models.sum(axis=0), textbook_model(H, W), rtol=FLOAT32, atol=1e-6)
    alone = H * np.array([1, 0], np.float32)
    np.testing.assert_allclose(models[0], textbook_model(alone, W), rtol=FLOAT32, atol=1e-6)


@pytest.mark.parametrize("beta", BETAS)
def test_learning_brings_the_objective_down(beta):
    V, _, W = sparse_events(seed=3)
    start = W * np.random.default_rng(1).uniform(0.3, 3, W.shape).astype(np.float32)
    background = background_of(V)
    result = factorize_events(V, start, beta, background, iterations=60)
    assert len(result.objectives) == 61
    assert result.objectives[-1] < 0.1 * result.objectives[0]
    assert result.objectives[-1] == pytest.approx(
        event_divergence(V, result.H, result.W, beta, background), rel=FLOAT32
    )


@pytest.mark.parametrize(("hold", "moved"), [(0, False), (4, True)])
def test_templates_are_held_at_first_and_free_at_last(hold, moved, monkeypatch):
    monkeypatch.setattr("separators.nmf.nmfd.HOLD", hold)  # 0 holds them to the end
    V, _, W = sparse_events(seed=3)
    start = W * np.random.default_rng(1).uniform(0.3, 3, W.shape).astype(np.float32)
    found = factorize_events(V, start, 1, background_of(V), iterations=10).W
    shapes = [one / one.sum(axis=(1, 2), keepdims=True) for one in (start, found)]
    assert (np.abs(shapes[0] - shapes[1]).sum() > 0.1) == moved


def test_struck_sounds_are_learned_from_a_rough_idea_of_them():
    V, H, W = sparse_events(frames=300)
    rough = W * np.random.default_rng(1).uniform(0.3, 3, W.shape).astype(np.float32)
    result = factorize_events(V, rough, 1, background_of(V), iterations=500)
    for component in range(2):
        true, found = W[component].ravel(), result.W[component].ravel()
        assert true @ found / np.linalg.norm(true) / np.linalg.norm(found) > 0.98
        assert np.corrcoef(H[:, component], result.H[:, component])[0, 1] > 0.9


@pytest.mark.parametrize("beta", BETAS)
def test_events_for_given_sounds_explain_the_spectrogram(beta):
    V, _, W = sparse_events()
    H = events(V, W, beta, background_of(V))
    start = event_divergence(V, level_start(V, W), W, beta, 1e-3)
    assert event_divergence(V, H, W, beta, 1e-3) < 0.2 * start


def test_a_sound_that_began_before_the_first_frame_is_explained():
    _, _, W = sparse_events()
    H = np.zeros((20 + LENGTH - 1, 2), np.float32)
    H[LENGTH - 3, 0] = 1  # struck two frames before the first
    V = textbook_model(H, W).astype(np.float32)
    assert V[0].any()
    found = events(V, W, 1, 1e-9)
    share = event_models(found, W)[0][:3].sum() / V[:3].sum()
    assert share == pytest.approx(1, abs=0.05)


def test_silence_has_no_events():
    V, _, W = sparse_events()
    V[40:80] = 0
    H = events(V, W, 1, 1e-6)
    assert np.isfinite(H).all()
    assert not H[40 + LENGTH - 1 : 80 - LENGTH].any()
