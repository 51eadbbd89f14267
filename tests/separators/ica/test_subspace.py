"""Independent subspace analysis: independent components, dependent groups, stems that keep promises."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from separators import ICA
from separators.errors import ParameterError, SeparatorWarning
from separators.evaluation import si_sdr
from separators.ica.subspace import (
    Settings,
    from_dark_to_bright,
    group,
    independent_components,
    mutual_information,
)

RATE = 8000
SUM_DB = -120.0
BETTER_DB = 8.0
"""What must be gained over the mixture where sources share no frequency."""
SAME_SHAPE = 0.98
"""Least correlation of an activation that was found with the true one."""
ROUNDING = 1e-5


def settings(sources=3, components=30, seed=0):
    return Settings(sources, components, 200, 1e-5, 0, seed)


def instruments(seconds=60.0, seed=0):
    """Three instruments ``(3, frames)``, dark to bright, of two notes each that share the player's pauses."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE

    def level(values):
        return np.interp(t, np.linspace(0, seconds, len(values)), values)

    out = []
    for pitches in ((150, 260), (700, 1130), (2300, 3400)):
        plays = level((rng.random(int(seconds)) < 0.5).repeat(4))
        notes = [level(rng.random(int(8 * seconds)) ** 2) * np.sin(2 * np.pi * p * t) for p in pitches]
        out.append(plays * sum(notes))
    return np.array([one / one.std() for one in out], np.float32)


def difference_db(one, other):
    return 20 * np.log10(np.linalg.norm(one - other) / np.linalg.norm(other) + 1e-30)


def test_one_microphone_gives_more_sources_than_channels_from_dark_to_bright():
    sources = instruments()
    mixture = sources.sum(axis=0, keepdims=True)
    stems = ICA(model="subspace").separate(mixture, RATE)
    assert list(stems) == ["source-1", "source-2", "source-3"]
    for source, stem in zip(sources, stems.values(), strict=True):
        assert si_sdr(source, stem[0]) > si_sdr(source, mixture[0]) + BETTER_DB
    assert difference_db(stems.array.sum(axis=0), mixture) < SUM_DB


def test_a_mono_file_in_stereo_is_served_and_every_stem_keeps_its_place():
    mono = instruments(seconds=10.0).sum(axis=0)
    mixture = np.stack([mono, -mono])
    stems = ICA(model="subspace").separate(mixture, RATE).array
    assert difference_db(stems[:, 1], -stems[:, 0]) < SUM_DB
    assert difference_db(stems[:, :1], ICA(model="subspace").separate(mono, RATE).array) < SUM_DB


def test_components_are_the_activations_that_made_the_spectrogram():
    rng = np.random.default_rng(1)
    activations = rng.exponential(size=(4000, 5)) ** 2
    spectra = rng.random((5, 60)) ** 3
    magnitude = (activations @ spectra).astype(np.float32)
    analysis, found = independent_components(magnitude, 5, settings())
    np.testing.assert_allclose(magnitude @ analysis @ found, magnitude, atol=1e-3 * magnitude.max())
    likeness = np.abs(np.corrcoef((magnitude @ analysis).T, activations.T))[:5, 5:]
    rows, columns = linear_sum_assignment(-likeness)
    assert likeness[rows, columns].min() > SAME_SHAPE


def test_no_more_components_are_found_than_the_spectrogram_varies_along():
    rng = np.random.default_rng(2)
    magnitude = (rng.exponential(size=(500, 3)) @ rng.random((3, 40))).astype(np.float32)
    analysis, spectra = independent_components(magnitude, 20, settings())
    assert analysis.shape == (40, 3)
    assert spectra.shape == (3, 40)


def test_components_that_are_switched_on_together_are_a_group():
    rng = np.random.default_rng(3)
    playing = np.repeat(rng.random((200, 3)) < 0.4, 10, axis=0)
    activations = (playing[:, [0, 1, 2, 0, 1, 2]] * rng.laplace(size=(2000, 6))).astype(np.float32)
    found = group(activations, 3)
    assert [found[k] == found[k + 3] for k in range(3)] == [True] * 3
    assert len(set(found)) == 3


def test_mutual_information_does_not_mind_level_or_shape():
    signals = np.random.default_rng(4).exponential(size=(5000, 3)).astype(np.float32)
    signals[:, 1] += signals[:, 0]
    expected = mutual_information(signals)
    np.testing.assert_allclose(mutual_information(7 * signals**2), expected, atol=ROUNDING)
    np.testing.assert_allclose(expected, expected.T, atol=ROUNDING)
    assert expected[0, 1] > 10 * expected[0, 2]


def test_groups_are_ordered_by_where_their_magnitude_lies():
    spectra = np.eye(6, dtype=np.float32)[[5, 1, 0, 4]]
    members = from_dark_to_bright(np.array([0, 1, 1, 0]), np.ones((10, 4), np.float32), spectra)
    assert [own.tolist() for own in members] == [[1, 2], [0, 3]]


def test_too_short_a_sample_warns_and_the_first_stem_holds_it():
    mixture = instruments(seconds=5.0)[:, :2000].sum(axis=0, keepdims=True)
    with pytest.warns(SeparatorWarning, match="too few for 3 sources"):
        stems = ICA(model="subspace").separate(mixture, RATE)
    assert difference_db(stems["source-1"], mixture) < SUM_DB
    assert difference_db(stems["source-3"] + mixture, mixture) < SUM_DB


def test_fewer_components_than_sources_are_refused():
    with pytest.raises(ParameterError, match=r"components must be at least sources \(5\), not 4"):
        ICA(model="subspace", sources=5, components=4)
