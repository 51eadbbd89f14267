"""A GPU that is none: its tensors say that they are on it, and are worked out on the processor.

As on a real one, nothing may be done with tensors of both at once, and what lies on it must be fetched before
NumPy can read it. Everything that networks do is recorded, so that tests see where it happened. Results are
those of the processor, but for the order in which some sums are taken.
"""

from contextlib import contextmanager

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from separators.neural import devices

GPU = torch.device("cuda", 0)


class OnGPU(torch.Tensor):
    """A tensor on the pretended GPU; ``held`` is what it stands for."""

    @staticmethod
    def __new__(cls, held):
        return torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device="meta",  # which PyTorch has everywhere, as it would have CUDA's
            requires_grad=held.requires_grad,
        )

    def __init__(self, held):
        self.held = held.detach()

    @property
    def device(self):
        """Where it says that it is."""
        return GPU

    is_meta = False

    def __deepcopy__(self, memo):
        return OnGPU(self.held.clone())

    def __repr__(self, **_how):
        return f"OnGPU({self.held})"

    def numpy(self, **_how):
        raise TypeError("a tensor on a GPU has no NumPy array; fetch it by .cpu() first")

    def tolist(self):
        """Numbers are fetched one by one."""
        return self.held.tolist()

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        raise AssertionError(f"{function} outside of pretend_gpu.present()")


MOVES = {torch.ops.aten._to_copy.default}
INDEXES = {torch.ops.aten.index.Tensor, torch.ops.aten.index_put_.default}
"""Take indices from the processor, too."""
COPIES = {torch.ops.aten.copy_.default}
LOOKS = {torch.ops.aten._local_scalar_dense.default, torch.ops.aten.equal.default}


class PretendGPU(TorchDispatchMode):
    """While it is entered, there is a GPU; ``done`` lists what was worked out where.

    With ``memory``, bytes, larger tensors do not fit on it.
    """

    def __init__(self, memory=None):
        super().__init__()
        self.memory = memory
        self.done = []

    def where(self, device):
        """The names of what was worked out on ``device``."""
        return [name for name, place in self.done if place == device]

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        if function.overloadpacket is torch.ops.aten.to:  # of several kinds, all of which come down to a copy
            with self:
                if function is torch.ops.aten.to.other:
                    return args[0].to(args[1].device, args[1].dtype)
                return function.decompose(*args, **kwargs)
        if function is torch.ops.aten._has_compatible_shallow_copy_type.default:
            return isinstance(args[0], OnGPU) == isinstance(args[1], OnGPU)
        asked = kwargs.get("device")
        placed = [tensor for tensor in tensors if isinstance(tensor, OnGPU)]
        plain = [tensor for tensor in tensors if not isinstance(tensor, OnGPU)]
        if placed and any(tensor.is_meta for tensor in plain):
            # PyTorch made it where this device pretends to be, and there it has no values: what came of it
            # would be whatever lies in memory.
            raise RuntimeError(f"{function}: PyTorch's own way of making indices from lists isn't pretended")
        kind = None if asked is None else torch.device(asked).type
        if kind == "meta" and not tensors:
            return function(*args, **kwargs)
        to_gpu = kind in ("cuda", "meta")
        if asked is not None:
            kwargs["device"] = torch.device("cpu")
            if kwargs.get("pin_memory"):
                kwargs["pin_memory"] = False
        if placed and any(tensor.ndim for tensor in plain) and function not in COPIES | INDEXES:
            shapes = [tuple(tensor.shape) for tensor in plain]
            raise RuntimeError(f"{function}: tensors of {shapes} are on the CPU, others on {GPU}")
        on_gpu = to_gpu or (bool(placed) and asked is None)
        if function in COPIES:
            on_gpu = isinstance(args[0], OnGPU)
        held_args, held_kwargs = tree_map(held, (args, kwargs))
        found = function(*held_args, **held_kwargs)
        moves = function in MOVES and bool(placed) != on_gpu
        if tensors or asked is not None:
            place = GPU if on_gpu else devices.CPU
            self.done.append((str(function), "moved" if moves or function in COPIES else place))
        if not on_gpu or function in LOOKS:
            return found
        known = {id(tensor.held): tensor for tensor in placed}

        def wrapped(value):
            if not isinstance(value, torch.Tensor):
                return value
            if self.memory is not None and value.untyped_storage().nbytes() > self.memory:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate what is not there.")
            with torch.inference_mode(value.is_inference()):  # views must be as what they look at
                return known[id(value)] if id(value) in known else OnGPU(value)

        return tree_map(wrapped, found)


def held(value):
    """What a tensor on the GPU stands for."""
    return value.held if isinstance(value, OnGPU) else value


@contextmanager
def present(monkeypatch, memory=None):
    """A machine with one GPU."""
    monkeypatch.setattr(devices, "gpus", lambda: iter([GPU]))
    monkeypatch.setattr(
        devices, "trouble", lambda device: "" if device in (devices.CPU, GPU) else "it is not there"
    )
    monkeypatch.setattr(torch.cuda, "_lazy_init", lambda: None)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _device: "Pretended GPU")
    with PretendGPU(memory) as gpu:
        yield gpu


def difference_db(found, wanted):
    """Energy of the difference of two arrays, in dB of the second."""
    error = np.square(np.asarray(found, np.float64) - wanted).sum()
    return 10 * np.log10(max(error, 1e-300) / np.square(wanted, dtype=np.float64).sum())
