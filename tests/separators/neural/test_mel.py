"""Mel bands: they add up to one, and a tone is loudest in one band."""

import numpy as np
import pytest

from separators.neural.mel import triangles


@pytest.mark.parametrize(("rate", "window", "bands"), [(16_000, 512, 40), (44_100, 4096, 64)])
def test_bands_share_the_spectrum(rate, window, bands):
    filters = triangles(rate, window, bands, 60.0, 7000.0)
    assert filters.shape == (bands, window // 2 + 1)
    assert filters.min() >= 0
    hertz = np.fft.rfftfreq(window, 1 / rate)
    peaks = hertz[filters.argmax(1)]
    assert (np.diff(peaks) >= 0).all()
    between = (hertz > peaks[0] + rate / window) & (hertz < peaks[-1] - rate / window)
    np.testing.assert_allclose(filters[:, between].sum(0), 1, atol=1e-12)
    assert (filters[:, (hertz < 60) | (hertz > 7000)] == 0).all()
