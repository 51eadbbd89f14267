"""Gives weights of DANet or Deep Clustering what PIT's backbone has learned since they were made from it.

    python scripts/move_backbone.py danet.safetensors before.safetensors after.safetensors --out m.safetensors

To what the first file shares with the other two, which are PIT's, their difference is added (task arithmetic,
Ilharco et al. 2023); the embeddings' own layer stays. The result is a beginning to train on from.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from separators.neural import weights


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
    network = weights.load(options.file)
    before, after = (weights.load(file).state_dict() for file in (options.before, options.after))
    state = network.state_dict()
    backbone = [name for name in state if not name.startswith("outputs.")]
    network.load_state_dict(state | {name: state[name] + after[name] - before[name] for name in backbone})
    weights.save(network, options.out, weights.notes(options.file))


if __name__ == "__main__":
    main()
