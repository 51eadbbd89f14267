"""Gives weights of DANet or Deep Clustering what PIT's backbone has learned since they were made from it.

    python scripts/move_backbone.py danet.safetensors before.safetensors after.safetensors --out m.safetensors

To what the first file shares with the other two, which are PIT's, their difference is added (task arithmetic,
Ilharco et al. 2023); the embeddings' own layer stays. Where PIT has come to listen twice, so does the result:
PIT's first pass is its first. The result is a beginning to train on from.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from separators.neural import weights
from separators.neural.network import Network
from separators.training.voices import grow


def main() -> None:
    """Reads the files, writes the moved weights."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    network, before, after = (weights.load(file) for file in (options.file, options.before, options.after))
    weights.save(moved(network, before, after), options.out, weights.notes(options.file))


def moved(network: Network, before: Network, after: Network) -> Network:
    """``network`` with what is new in ``after`` since ``before``."""
    passes = after.architecture.passes
    network, before = (listening(known, passes) for known in (network, before))
    state, old, new = (known.state_dict() for known in (network, before, after))
    for name in state:
        if name.startswith("first."):
            state[name] = new[name]
        elif not name.startswith("outputs."):
            state[name] += new[name] - old[name]
    network.load_state_dict(state)
    return network.eval()


def listening(network: Network, passes: int) -> Network:
    """``network``, deaf to what it does not hear so far if it has fewer ``passes``."""
    if network.architecture.passes == passes:
        return network
    return grow(network, Network(replace(network.architecture, passes=passes)))


if __name__ == "__main__":
    main()
