import numpy as np
import pytest

from separators import NMF
from separators.evaluation import si_sdr
from separators.nmf.panning import factorize_panned, spread
from separators.nmf.solver import divergence, random_start

RATE = 16000
LOWERED = 0.2
"""The objective falls to this part of its start on matrices that have the form of the model."""


def model_of_panned_sounds(channels=2, components=3, frames=60, bins=40, seed=0):
    random = np.random.default_rng(seed)
    W = random.random((components, bins)) ** 4
    Q = random.random((components, channels)) ** 2
    H = random.random((frames, components)) ** 4
    return (H @ spread(W, Q) + 1e-4).astype(np.float32)


@pytest.mark.parametrize("sparsity", [0.0, 0.05])
@pytest.mark.parametrize("beta", [0, 1, 2])
def test_the_objective_never_increases_and_the_form_is_kept(beta, sparsity):
    V = model_of_panned_sounds()
    H, W = random_start(V, 3, 0)
    H, W, Q, objectives = factorize_panned(V, H, W[:, :40], 2, beta, 100, 0.0, sparsity)
    assert (np.diff(objectives) <= 0).all()
    assert objectives[-1] < objectives[0]
    for sums in (W.sum(axis=1), Q.sum(axis=1)):
        assert (np.isclose(sums, 1, rtol=1e-4) | (sparsity > 0) & (sums == 0)).all()
    if not sparsity:
        assert divergence(V, H, spread(W, Q), beta, 1e-9) < LOWERED * objectives[0]


def test_given_templates_keep_their_shape_and_get_gains():
    V = model_of_panned_sounds(components=2)
    random = np.random.default_rng(3)
    given = random.random((2, 40)).astype(np.float32)
    given /= given.sum(axis=1, keepdims=True)
    H = np.ones((60, 2), np.float32)
    _, W, Q, _ = factorize_panned(V, H, given[:0], 2, 1, 30, 0.0, given=given)
    np.testing.assert_allclose(W, given, rtol=1e-5)
    assert np.ptp(Q, axis=1).max() > 0.01


def test_sounds_of_the_same_spectrum_at_different_places_come_apart():
    """Two noises whose spectra are the same: only where they are tells them apart."""
    random = np.random.default_rng(0)
    time = np.arange(3 * RATE) / RATE
    envelopes = np.exp(-8 * (time % 0.5)), np.exp(-8 * ((time + 0.21) % 0.37))
    left, right = (envelope * random.standard_normal(len(time)) for envelope in envelopes)
    sources = np.stack([np.outer((0.95, 0.05), left), np.outer((0.05, 0.95), right)]).astype(np.float32)
    stems = NMF(stems=2, components=4, channels="panned").separate(sources.sum(axis=0), RATE).array
    scores = [
        np.mean([si_sdr(source, stem) for source, stem in zip(sources, order, strict=True)])
        for order in (stems, stems[::-1])
    ]
    assert max(scores) > 15
