import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from separators.training.muon import RMS, Muon, orthogonal

SINGULAR_RANGE = (0.6, 1.25)
"""The quintic iteration brings singular values into about 0.7 to 1.2, and those near zero nearly as far."""


@given(
    rows=st.integers(2, 24), columns=st.integers(2, 24), taps=st.sampled_from([1, 3]), seed=st.integers(0, 99)
)
def test_a_step_has_singular_values_near_one(rows, columns, taps, seed):
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(rows, columns, taps, generator=generator)
    step = orthogonal(matrix)
    assert step.shape == matrix.shape
    flat = step.flatten(1) / (RMS * max(step.flatten(1).shape) ** 0.5)
    before = torch.linalg.svdvals(matrix.flatten(1))
    after = torch.linalg.svdvals(flat)
    well_conditioned = before / before.norm() > 0.05
    assert float(after.max()) < SINGULAR_RANGE[1]
    assert float(after[: int(well_conditioned.sum())].min()) > SINGULAR_RANGE[0]


def test_steps_do_not_depend_on_the_gradient_s_size():
    matrix = torch.randn(6, 9, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(orthogonal(matrix), orthogonal(1000 * matrix), atol=1e-5)
    assert torch.equal(orthogonal(torch.zeros(4, 4)), torch.zeros(4, 4))


def test_a_step_is_as_large_as_the_learning_rate_says():
    weight = nn.Parameter(torch.zeros(32, 64))
    optimizer = Muon([weight], lr=0.01)
    weight.grad = torch.randn(32, 64, generator=torch.Generator().manual_seed(1))
    optimizer.step()
    rms = float(weight.detach().square().mean().sqrt())
    assert rms == pytest.approx(0.01 * RMS, rel=0.2)


def test_it_learns_a_map_whose_directions_differ_in_strength():
    """Where plain gradient descent crawls along the weak directions."""
    generator = torch.Generator().manual_seed(2)
    strengths = torch.logspace(0, -2, 16)
    inputs = torch.randn(256, 16, generator=generator) * strengths
    true = torch.randn(8, 16, generator=generator)

    def error_after(optimizer_of):
        weight = nn.Parameter(torch.zeros(8, 16))
        optimizer = optimizer_of([weight])
        for step in range(200):
            for group in optimizer.param_groups:
                group["lr"] = 0.2 * (1 - step / 200)
            optimizer.zero_grad()
            (inputs @ weight.T - inputs @ true.T).square().mean().backward()
            optimizer.step()
        return float((weight.detach() - true).norm() / true.norm())

    assert error_after(lambda p: Muon(p, lr=0.2)) < 0.5 * error_after(lambda p: torch.optim.SGD(p, lr=0.2))


class Half:
    """One of a team of two that gets the other's steps from a list instead of from another process."""

    def __init__(self, number, other=None):
        self.number, self.size, self.other = number, 2, other
        self.sent = []

    def add(self, tensors):
        self.sent = [tensor.clone() for tensor in tensors]
        for tensor, further in zip(tensors, self.other.sent if self.other else [], strict=bool(self.other)):
            tensor.add_(further)


def test_a_team_makes_the_steps_that_one_would_make():
    generator = torch.Generator().manual_seed(3)
    start = [torch.randn(5, 7, generator=generator) for _ in range(3)]
    gradients = [torch.randn(5, 7, generator=generator) for _ in range(3)]

    def after_a_step(team):
        weights = [nn.Parameter(value.clone()) for value in start]
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient.clone()
        Muon(weights, lr=0.1, team=team).step()
        return weights

    first = Half(0)
    after_a_step(first)
    together = after_a_step(Half(1, first))
    for alone, shared in zip(after_a_step(None), together, strict=True):
        assert torch.allclose(alone, shared, atol=1e-6)


def test_weights_decay_by_the_learning_rate():
    weight = nn.Parameter(torch.ones(4, 4))
    weight.grad = torch.zeros(4, 4)
    Muon([weight], lr=0.1, weight_decay=0.5).step()
    assert math.isclose(float(weight.detach().mean()), 0.95, rel_tol=1e-6)
