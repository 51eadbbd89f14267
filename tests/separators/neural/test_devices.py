"""Networks on a GPU: everything happens there, with the processor's results; and when its memory is short.

The GPU is pretended (tests/separators/pretend_gpu.py), but for the last test.
"""

import re
from itertools import pairwise

import numpy as np
import pytest
import torch

import separators
from separators.errors import ParameterError
from separators.neural import devices, placement
from separators.neural.devices import CPU, DeviceError
from separators.neural.pieces import in_pieces
from separators.neural.placement import Placement, is_out_of_memory
from separators.remarks import heard_by
from tests.separators import pretend_gpu
from tests.separators.models import tiny_models
from tests.separators.pretend_gpu import GPU, difference_db
from tests.separators.training.synthetic_voices import voice

RATE = 16_000
AGREES_DB = -60.0
"""The difference between a GPU's stems and the processor's, in dB of the stems."""
SAME_DB = -100.0
"""The same, of a pretended GPU, which rounds like the processor but adds up in another order."""
PREPARES = (
    "set_", "new_empty", "empty", "unsqueeze", "view", "reshape", "clone", "lift_fresh", "detach", "resolve_",
    "_to_copy", "to.", "alias", "t.", "transpose",
)  # fmt: skip
"""What may happen on the processor: tensors are made of arrays and copied, and nothing is worked out."""
HEAVY = re.compile("conv|mm|matmul|linear|attention|norm|fft|lstm")
FULL = {"fast": False}
"""In full precision, of which every device has the same."""
SHIPPED = {"pit": FULL, "danet": FULL, "deep-clustering": {**FULL, "speakers": "auto"}, "wave-u-net": FULL}
MODELS = {
    name: forms[0]
    for name, forms in tiny_models.SEPARATORS.items()
    if name != "onnx" and not tiny_models.MISSING.get(name)
}
NETWORKS = {**SHIPPED, **MODELS}


def noise(seconds=2.0, channels=2, rate=RATE, seed=0):
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal((channels, round(seconds * rate)))).astype(np.float32)


def voices(seconds=2.0):
    first, second = (voice(pitch, seconds, seed) for pitch, seed in ((110, 1), (220, 2)))
    return np.stack([first + 0.5 * second, 0.6 * first + second])


def works_out(name):
    return not name.removeprefix("aten.").startswith(PREPARES)


@pytest.mark.parametrize("name", NETWORKS)
def test_all_is_worked_out_where_it_was_asked_for(name, monkeypatch):
    mixture = voices()
    on_cpu = separators.create(name, **NETWORKS[name], device="cpu").separate(mixture, RATE)
    with pretend_gpu.present(monkeypatch) as gpu:
        on_gpu = separators.create(name, **NETWORKS[name], device="cuda").separate(mixture, RATE)
    on_processor = {one for one in gpu.where(CPU) if works_out(one)}
    if name == "demucs":  # whose own code makes windows and places there, and moves them
        on_processor = {one for one in on_processor if HEAVY.search(one)}
    assert on_processor == set()
    assert sum(works_out(one) for one in gpu.where(GPU)) > 20
    assert difference_db(on_gpu.array, on_cpu.array) < SAME_DB


def test_what_cannot_be_pretended_is_refused(monkeypatch):
    """A list as an index becomes a tensor without values there: what is read depends on chance."""
    with pretend_gpu.present(monkeypatch):
        values = torch.arange(4.0).to(GPU)
        assert values[torch.tensor([2, 3])].tolist() == [2, 3]
        with pytest.raises(RuntimeError, match="isn't pretended"):
            values[[2, 3]]


@pytest.mark.parametrize("name", NETWORKS)
def test_on_the_processor_nothing_goes_elsewhere(name, monkeypatch):
    separator = separators.create(name, **NETWORKS[name], device="cpu")
    separator.stem_names(2)  # loads its model
    with pretend_gpu.present(monkeypatch) as gpu:
        separator.separate(noise(0.5), RATE)
    assert gpu.where(GPU) == []
    assert sum(works_out(one) for one in gpu.where(CPU)) > 20


@pytest.mark.parametrize("name", NETWORKS)
def test_auto_takes_the_gpu_and_says_which(name, monkeypatch):
    separator = separators.create(name, **NETWORKS[name])
    separator.stem_names(2)  # loads its model
    assert separator.particulars() == []
    with pretend_gpu.present(monkeypatch) as gpu:
        separator.separate(noise(0.5), RATE)
        assert separator.particulars() == [f"{name}: runs on cuda:0 (Pretended GPU)"]
    assert gpu.where(GPU)


@pytest.mark.parametrize("name", NETWORKS)
def test_without_enough_memory_the_processor_goes_on(name, monkeypatch):
    mixture, said = noise(), []
    on_cpu = separators.create(name, **NETWORKS[name], device="cpu").separate(mixture, RATE)
    separator = separators.create(name, **NETWORKS[name], device="cuda")
    with pretend_gpu.present(monkeypatch, memory=1000), heard_by(said.append):
        stems = separator.separate(mixture, RATE)
    assert said[-1] == f"{name}: cuda:0 (Pretended GPU) has not enough memory; goes on on the CPU"
    assert stems.names == on_cpu.names
    np.testing.assert_array_equal(stems.array, on_cpu.array)


def test_shorter_segments_of_songs_give_the_same_stems(monkeypatch):
    rate, said = 44_100, []
    mixture = noise(30, rate=rate)
    separator = separators.create("wave-u-net", device="cpu")
    on_cpu = separator.separate(mixture, rate)
    # The largest tensor of 7.5 seconds and their context takes more, of 3.75 seconds less.
    with pretend_gpu.present(monkeypatch, memory=17_000_000) as gpu, heard_by(said.append):
        stems = separator.replace(device="cuda").separate(mixture, rate)
    assert said == [
        f"wave-u-net: cuda:0 (Pretended GPU) has not enough memory; goes on with segments of 1/{parts} of "
        "their length"
        for parts in (2, 4)
    ]
    assert not [one for one in gpu.where(CPU) if works_out(one)]
    assert difference_db(stems.array, on_cpu.array) < AGREES_DB


def test_voices_stay_on_their_stems_when_the_processor_takes_over(monkeypatch):
    """What was heard on the GPU is remembered: the same as if all had been done on the processor."""
    rate = 16_000
    mixture, said = noise(70, channels=1), []  # three blocks
    separator = separators.create("pit", **FULL, device="cpu")
    on_cpu = separator.separate(mixture, rate)
    full = iter([False, False, True])
    run = placement.Placement.run

    def filled_up(self, work):
        def first_it_works(device, parts):
            if device != CPU and next(full, True):
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return work(device, parts)

        return run(self, first_it_works)

    monkeypatch.setattr(placement.Placement, "run", filled_up)
    monkeypatch.setattr(placement, "HALVINGS", 0)
    with pretend_gpu.present(monkeypatch) as gpu, heard_by(said.append):
        placed = separator.replace(device="cuda")
        monkeypatch.setattr(
            type(placed), "placement", lambda self: Placement(self.name, GPU, halvings=0), raising=True
        )
        stems = placed.separate(mixture, rate)
    assert said == ["pit: cuda:0 (Pretended GPU) has not enough memory; goes on on the CPU"]
    assert gpu.where(GPU)
    np.testing.assert_array_equal(stems.array, on_cpu.array)


@pytest.mark.parametrize("frames", [1000, 1001, 4999])
@pytest.mark.parametrize("parts", [1, 2, 4])
def test_pieces_overlap_and_join(frames, parts):
    block, heard = noise(1)[:, :frames], []

    def transform(piece):
        heard.append(piece)
        return np.stack([piece, 2 * piece])

    stems = in_pieces(transform, block, parts, 100)
    np.testing.assert_allclose(stems, [block, 2 * block], atol=1e-6)
    assert max(piece.shape[1] for piece in heard) <= max(200, -(-frames // parts)) + 200
    if parts > 1 and frames > 4000:
        assert len(heard) == parts
        for one, following in pairwise(heard):
            np.testing.assert_array_equal(one[:, -100:], following[:, :100])


def test_a_device_is_refused_by_name():
    for wrong in ("gpu", "cuda:", "cuda:one", "CUDA", "", "cpu:1"):
        with pytest.raises(ParameterError, match="device must be auto, cpu, cuda, cuda:NUMBER or mps, not"):
            separators.create("pit", device=wrong)


@pytest.mark.parametrize("name", ["cuda", "cuda:7", "mps"])
def test_a_device_that_is_not_there_is_an_error(name, monkeypatch):
    if name in map(str, devices.gpus()):
        pytest.skip(f"this machine has {name}")
    separator = separators.create("pit", device=name)
    for call in (separator.particulars, lambda: separator.separate(noise(0.1), RATE)):
        with pytest.raises(DeviceError, match=rf"^device {name}: .*; auto and cpu work everywhere$"):
            call()


def test_the_number_of_a_gpu_counts(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(DeviceError, match="device cuda:3: there is one GPU, numbered from 0"):
        devices.chosen("cuda:3")


def test_a_gpu_that_does_not_work_is_not_taken_and_said(monkeypatch):
    monkeypatch.setattr(devices, "gpus", lambda: iter([GPU]))
    monkeypatch.setattr(devices, "trouble", lambda device: "" if device == CPU else "no kernel image")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _device: "Old GPU")
    assert devices.chosen("auto") == CPU
    line = "pit: runs on the CPU, since cuda:0 (Old GPU) does not work: no kernel image"
    assert separators.create("pit").particulars() == [line]
    assert separators.create("pit", device="cpu").particulars() == []


def test_a_gpu_is_tried_out(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    tried, right = devices._tried(CPU), devices._tried
    assert tried.abs().max() > 0.01
    reason = devices.trouble.__wrapped__
    for result, said in (
        (lambda device: right(CPU), ""),
        (lambda device: right(CPU) * (1.0 if device == CPU else 1.1), "its results are wrong"),
        (lambda device: right(CPU) if device == CPU else 1 / 0, "division by zero"),
    ):
        monkeypatch.setattr(devices, "_tried", result)
        assert reason(GPU) == said


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    ],
)
def test_every_way_to_say_that_memory_is_short_is_known(error):
    assert is_out_of_memory(error)
    assert not is_out_of_memory(RuntimeError("shapes do not fit"))


def test_other_errors_and_the_processors_memory_are_passed_on():
    def fail(error):
        def work(_device, _parts):
            raise error

        return work

    with pytest.raises(RuntimeError, match="shapes"):
        Placement("x", GPU).run(fail(RuntimeError("shapes do not fit")))
    with pytest.raises(RuntimeError, match="out of memory"):
        Placement("x", CPU).run(fail(RuntimeError("out of memory")))


@pytest.mark.skipif(not hasattr(torch.backends.cudnn, "conv"), reason="PyTorch before 2.9")
@pytest.mark.parametrize("users", ["nothing", "legacy", "newer", "fast products"])
def test_a_gpu_rounds_nothing_meanwhile_and_the_users_settings_come_back(users):
    backends = torch.backends
    every = (backends.cudnn.conv, backends.cudnn.rnn, backends.cuda.matmul)
    first = [one.fp32_precision for one in every]
    try:
        if users == "legacy":
            backends.cudnn.allow_tf32 = False
        elif users == "newer":
            backends.cudnn.conv.fp32_precision = "ieee"  # then PyTorch refuses to tell what is older
        elif users == "fast products":
            torch.set_float32_matmul_precision("medium")
        before = [one.fp32_precision for one in every]
        with placement.full_precision(CPU):
            assert [one.fp32_precision for one in every] == before
        one_ends, other_begins = placement.full_precision(GPU), placement.full_precision(GPU)
        one_ends.__enter__()
        other_begins.__enter__()
        one_ends.__exit__(None, None, None)
        assert [one.fp32_precision for one in every] == ["ieee"] * 3  # the other is still at work
        other_begins.__exit__(None, None, None)
        assert [one.fp32_precision for one in every] == before
    finally:
        torch.set_float32_matmul_precision("highest")
        for one, value in zip(every, first, strict=True):
            one.fp32_precision = value


@pytest.mark.parametrize("name", NETWORKS)
def test_a_real_gpu_agrees_with_the_processor(name):
    gpus = [gpu for gpu in devices.gpus() if not devices.trouble(gpu)]
    if not gpus:
        pytest.skip("there is no GPU here that PyTorch can use")
    mixture = voices(8)
    on_cpu = separators.create(name, **NETWORKS[name], device="cpu").separate(mixture, RATE)
    on_gpu = separators.create(name, **NETWORKS[name], device=str(gpus[0])).separate(mixture, RATE)
    assert difference_db(on_gpu.array, on_cpu.array) < AGREES_DB
