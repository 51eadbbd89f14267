import numpy as np
import pytest
import torch

from separators.neural.inference import separate_block, voices_transform
from separators.neural.network import BINS, HOP, SAMPLE_RATE, Architecture, Network
from separators.neural.reminder import FRAMES, Reminder, active_level


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Network(Architecture(channels=12, dilations=(1, 2), attention=())).eval().requires_grad_(False)


def voices(seconds, seed=0, rate=SAMPLE_RATE):
    """A low and a high "voice", ``(2, frames)``, whose syllables come and go independently."""
    rng = np.random.default_rng(seed)
    time = np.arange(seconds * rate) / rate
    tones = np.sin(2 * np.pi * np.array([[500], [3000]]) * time)
    syllables = np.repeat(rng.random((2, seconds * 4)) > 0.5, rate // 4, axis=1)
    return (0.1 * syllables * tones).astype(np.float32)


class Swapping:
    """Masks of a network that tells low from high, but swaps its outputs from call to call."""

    def __init__(self):
        self.heard = []

    def __call__(self, audio):
        mask = torch.zeros(1, 2, BINS, 1 + audio.shape[-1] // HOP)
        mask[:, 0, :48], mask[:, 1, 48:] = 1, 1
        self.heard.append(audio)
        return mask if len(self.heard) % 2 else mask.flip(1)


def test_a_reminder_is_where_all_talk():
    stems = voices(20)
    stems[1, : 10 * SAMPLE_RATE] = 0
    stems[0, 16 * SAMPLE_RATE :] = 0
    reminder = Reminder()
    reminder.learn(stems)
    assert reminder.stems.shape == (2, FRAMES)
    windows = np.lib.stride_tricks.sliding_window_view(stems[0], FRAMES)
    known = reminder.stems[0] / np.linalg.norm(reminder.stems[0])
    place = max(
        range(0, len(windows), HOP), key=lambda n: windows[n] @ known / (np.linalg.norm(windows[n]) + 1e-9)
    )
    assert 9 * SAMPLE_RATE < place < 13 * SAMPLE_RATE


def test_one_voice_torn_apart_is_no_reminder():
    alone = voices(10)[0]
    reminder = Reminder()
    reminder.learn(np.stack([0.45 * alone, 0.55 * alone]))
    assert reminder.stems is None


def test_one_voice_is_no_reminder():
    stems = voices(10)
    stems[1] = 1e-3 * np.random.default_rng(1).standard_normal(stems.shape[1])
    reminder = Reminder()
    reminder.learn(stems)
    assert reminder.stems is None


def test_a_better_reminder_replaces_a_worse_one():
    reminder = Reminder()
    reminder.learn(0.1 * voices(8))
    first = reminder.stems
    reminder.learn(0.01 * voices(8, seed=1))
    assert reminder.stems is first
    reminder.learn(voices(8, seed=2))
    assert reminder.stems is not first


def test_short_blocks_are_no_reminders():
    reminder = Reminder()
    reminder.learn(voices(3))
    assert reminder.stems is None


def test_a_reminder_that_does_not_come_apart_as_before_gives_way_to_the_sample():
    reminder, sample = Reminder(), voices(12)
    reminder.begin(sample)
    chosen = reminder.stems
    assert reminder.holds(np.array([[0.05, 0.45], [0.45, 0.05]]))  # swapped, but apart
    assert reminder.stems is chosen
    torn = np.array([[0.0, 0.55], [0.01, 0.6]])
    assert not reminder.holds(torn)
    assert reminder.stems is sample
    assert reminder.holds(torn)  # there is nothing else to hear it behind


def test_without_a_sample_a_reminder_is_kept():
    reminder = Reminder()
    reminder.begin(np.zeros((2, 0), np.float32))
    reminder.learn(voices(8))
    chosen = reminder.stems
    assert reminder.holds(np.array([[0.0, 0.55], [0.01, 0.6]]))
    assert reminder.stems is chosen


def test_a_block_behind_a_reminder_that_does_not_hold_is_heard_again(network):
    class Joining(Swapping):
        """Puts all of the second block and of what is in front of it on one output, the first time."""

        def __call__(self, audio):
            mask = super().__call__(audio)
            if len(self.heard) == 2:
                mask[:, 0], mask[:, 1] = 0, 1
            return mask

    sample, masks = voices(8), Joining()
    transform = voices_transform(network, masks, sample.sum(0, keepdims=True), SAMPLE_RATE, 9, 1.0)
    for seed in (1, 2):
        truth = voices(10, seed)
        stems = transform(truth.sum(0, keepdims=True))[:, 0]
        assert np.square(stems - truth).sum() < 0.2 * np.square(stems[::-1] - truth).sum()
    seconds = [heard.shape[1] / SAMPLE_RATE for heard in masks.heard]
    assert seconds == pytest.approx([18, 10 + FRAMES / SAMPLE_RATE, 18], abs=0.5)  # less pauses


def test_what_is_in_front_is_heard_as_loud_and_taken_off_again(network):
    masks, block = Swapping(), voices(5)
    front = 0.1 * voices(4, seed=3)
    separated = separate_block(network, masks, block.sum(0, keepdims=True), SAMPLE_RATE, front.sum(0))
    heard = masks.heard[0][0].numpy()
    frames = front.shape[1]
    assert len(heard) == frames + block.shape[1]
    assert active_level(heard[:frames]) == pytest.approx(active_level(heard[frames:]), rel=1e-3)
    assert np.square(heard).mean() == pytest.approx(1, rel=1e-3)
    assert np.square(separated.stems[:, 0] - block).sum() < 1e-2 * np.square(block).sum()
    assert np.square(separated.leading - block).sum() < 1e-2 * np.square(block).sum()
    assert np.square(separated.front - front).sum() < 1e-2 * np.square(front).sum()


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_voices_stay_on_their_stems_although_blocks_do_not_overlap(network, rate):
    """Each block is swapped against the one before, and nothing but the reminder tells."""
    transform = voices_transform(network, Swapping(), np.zeros((1, 1), np.float32), rate, 20, 1.0)
    for seed in range(4):
        truth = voices(6, seed, rate)
        if seed > 1:
            truth[seed % 2] = 0  # one talks alone
        stems = transform(truth.sum(0, keepdims=True))[:, 0]
        own = np.square(stems - truth).sum()
        swapped = np.square(stems[::-1] - truth).sum()
        assert own < 0.2 * swapped


def test_pauses_do_not_count_in_the_active_level():
    tone = np.ones(100 * HOP, np.float32)
    assert active_level(0.3 * tone) == pytest.approx(0.3)
    assert active_level(np.concatenate([0.3 * tone, 0 * tone])) == pytest.approx(0.3)
    assert active_level(np.zeros(1, np.float32)) == 0


def test_the_sample_is_heard_in_front_of_the_first_block(network):
    """One voice alone in it does not take the other's stem."""
    sample, masks = voices(6), Swapping()
    transform = voices_transform(network, masks, sample.sum(0, keepdims=True), SAMPLE_RATE, 7, 1.0)
    stems = []
    for silent in (0, 1):
        truth = voices(8, seed=32)  # whose first voice to talk makes no long pause
        truth[silent] = 0
        stems.append(transform(truth.sum(0, keepdims=True))[:, 0])
    assert masks.heard[0].shape[1] == 14 * SAMPLE_RATE
    assert np.square(stems[0][0]).sum() < 0.01 * np.square(stems[0][1]).sum()
    assert np.square(stems[1][1]).sum() < 0.01 * np.square(stems[1][0]).sum()


def test_audio_shorter_than_a_block_is_heard_without_a_sample(network):
    masks, mixture = Swapping(), voices(6).sum(0, keepdims=True)
    voices_transform(network, masks, voices(4).sum(0, keepdims=True), SAMPLE_RATE, 20, 1.0)(mixture)
    assert masks.heard[0].shape == mixture.shape
