"""Makes of weights for voices or for songs a network that listens twice, to be trained on.

    python scripts/listen_twice.py pit.safetensors --out start.safetensors
    python scripts/listen_twice.py wave-u-net.safetensors --out start.safetensors

The second pass begins as a copy of the first, deaf to what that made of the mixture: the masks are the same.
With ``--behind danet.safetensors`` (voices) the second pass is the one of those weights, which listen twice
already.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from safetensors import safe_open

from separators.neural import wave_u_net, weights
from separators.neural.network import BINS, Network
from separators.neural.wave_u_net_fourier import FourierWaveUNet
from separators.training.voices import grow


def main() -> None:
    """Reads the file, writes the weights of both passes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--behind", type=Path, metavar="FILE", help="weights whose first pass is replaced")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    with safe_open(options.file, "pt") as file:
        of_songs = (file.metadata() or {}).get("format") == wave_u_net.FORMAT
    if of_songs:
        song_network = wave_u_net.load(options.file)
        if song_network.architecture != replace(song_network.architecture, layout="fourier", passes=1):
            parser.error(f"{options.file} must listen once, in the layout fourier, to be a first pass")
        if options.behind is not None:
            parser.error("--behind is for voices")
        assert isinstance(song_network, FourierWaveUNet)
        twice = songs_heard_twice(song_network)
        wave_u_net.save(twice, options.out, weights.notes(options.file))
        return
    first = weights.load(options.file)
    if first.first is not None or first.architecture.head != "masks":
        parser.error(f"{options.file} must listen once and give masks, to be a first pass")
    if options.behind is None:
        network, notes = listening_twice(first), weights.notes(options.file)
    else:
        second = weights.load(options.behind)
        # How many dimensions embeddings have is of no concern to a first pass, which has masks.
        alike = replace(second.architecture, head="masks", passes=1, dimensions=first.architecture.dimensions)
        if second.first is None or alike != first.architecture:
            parser.error(f"{options.behind} must listen twice, to a first pass of the size of {options.file}")
        network, notes = behind(first, second), weights.notes(options.behind)
    weights.save(network, options.out, notes)


def listening_twice(first: Network) -> Network:
    """A network of two passes that gives the masks of ``first``, which has one."""
    network = grow(first, Network(replace(first.architecture, passes=2)))
    assert network.first is not None
    network.first.load_state_dict(first.state_dict())
    heard = len(first.feature_mean)
    for scale in (network.feature_mean, network.feature_std):  # parts of a mixture are scaled as that is
        scale[heard:] = scale[:BINS].repeat((len(scale) - heard) // BINS, 1)
    return network.eval()


def songs_heard_twice(first: FourierWaveUNet) -> FourierWaveUNet:
    """A network of two passes that finds the stems of ``first``, which has one."""
    network = FourierWaveUNet(replace(first.architecture, passes=2))
    assert network.first is not None
    network.first.load_state_dict(first.state_dict())
    state = network.state_dict()
    for name, value in first.state_dict().items():
        # It hears the mixture before the stems of the first pass, which count nothing.
        state[name].zero_()[tuple(slice(size) for size in value.shape)] = value
    return network.eval()


def behind(first: Network, network: Network) -> Network:
    """``network``, which has two passes, with ``first`` in place of its first."""
    assert network.first is not None
    network.first.load_state_dict(first.state_dict())
    return network


if __name__ == "__main__":
    main()
