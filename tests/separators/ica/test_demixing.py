"""The steps of IVA and ILRMA, on random spectra."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from separators.ica import demixing, ilrma, iva, permutation
from separators.ica.demixing import (
    PairProducts,
    covariances,
    iterative_projection,
    iterative_source_steering,
    pair_products,
    power_coefficients,
    whitening,
)

ROUNDING = 1e-4
"""float32 products of numbers around 1, some hundred of them."""


def spectra(bins=6, channels=3, frames=200, seed=0):
    """Mixed spectra whose sources come and go together in all bins."""
    rng = np.random.default_rng(seed)
    unmixed = sounds(bins, channels, frames, rng)
    return (matrices(bins, channels, rng) @ unmixed).astype(np.complex64)


def sounds(bins, channels, frames, rng):
    """The sources before they are mixed."""
    levels = rng.random((1, channels, frames)) ** 4
    noise = rng.standard_normal((2, bins, channels, frames))
    return levels * (noise[0] + 1j * noise[1])


def matrices(bins, channels, rng):
    parts = rng.standard_normal((2, bins, channels, channels))
    return np.eye(channels) + 0.5 * (parts[0] + 1j * parts[1])


def weighted(x, channels, seed=1):
    """Covariances of ``x`` for random weights of every source."""
    weights = np.random.default_rng(seed).random((x.shape[2], channels)).astype(np.float32) / x.shape[2]
    return covariances(pair_products(x) @ weights), weights


def loss(matrix, weighted_covariances):
    """The auxiliary function that IP and ISS lower."""
    quadratic = np.einsum("bsc,bscd,bsd->", matrix, weighted_covariances, matrix.conj()).real
    return quadratic - 2 * np.linalg.slogdet(matrix)[1].sum()


@settings(max_examples=25, deadline=None)
@given(channels=st.integers(1, 5), seed=st.integers(0, 2**32 - 1))
def test_powers_and_covariances_are_linear_in_the_pair_products(channels, seed):
    x = spectra(channels=channels, seed=seed)
    matrix = matrices(len(x), channels, np.random.default_rng(seed))
    expected = np.abs(matrix @ x) ** 2
    powers = power_coefficients(matrix) @ pair_products(x)
    np.testing.assert_allclose(powers, expected, atol=ROUNDING * expected.max())
    found, weights = weighted(x, channels)
    direct = np.einsum("bct,ts,bdt->bscd", x, weights, x.conj())
    np.testing.assert_allclose(found, direct, atol=ROUNDING * np.abs(direct).max())


def test_white_spectra_are_white():
    x = spectra()
    white = whitening(x) @ x
    power = white @ white.conj().swapaxes(1, 2) / x.shape[2]
    np.testing.assert_allclose(power, np.broadcast_to(np.eye(3), power.shape), atol=1e-3)


def test_empty_bins_are_not_lifted_to_the_level_of_the_others():
    x = spectra()
    x[2] = 0.0
    x[3] *= 1e-9
    lifted = whitening(x)
    assert np.isfinite(lifted).all()
    assert np.abs(lifted[3] @ x[3]).max() < 1e-2


@pytest.mark.parametrize("update", [iterative_projection, iterative_source_steering])
@pytest.mark.parametrize("channels", [2, 3, 5])
def test_every_update_lowers_the_loss(update, channels):
    x = spectra(channels=channels)
    matrix = matrices(len(x), channels, np.random.default_rng(2))
    found, _ = weighted(x, channels)
    losses = [loss(matrix, found)]
    for _ in range(10):
        update(matrix, found)
        losses.append(loss(matrix, found))
    assert all(after <= before + 1e-9 for before, after in pairwise(losses))
    assert losses[-1] < losses[0] - 0.1


@pytest.mark.parametrize("update", [iterative_projection, iterative_source_steering])
def test_updates_settle_where_sources_are_uncorrelated_under_the_others_weights(update):
    x = spectra(channels=2)
    matrix = matrices(len(x), 2, np.random.default_rng(2))
    found, _ = weighted(x, 2)
    for _ in range(200):
        update(matrix, found)
    for source in range(2):
        turned = matrix @ found[:, source] @ matrix.conj().swapaxes(1, 2)
        np.testing.assert_allclose(turned[:, source, source], 1.0, atol=1e-6)
        np.testing.assert_allclose(turned[:, source, 1 - source], 0.0, atol=1e-6)


def test_products_made_chunk_by_chunk_are_those_kept(monkeypatch):
    x = spectra(bins=50)
    start = np.tile(np.eye(3, dtype=np.complex128), (50, 1, 1))
    kept = PairProducts(x)
    assert len(list(kept.chunks())) == 1
    monkeypatch.setattr(demixing, "STORED", 0)
    monkeypatch.setattr(demixing, "CHUNK", 8 * 9 * 200)
    made = PairProducts(x)
    assert [bins.start for bins, _ in made.chunks()] == list(range(0, 50, 8))
    for method in (lambda p: iva.auxiva(p, start, 4), lambda p: ilrma.ilrma(p, start, 4, 3, seed=0)):
        np.testing.assert_allclose(method(made), method(kept), rtol=1e-2, atol=1e-2)


def test_iva_finds_the_sources_in_the_same_order_in_every_bin():
    x = spectra(bins=40, channels=2, frames=600)
    white = whitening(x)
    found = iva.auxiva(PairProducts((white @ x).astype(np.complex64)), np.linalg.inv(white), 30) @ white
    envelopes = np.abs(found @ x)
    envelopes /= np.linalg.norm(envelopes, axis=2, keepdims=True)
    alike = np.einsum("bst,cut->subc", envelopes, envelopes)
    assert alike[0, 0].min() > 1.5 * alike[0, 1].max()


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_sources_exchanged_in_some_bins_get_their_order_back(channels):
    rng = np.random.default_rng(5)
    mixing = matrices(60, channels, rng)
    products = PairProducts((mixing @ sounds(60, channels, 600, rng)).astype(np.complex64))
    true = np.linalg.inv(mixing)
    exchanged = true.copy()
    for number in rng.choice(60, 20, replace=False):
        exchanged[number] = true[number, rng.permutation(channels)]
    np.testing.assert_array_equal(permutation.align(products, exchanged), true)
    np.testing.assert_array_equal(permutation.align(products, true), true)


def test_bins_that_are_like_their_neighbours_only_get_one_order():
    rng = np.random.default_rng(0)
    band, others = np.r_[170:180], np.r_[:170, 180:200]
    spectrum = rng.standard_normal((200, 2, 400)) + 0j
    spectrum[others, :, :200] = sounds(190, 2, 200, rng)
    spectrum[band, :, 200:] = sounds(10, 2, 200, rng)
    true = np.tile(np.eye(2, dtype=np.complex128), (200, 1, 1))
    exchanged = true.copy()
    exchanged[band[::2]] = true[0, ::-1]
    found = permutation.align(PairProducts(spectrum.astype(np.complex64)), exchanged)
    assert (found[band] == found[band[0]]).all()
    assert (found[others] == true[others]).all()


def test_a_silent_bin_is_left_as_it_is():
    rng = np.random.default_rng(0)
    spectrum = sounds(30, 2, 300, rng)
    spectrum[7] = 0.0
    true = np.tile(np.eye(2, dtype=np.complex128), (30, 1, 1))
    found = permutation.align(PairProducts(spectrum.astype(np.complex64)), true)
    np.testing.assert_array_equal(found, true)


def test_ilrma_repeats_by_seed_and_keeps_mean_power():
    x = spectra(bins=20, channels=2)
    start = np.tile(np.eye(2, dtype=np.complex128), (20, 1, 1))
    products = PairProducts(x)
    one, again, other = (ilrma.ilrma(products, start, 5, 2, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    np.testing.assert_allclose(np.mean(np.abs(one @ x) ** 2, axis=(0, 2)), 1.0, rtol=1e-3)
