"""Muon (Jordan et al. 2024): steps whose matrices are made orthogonal, so that no direction is left behind.

Networks learn in fewer steps than with Adam. The step of each matrix is its momentum with all
singular values brought near one by a Newton-Schulz iteration, scaled to the size of Adam's steps
(Liu et al. 2025).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from separators.neural.precision import bfloat16_is_fast
from separators.training.team import Team

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic polynomial; steep at zero, so that few iterations are enough."""
ITERATIONS = 5
RMS = 0.4
"""Size of a step in units of the learning rate, root mean square over its numbers."""


class Muon(torch.optim.Optimizer):
    """Optimizes weights of two or more axes, the first one against all others."""

    def __init__(
        self,
        parameters: Iterable[Tensor],
        *,
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        team: Team | None = None,
    ) -> None:
        """With ``team``, whose gradients must be the same, each member works out its share of the steps."""
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.team = team

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One step from the gradients at hand."""
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            momenta = []
            for weight in weights:
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                state["momentum"].lerp_(weight.grad, 1 - group["momentum"])
                momenta.append(weight.grad.lerp(state["momentum"], group["momentum"]))  # Nesterov's
            steps = self._share(momenta)
            for weight, step in zip(weights, steps, strict=True):
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.sub_(step, alpha=group["lr"])

    def _share(self, momenta: list[Tensor]) -> list[Tensor]:
        """The orthogonal steps, each worked out by one member of the team."""
        if self.team is None:
            return [orthogonal(momentum) for momentum in momenta]
        mine, size = self.team.number, self.team.size
        steps = [
            orthogonal(momentum) if index % size == mine else torch.zeros_like(momentum)
            for index, momentum in enumerate(momenta)
        ]
        self.team.add(steps)
        return steps


def orthogonal(matrix: Tensor) -> Tensor:
    """``matrix``, flattened to two axes, with singular values near one and an RMS of about :data:`RMS`.

    Worked out in bfloat16 where the processor is fast with it: the iteration heals its own rounding errors.
    """
    rows = matrix.flatten(1)
    x = rows / (rows.norm() + 1e-12)
    if bfloat16_is_fast(matrix.device):
        x = x.bfloat16()
    wide = x if x.shape[0] <= x.shape[1] else x.T
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        gram = wide @ wide.T
        wide = a * wide + (b * gram + c * gram @ gram) @ wide
    x = wide if x.shape[0] <= x.shape[1] else wide.T
    scaled: Tensor = RMS * max(x.shape) ** 0.5 * x.to(matrix.dtype)
    return scaled.view_as(matrix)
