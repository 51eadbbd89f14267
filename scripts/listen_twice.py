"""Makes of weights for voices a network that listens twice, to be trained on.

    python scripts/listen_twice.py pit.safetensors --out start.safetensors

The second pass begins as a copy of the first, deaf to what that made of the mixture: the masks are the same.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from torch.nn import functional

from separators.neural import weights
from separators.neural.network import BINS, Network


def main() -> None:
    """Reads the file, writes the weights of both passes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    weights.save(listening_twice(weights.load(options.file)), options.out, weights.notes(options.file))


def listening_twice(first: Network) -> Network:
    """A network of two passes that gives the masks of ``first``, which has one."""
    network = Network(replace(first.architecture, passes=2))
    known = first.state_dict()
    state = {name: known[name].clone() for name in network.state_dict() if name in known}
    heard = len(known["feature_mean"])
    more = len(network.feature_mean) - heard
    for name in ("feature_mean", "feature_std"):  # parts of a mixture are scaled as the mixture is
        state[name] = torch.cat([known[name], known[name][:BINS].repeat(more // BINS, 1)])
    state["inputs.weight"] = functional.pad(known["inputs.weight"], (0, 0, 0, more))
    network.load_state_dict(state | {f"first.{name}": value for name, value in known.items()})
    return network.eval()


if __name__ == "__main__":
    main()
