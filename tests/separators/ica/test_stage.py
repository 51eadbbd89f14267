import numpy as np

from separators.ica.demixing import PairProducts, whitening
from separators.ica.stage import better, likeness

BINS, FRAMES = 40, 300


def products_of(mixed):
    """Pair products of the white mixture of two sources with levels of their own, and what unmixes it."""
    rng = np.random.default_rng(0)
    levels = rng.random((1, 2, FRAMES)) ** 4
    noise = rng.standard_normal((BINS, 2, FRAMES)) + 1j * rng.standard_normal((BINS, 2, FRAMES))
    mixing = np.eye(2) + mixed * (rng.standard_normal((BINS, 2, 2)) + 1j * rng.standard_normal((BINS, 2, 2)))
    spectra = (mixing @ (levels * noise)).astype(np.complex64)
    white = whitening(spectra)
    return PairProducts(white.astype(np.complex64) @ spectra), np.linalg.inv(white @ mixing)


def test_sources_apart_are_less_alike_than_mixed_ones():
    products, unmixing = products_of(0.5)
    still_mixed = np.tile(np.eye(2, dtype=complex), (BINS, 1, 1))
    assert likeness(products, unmixing) < likeness(products, still_mixed) - 0.05
    assert np.isclose(likeness(products, 7 * unmixing), likeness(products, unmixing), atol=1e-4)


def test_the_second_stage_is_kept_only_where_it_tells_the_sources_apart():
    products, unmixing = products_of(0.5)
    still_mixed = np.tile(np.eye(2, dtype=complex), (BINS, 1, 1))
    assert better(products, still_mixed, unmixing) is unmixing
    assert better(products, unmixing, still_mixed) is unmixing
    assert better(products, unmixing, unmixing.copy()) is unmixing
