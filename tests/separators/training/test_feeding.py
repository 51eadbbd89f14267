"""Batches from worker processes: the same as mixed here, ahead of time, and errors that are said."""

import pickle
from dataclasses import dataclass
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
import torch
from torch import Tensor

from separators.training.feeding import Feeder, FeedingError, mapped, step_rng


@dataclass(frozen=True)
class Batch:
    audio: Tensor
    names: str = "two"


class Mixer:
    """Draws from its recordings; ``worst`` is the step at which it fails, ``gone`` that at which it dies."""

    def __init__(self, recordings=None, worst=None, gone=None):
        self.recordings = np.arange(100, dtype=np.int16) if recordings is None else recordings
        self.worst = worst
        self.gone = gone
        self.drawn = 0

    def __call__(self, rng):
        self.drawn += 1
        if self.drawn == self.worst:
            raise ValueError("no speakers")
        if self.drawn == self.gone:
            raise SystemExit
        places = rng.integers(len(self.recordings), size=5)
        noise = torch.from_numpy(rng.standard_normal(3, np.float32))
        return torch.from_numpy(self.recordings[places].astype(np.float32)), Batch(noise)


@pytest.mark.parametrize("workers", [1, 3])
def test_the_batches_are_those_of_their_steps(workers):
    feeder, mixer = Feeder(Mixer(), seed=7, first=5, workers=workers), Mixer()
    try:
        for step in range(5, 12):
            audio, batch = feeder.next()
            wanted_audio, wanted = mixer(step_rng(7, step))
            assert torch.equal(audio, wanted_audio)
            assert torch.equal(batch.audio, wanted.audio)
            assert batch.names == "two"
    finally:
        feeder.close()
    for process in feeder.processes:
        process.join(10)
        assert not process.is_alive()


def test_a_batch_that_cannot_be_mixed_is_said():
    feeder = Feeder(Mixer(worst=2), seed=0, first=0, workers=1)
    try:
        feeder.next()
        with pytest.raises(FeedingError, match="a batch could not be mixed: ValueError: no speakers"):
            feeder.next()
    finally:
        feeder.close()


def test_a_worker_that_is_gone_is_an_error_and_no_wait():
    feeder = Feeder(Mixer(gone=2), seed=0, first=0, workers=1)
    try:
        feeder.next()
        with pytest.raises(FeedingError, match="has ended"):
            feeder.next()
    finally:
        feeder.close()


def test_recordings_in_a_file_travel_by_their_name(tmp_path):
    path = tmp_path / "audio.bin"
    np.arange(1_000_000, dtype=np.int16).tofile(path)
    whole = np.memmap(path, np.int16, "r")
    sent = bytes(ForkingPickler.dumps(Mixer(whole)))
    assert len(sent) < 1000
    again = pickle.loads(sent).recordings
    assert isinstance(again, np.memmap)
    np.testing.assert_array_equal(again, whole)
    # A part of them is sent as it is.
    np.testing.assert_array_equal(pickle.loads(ForkingPickler.dumps(whole[10:20])), np.arange(10, 20))


def test_every_tensor_of_a_batch_is_changed():
    batch = (torch.ones(2), Batch(torch.ones(3)), "name")
    doubled = mapped(batch, lambda tensor: 2 * tensor)
    assert torch.equal(doubled[0], torch.full((2,), 2.0))
    assert torch.equal(doubled[1].audio, torch.full((3,), 2.0))
    assert (doubled[1].names, doubled[2]) == ("two", "name")
