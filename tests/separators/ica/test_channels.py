"""Whose source is whose: for stereo without scipy, with the same answer."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from separators.ica.channels import nearest_channels


def test_two_sources_find_their_channels_as_more_do():
    random = np.random.default_rng(0)
    for strength in [*random.uniform(size=(200, 2, 2)), np.zeros((2, 2)), np.eye(2), np.eye(2)[::-1]]:
        wanted = linear_sum_assignment(-np.log(np.maximum(strength, np.finfo(float).tiny)).T)[1]
        assert nearest_channels(strength).tolist() == wanted.tolist()
    assert nearest_channels(np.eye(3)[[2, 0, 1]]).tolist() == [1, 2, 0]
