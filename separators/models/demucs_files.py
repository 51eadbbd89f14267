"""Reads the checkpoints of Demucs 3 and 4: what the file says is checked, never run.

A checkpoint names one of Demucs' architectures, the arguments to build it with, and its weights. The
`.th` files of the original are pickles and read by :mod:`separators.models.safe_pickle`; the
`.safetensors` files hold the names as JSON in their metadata. A bag is a `.yaml` file that lists
checkpoints by their signatures, and how much each counts for each stem.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from separators import regular_files
from separators.base import Audio
from separators.models import safe_pickle
from separators.models.files import ModelError, find, missing_package, reason
from separators.models.running import in_segments
from separators.neural.devices import CPU
from separators.neural.placement import HALVINGS, moved

SEGMENT_SECONDS = 12.0
"""Longer segments, which some checkpoints would allow, cost memory."""
PATTERNS = ("{}", "{}.yaml", "{}.safetensors", "{}.th", "{}-*.th")
SIGNATURE = re.compile(r"[0-9A-Za-z_]+")
FRACTION = re.compile(r"\d{1,9}(/\d{1,9})?")
COUNTS = frozenset({"depth", "dconv_depth", "lstm_layers", "t_layers", "lstm"})
"""Arguments of the architectures that say how many layers of a kind there are."""
LARGEST_BAG = 1 << 16
"""Bytes."""
CLASSES: dict[str, type[safe_pickle.Nothing]] = {
    name: type(name, (safe_pickle.Nothing,), {})
    for name in (
        "demucs.demucs.Demucs",
        "demucs.hdemucs.HDemucs",
        "demucs.wdemucs.WDemucs",
        "demucs.htdemucs.HTDemucs",
    )
}
"""The architectures, and what stands for them while a pickle is read."""


@dataclass(frozen=True)
class Bag:
    """One network, or several whose stems are averaged."""

    networks: tuple[nn.Module, ...]
    weights: NDArray[np.float32]
    """How much each network counts for each stem, ``(networks, stems)``; sums to one over the networks."""
    stems: tuple[str, ...]
    sample_rate: int
    channels: int
    segment_seconds: float
    overlap: float = 0.25
    level: float = 0.1

    @property
    def halvings(self) -> int:
        """None where a network hears shorter audio as long as what it was trained on."""
        fixed = any(getattr(network, "use_train_segment", False) for network in self.networks)
        return 0 if fixed else HALVINGS

    def __call__(self, audio: Audio, device: torch.device = CPU, parts: int = 1) -> Audio:
        """See :class:`separators.models.running.Model`."""
        weights = torch.from_numpy(self.weights)[:, :, None, None].to(device)

        def network(part: Tensor) -> Tensor:
            # A network of which no stem counts for anything is not run.
            counted = [number for number, row in enumerate(self.weights) if row.any()]
            networks = [moved(self.networks[number], device) for number in counted]
            estimates = [
                weights[number] * one(part[None])[0] for number, one in zip(counted, networks, strict=True)
            ]
            return torch.stack(estimates).sum(0)

        segment = int(self.segment_seconds * self.sample_rate) // parts
        return in_segments(network, audio, segment, self.overlap, device)


def parts(checkpoint: str) -> list[Path]:
    """The file that ``checkpoint`` stands for and, of a bag, the files that it lists."""
    spec = find_spec("demucs")
    if spec is None:
        raise missing_package("demucs", "demucs", "demucs")
    package = [Path(folder) / "remote" for folder in spec.submodule_search_locations or ()]
    path = find("demucs", checkpoint, PATTERNS, package)
    if path.suffix != ".yaml":
        return [path]
    bag = _bag(path)
    return [path, *(find("demucs", signature, PATTERNS[2:], [path.parent]) for signature in bag["models"])]


def load(path: Path, *listed: Path) -> Bag:
    """The model in ``path``, or the bag in it with the checkpoints ``listed``; raises :class:`ModelError`."""
    networks = tuple(_network(file) for file in listed or (path,))
    first = networks[0]
    stems = tuple(first.sources)
    for other in networks:
        if (tuple(other.sources), other.samplerate, other.audio_channels) != (
            stems,
            first.samplerate,
            first.audio_channels,
        ):
            raise ModelError(f"{path}: its checkpoints do not have the same stems, rate and channels")
    weights = np.ones((len(networks), len(stems)), np.float32)
    wrong = ModelError(
        f"{path}: weights must hold {len(stems)} numbers for each of its {len(networks)} models"
    )
    if listed and (given := _bag(path).get("weights")):
        fits = isinstance(given, list) and len(given) == len(networks)
        if not fits or not all(_are_numbers(row, len(stems)) for row in given):
            raise wrong
        weights = np.array(given, np.float32)
        if not np.isfinite(weights).all() or not (weights.sum(0) > 0).all():
            raise wrong
    return Bag(
        networks,
        weights / weights.sum(0),
        stems,
        first.samplerate,
        first.audio_channels,
        min(SEGMENT_SECONDS, *(float(network.segment) for network in networks)),
    )


def _are_numbers(row: object, count: int) -> bool:
    return isinstance(row, list) and len(row) == count and all(isinstance(n, int | float) for n in row)


def _bag(path: Path) -> dict[str, Any]:
    """The table in a bag's file."""
    import yaml  # it comes with Demucs

    try:
        table = yaml.safe_load(regular_files.read(path, LARGEST_BAG))
        # References let a short file hold endless lists, as long as nobody writes them out.
        named = [str(signature) if isinstance(signature, str | int) else "" for signature in table["models"]]
    except (OSError, ValueError, TypeError, KeyError, RecursionError, yaml.YAMLError) as error:
        raise ModelError(f"{path} is no bag of Demucs models: {reason(error)}") from error
    if not named or not all(SIGNATURE.fullmatch(signature) for signature in named):
        raise ModelError(f"{path}: models must list signatures of letters and digits, not {named}")
    return {**table, "models": named}


def _network(path: Path) -> Any:
    """The network in one checkpoint."""
    name, args, kwargs, state = (
        _from_safetensors(path) if path.suffix == ".safetensors" else _from_pickle(path)
    )
    if not (
        isinstance(state, Mapping) and state and all(isinstance(value, Tensor) for value in state.values())
    ):
        raise ModelError(
            f"{path}: its weights are no plain table of tensors (quantized ones are not supported)"
        )
    try:
        network = _built(name, args, kwargs, state)
        network.load_state_dict(dict(state))
    except (RuntimeError, TypeError, ValueError, AssertionError, ArithmeticError, LookupError) as error:
        raise ModelError(f"{path}: its weights do not fit its settings: {reason(error)}") from error
    _check(network, path)
    network.requires_grad_(False)
    return network.eval()


def _built(
    name: str, args: Sequence[Any], kwargs: Mapping[str, Any], state: Mapping[str, Tensor]
) -> nn.Module:
    """The architecture called ``name``; its size is compared with the weights' before it is made."""
    module, _, attribute = name.rpartition(".")
    kind = getattr(import_module(module), attribute)
    accepted = inspect.signature(kind).parameters
    kwargs = {key: value for key, value in kwargs.items() if key in accepted}
    _refuse_endless(inspect.signature(kind).bind(*args, **kwargs).arguments, len(state))
    with torch.device("meta"):
        needed = sum(value.numel() for value in kind(*args, **kwargs).state_dict().values())
    held = sum(value.numel() for value in state.values())
    if needed != held:
        raise ValueError(f"{needed} numbers are needed, {held} are there")
    network: nn.Module = kind(*args, **kwargs)
    return network


def _refuse_endless(settings: Mapping[str, Any], tensors: int) -> None:
    """Raise ValueError for counts of layers, each of which has tensors, that exceed all ``tensors``."""
    for key in COUNTS & settings.keys():
        if isinstance(settings[key], int | float | Fraction) and not settings[key] <= tensors:
            raise ValueError(f"{key} is {settings[key]!r:.40}, and there are {tensors} tensors in all")


def _check(network: Any, path: Path) -> None:
    """Refuse settings that make no separator."""
    sources = network.sources
    named = isinstance(sources, list | tuple) and all(isinstance(name, str) and name for name in sources)
    if not named or len(set(sources)) != len(sources) or not sources:
        raise ModelError(f"{path}: sources must be distinct names, not {sources!r}")
    if network.audio_channels not in (1, 2):
        raise ModelError(f"{path}: audio_channels must be 1 or 2, not {network.audio_channels!r}")
    rate, segment = network.samplerate, network.segment
    if not (isinstance(rate, int) and 1000 <= rate <= 400_000):
        raise ModelError(f"{path}: samplerate must be a whole number from 1000 to 400000, not {rate!r}")
    if not (isinstance(segment, int | float | Fraction) and 0.05 <= segment <= 3600):
        raise ModelError(f"{path}: segment must be from 0.05 to 3600 seconds, not {segment!r}")


def _from_pickle(path: Path) -> tuple[str, Sequence[Any], Mapping[str, Any], Any]:
    known: dict[str, Any] = {**CLASSES, "fractions.Fraction": _fraction}
    package = safe_pickle.read(path, known)
    try:
        names = {kind: name for name, kind in CLASSES.items()}
        found = (names[package["klass"]], package["args"], package["kwargs"], package["state"])
    except (LookupError, TypeError) as error:
        raise ModelError(
            f"{path} is no checkpoint of Demucs 3 or 4: {', '.join(CLASSES)} are known"
        ) from error
    if not (isinstance(found[1], list | tuple) and isinstance(found[2], dict)):
        raise ModelError(f"{path}: its settings are no arguments")
    return found


def _from_safetensors(path: Path) -> tuple[str, Sequence[Any], Mapping[str, Any], Any]:
    try:
        regular_files.check(path)
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        name = metadata["klass"]
        args, kwargs = (_decoded(json.loads(metadata[key])) for key in ("args", "kwargs"))
    except (
        OSError,
        SafetensorError,
        LookupError,
        TypeError,
        ValueError,
        ArithmeticError,
        RecursionError,
    ) as error:
        raise ModelError(f"{path} is no checkpoint of Demucs: {reason(error)}") from error
    if name not in CLASSES or "structure" in metadata:
        kind = "quantized weights" if name in CLASSES else f"the architecture {name}"
        raise ModelError(f"{path}: {kind} cannot be used; these can: {', '.join(CLASSES)}")
    if not (isinstance(args, list) and isinstance(kwargs, dict)):
        raise ModelError(f"{path}: its settings are no arguments")
    return name, args, kwargs, state


def _decoded(value: Any) -> Any:
    """The JSON of a model's arguments, in which fractions are tables."""
    if isinstance(value, dict):
        if value.get("_type") == "fraction":
            return Fraction(int(value["numerator"]), int(value["denominator"]))
        return {key: _decoded(item) for key, item in value.items()}
    return [_decoded(item) for item in value] if isinstance(value, list) else value


def _fraction(numerator: int | str, denominator: int = 1) -> Fraction:
    """``39, 5`` or, from older Pythons, ``"39/5"``; nothing that takes for ever, like ``1e999999999``."""
    text = f"{numerator}/{denominator}" if isinstance(numerator, int) else numerator
    if not (isinstance(text, str) and FRACTION.fullmatch(text)):
        raise ModelError(f"{text!r:.40} is no fraction")  # a ValueError would be lost in torch's own words
    return Fraction(text)
