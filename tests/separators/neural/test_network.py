from dataclasses import replace

import numpy as np
import pytest
import torch

from separators.neural.network import (
    BINS,
    LINEAR_BINS,
    SAMPLE_RATE,
    WINDOW,
    Architecture,
    Attention,
    Block,
    Network,
    as_fast,
    slower,
)
from separators.training.voices import grow

SMALL = {"channels": 24, "dilations": (1, 2, 4), "dimensions": 4}
ROUNDING = 1e-6
"""Logarithms of magnitudes that are worked out in another way, of values around 1."""
PLAIN = {"attention": (), "long_window": 0, "short_window": 0}


def network(seed=0, **values):
    torch.manual_seed(seed)
    made = Network(Architecture(**SMALL | values)).eval()
    return made.requires_grad_(False)


def noise(seconds=1.0, seed=0):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.standard_normal((2, round(seconds * SAMPLE_RATE)), np.float32))


@pytest.mark.parametrize("frames", [1, 255, 256, 5000])
@pytest.mark.parametrize("head", ["masks", "embeddings"])
def test_outputs_fit_the_spectrogram(frames, head):
    made = network(head=head, attention=(2,))
    audio = noise()[:, :frames]
    spectrum = made.spectrogram(audio)
    output = made(audio)
    assert (output.shape[2:] if head == "masks" else output.shape[2:3]) == spectrum.shape[
        1 if head == "masks" else 2 :
    ]
    if head == "masks":
        assert torch.allclose(output.sum(1), torch.ones_like(output[:, 0]), atol=1e-5)


def test_all_windows_see_a_click_in_the_same_frame():
    made = network()
    audio = torch.zeros(1, SAMPLE_RATE)
    frame = 30
    audio[0, frame * WINDOW // 2] = 1.0
    features = made.hear(audio).features[0]
    bins = WINDOW // 2 + 1
    long = slice(bins, bins + made.long_bins)
    short = slice(bins + made.long_bins, None)
    for rows in (slice(bins), long, short):
        assert int(features[rows].mean(0).argmax()) == frame


def test_weights_grow_without_a_change():
    old = network(**PLAIN)
    old.feature_mean.normal_()
    new = grow(old, network(seed=1, attention=(2,)))
    audio = noise()
    assert torch.allclose(old(audio), new(audio), atol=1e-6)


def test_masks_become_embeddings_at_right_angles():
    old, fresh = network(**PLAIN), network(seed=1, head="embeddings", **PLAIN)
    old.feature_mean.normal_()
    audio = noise()
    first_mask = old(audio)[:, 0].real
    new = grow(old, fresh)
    assert torch.equal(new.blocks[0].conv.weight, old.blocks[0].conv.weight)
    found = new(audio)[:, :LINEAR_BINS]
    # -1 for the second voice, 1 for the first: at 45 degrees to either side of the second axis.
    ratio = found[..., 0] / found[..., 1]
    torch.testing.assert_close(ratio, 2 * first_mask[:, :LINEAR_BINS] - 1, atol=1e-4, rtol=1e-4)


def test_embeddings_do_not_become_masks():
    old, fresh = network(head="embeddings", **PLAIN), network(seed=1, **PLAIN)
    head = fresh.outputs.weight.clone()
    new = grow(old, fresh)
    assert torch.equal(new.outputs.weight, head)
    assert torch.equal(new.blocks[0].conv.weight, old.blocks[0].conv.weight)


@pytest.mark.parametrize("times", [1, 6, 7])
def test_slower_and_as_fast_are_counterparts(times):
    x = torch.arange(float(times)).expand(2, 3, 1, times)
    slow = slower(x, 2)
    assert slow[0, 0, 0].tolist() == [np.mean(range(n, min(n + 2, times))) for n in range(0, times, 2)]
    fast = as_fast(slow, x, 2)
    assert fast.shape == x.shape
    assert torch.equal(slower(fast, 2), slow)


def test_a_block_with_a_stride_reaches_as_far_as_without():
    torch.manual_seed(0)
    reaches = []
    for stride in (1, 2):
        block = Block(6, 8, stride).requires_grad_(False)
        block.norm = torch.nn.Identity()  # which looks at all moments
        x = torch.randn(1, 6, 1, 40)
        changed = x.clone()
        changed[..., 20] += 1
        differs = (block(x) != block(changed)).any(1)[0, 0].nonzero().flatten().tolist()
        reaches.append(differs)
    assert reaches == [[12, 20, 28], [12, 13, 20, 21, 28, 29]]


def test_short_dilations_hear_every_moment():
    assert [Block(6, dilation, 2).stride for dilation in (1, 2, 4)] == [1, 2, 2]


def test_files_without_a_stride_run_at_the_full_rate():
    values = Architecture().to_dict()
    assert Architecture.from_dict(values).stride == Architecture().stride
    del values["stride"]
    assert Architecture.from_dict(values).stride == 1


@pytest.mark.parametrize("stride", [1, 2])
def test_attention_looks_at_all_moments_and_at_first_changes_nothing(stride):
    torch.manual_seed(0)
    layer = Attention(24, stride).requires_grad_(False)
    x = torch.randn(1, 24, 1, 40)
    assert torch.equal(layer(x), x)
    torch.nn.init.normal_(layer.outputs.weight)
    layer.norm = torch.nn.Identity()  # which looks at all moments too
    changed = x.clone()
    changed[..., -1] *= 8
    assert not torch.allclose(layer(x)[..., 0], layer(changed)[..., 0], atol=1e-3)


def test_a_background_gets_what_the_voices_leave():
    made = network(background=True)
    masks = made(noise())
    assert masks.shape[1] == 3
    assert torch.allclose(masks.sum(1), torch.ones_like(masks[:, 0]), atol=1e-5)


def test_masks_that_left_nothing_leave_nothing_to_a_new_background():
    old = network(**PLAIN)
    old.feature_mean.normal_()
    new = grow(old, network(seed=1, background=True, **PLAIN))
    audio = noise()
    masks = new(audio)
    assert torch.allclose(masks[:, :2], old(audio), atol=1e-5)
    assert masks[:, 2].abs().max() < 1e-5


def test_what_masks_leave_to_the_background_becomes_the_last_axis():
    old, fresh = network(background=True, **PLAIN), network(seed=1, head="embeddings", **PLAIN)
    old.outputs.bias.normal_(0.0, 0.5)
    audio = noise()
    masks = old(audio).real[:, :, :LINEAR_BINS]
    found = grow(old, fresh)(audio)[:, :LINEAR_BINS]
    wanted = torch.stack(
        [(masks[:, 0] - masks[:, 1]) / 2, (masks[:, 0] + masks[:, 1]) / 2, masks[:, 2] / 2**0.5]
    )
    along = found[..., [0, 1, 3]].movedim(-1, 0)
    # A tenth of what chance gave is left on the other axes, so the direction is nearly that of the masks.
    cosine = torch.nn.functional.cosine_similarity(along, wanted, dim=0)
    assert cosine.min() > 0.999


@pytest.mark.parametrize("head", ["masks", "embeddings"])
@pytest.mark.parametrize("background", [False, True])
def test_the_second_pass_hears_the_parts_of_the_first(head, background):
    audio = noise()
    first = network(background=background)
    made = Network(replace(first.architecture, head=head, passes=2)).eval().requires_grad_(False)
    made.first.load_state_dict(first.state_dict())
    heard = made.hear(audio).features
    plain = first.hear(audio).features
    parts = first(audio) * first.spectrogram(audio)[:, None]
    assert heard.shape[1] == plain.shape[1] + parts.shape[1] * BINS
    assert torch.equal(heard[:, : plain.shape[1]], plain)
    expected = torch.log(parts.abs() / 16 + 1e-3).flatten(1, 2)
    assert torch.allclose(heard[:, plain.shape[1] :], expected, atol=ROUNDING)
    before = made(audio)
    made.first.outputs.bias.add_(torch.randn(len(made.first.outputs.bias)))
    assert not torch.allclose(made(audio), before, atol=1e-3)


def test_no_network_listens_three_times():
    with pytest.raises(ValueError, match="passes must be a whole number from 1 to 2, not 3"):
        Architecture.from_dict(Architecture().to_dict() | {"passes": 3})
