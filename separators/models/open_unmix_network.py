"""Open-Unmix: a recurrent network on magnitudes for each stem (Stöter, Uhlich, Liutkus, Mitsufuji 2019).

Three linear layers around three layers of LSTM. Sizes are read off the weights, whose names are those of the
original's state files.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional


class OpenUnmixNetwork(nn.Module):
    """Magnitudes ``(channels, bins, frames)`` of the mixture -> those of one stem."""

    def __init__(
        self, channels: int, bins: int, heard: int, hidden: int, layers: int, both_ways: bool
    ) -> None:
        """``heard``: how many of the ``bins`` the network looks at; the stem has all of them."""
        super().__init__()
        self.channels, self.bins, self.heard = channels, bins, heard
        width = hidden // 2 if both_ways else hidden
        self.fc1 = nn.Linear(channels * heard, hidden, bias=False)
        self.bn1 = nn.BatchNorm1d(hidden)
        self.lstm = nn.LSTM(hidden, width, layers, bidirectional=both_ways)
        self.fc2 = nn.Linear(2 * hidden, hidden, bias=False)
        self.bn2 = nn.BatchNorm1d(hidden)
        self.fc3 = nn.Linear(hidden, channels * bins, bias=False)
        self.bn3 = nn.BatchNorm1d(channels * bins)
        self.input_mean = nn.Parameter(torch.zeros(heard))
        self.input_scale = nn.Parameter(torch.ones(heard))
        self.output_mean = nn.Parameter(torch.ones(bins))
        self.output_scale = nn.Parameter(torch.ones(bins))

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> OpenUnmixNetwork:
        """The network with these weights, ready for inference.

        Raises KeyError, ValueError or RuntimeError if they are not those of an Open-Unmix.
        """
        heard, bins = len(state["input_mean"]), len(state["output_mean"])
        hidden = len(state["fc1.weight"])
        channels, rest = divmod(state["fc1.weight"].shape[1], heard)
        if rest or channels not in (1, 2) or not heard <= bins:
            raise ValueError(
                f"fc1 takes {state['fc1.weight'].shape[1]} numbers, not one or two times {heard} bins"
            )
        layers = sum(name.startswith("lstm.weight_ih") and not name.endswith("_reverse") for name in state)
        with torch.device("meta"):
            network = cls(channels, bins, heard, hidden, layers, "lstm.weight_ih_l0_reverse" in state)
        names = network.state_dict().keys()
        # Some files also hold the window of the transform.
        network.load_state_dict({name: state[name].float() for name in names}, assign=True)
        network.requires_grad_(False)
        return network.eval()

    def forward(self, magnitudes: Tensor) -> Tensor:
        """``(channels, bins, frames)``, not negative."""
        mixture = magnitudes.permute(2, 0, 1)
        frames = len(mixture)
        scaled = (mixture[..., : self.heard] + self.input_mean) * self.input_scale
        hidden = torch.tanh(self.bn1(self.fc1(scaled.reshape(frames, -1))))
        hidden = torch.cat([hidden, self.lstm(hidden[:, None])[0][:, 0]], 1)
        hidden = functional.relu(self.bn2(self.fc2(hidden)))
        gains = self.bn3(self.fc3(hidden)).reshape(frames, self.channels, self.bins)
        gains = functional.relu(gains * self.output_scale + self.output_mean)
        return (gains * mixture).permute(1, 2, 0)
