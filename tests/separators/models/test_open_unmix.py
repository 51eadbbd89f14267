"""Open-Unmix: sizes read off the weights, names off the files, the Wiener filter, what the rest is."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from separators.models.files import VARIABLE, ModelError
from separators.models.open_unmix import OpenUnmix
from separators.models.open_unmix_files import SETS, load
from separators.models.open_unmix_network import OpenUnmixNetwork
from separators.models.wiener import multichannel_wiener
from tests.separators.models.tiny_models import FOLDER, open_unmix_state

RATE = 44100
SUM = 1e-4
"""Of the filter's spectra, relative to the mixture's."""


def noise(frames=20000, seed=0):
    return np.random.default_rng(seed).standard_normal((2, frames)).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("both_ways", [True, False])
def test_sizes_are_read_off_the_weights(channels, both_ways):
    network = OpenUnmixNetwork(channels, 33, 20, 8, 3, both_ways)
    state = {**network.state_dict(), "stft.window": torch.ones(64)}
    again = OpenUnmixNetwork.from_state(state)
    magnitudes = torch.rand(channels, 33, 12)
    found = again(magnitudes)
    assert found.shape == magnitudes.shape
    torch.testing.assert_close(found, network.eval()(magnitudes))


def test_the_published_size_is_known():
    network = OpenUnmixNetwork(2, 2049, 1487, 512, 3, both_ways=True)
    numbers = sum(value.numel() for value in network.parameters())
    assert numbers == pytest.approx(8.89e6, rel=0.01)


def test_stems_are_called_as_their_files_and_ordered():
    assert OpenUnmix(checkpoint="tiny-umx").stem_names(2) == ("vocals", "drums", "other")


def test_published_sets_are_found_by_their_name(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    for seed, name in enumerate(SETS["umxhq"]):
        torch.save(open_unmix_state(seed), tmp_path / f"{name}.pth")
    torch.save(open_unmix_state(9), tmp_path / f"{SETS['umx'][0]}.pth")
    assert OpenUnmix(checkpoint="umxhq").stem_names(2) == ("vocals", "drums", "bass", "other")
    with pytest.raises(ModelError, match="there is no drums-5a48008b in"):
        OpenUnmix(checkpoint="umx").stem_names(2)
    with pytest.raises(ModelError, match="two files for vocals"):
        OpenUnmix(checkpoint=str(tmp_path)).stem_names(2)


@pytest.mark.parametrize("wiener", [True, False])
def test_one_stem_leaves_a_residual_and_both_sum(tmp_path, wiener):
    path = tmp_path / "vocals.safetensors"
    save_file(open_unmix_state(0), path)
    stems = OpenUnmix(checkpoint=str(path), wiener=wiener).separate(noise(), RATE)
    assert stems.names == ("vocals", "residual")
    np.testing.assert_allclose(stems.array.sum(0), noise(), atol=1e-5)
    # Masks around a half give either about half of the energy, not all to one.
    energy = np.square(stems.array).sum((1, 2)) / np.square(noise()).sum()
    assert (energy > 0.1).all()


def test_old_files_of_torch_are_read(tmp_path):
    path = tmp_path / "vocals-b62c91ce.pth"
    torch.save(open_unmix_state(0), path, _use_new_zipfile_serialization=False)
    assert OpenUnmix(checkpoint=str(path)).stem_names(2) == ("vocals", "residual")


def test_settings_beside_the_files_are_used(tmp_path):
    torch.save(open_unmix_state(0), tmp_path / "vocals.pth")
    (tmp_path / "separator.json").write_text(json.dumps({"sample_rate": 22050, "nfft": 1024, "nhop": 128}))
    model = OpenUnmix(checkpoint=str(tmp_path)).model()
    assert (model.sample_rate, model.hop) == (22050, 128)
    for text in ("{}", "[", '{"sample_rate": 5, "nhop": 128}', '{"sample_rate": 44100, "nhop": 600}'):
        (tmp_path / "separator.json").write_text(text)
        with pytest.raises(ModelError) as error:
            load(*OpenUnmix(checkpoint=str(tmp_path)).files())
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "change",
    [
        {"fc1.weight": torch.ones(12, 7)},
        {"bn3.bias": torch.ones(3)},
        {"lstm.weight_hh_l0": None},
        {"input_mean": "text"},
    ],
)
def test_other_files_are_refused(tmp_path, change):
    state = {key: value for key, value in {**open_unmix_state(0), **change}.items() if value is not None}
    torch.save(state, tmp_path / "vocals.pth")
    with pytest.raises(ModelError, match="is no state file of Open-Unmix") as error:
        OpenUnmix(checkpoint=str(tmp_path / "vocals.pth")).stem_names(2)
    assert "\n" not in str(error.value)


def test_files_of_different_sizes_do_not_go_together(tmp_path):
    torch.save(open_unmix_state(0), tmp_path / "vocals.pth")
    torch.save(open_unmix_state(0, bins=257, heard=200), tmp_path / "drums.pth")
    with pytest.raises(ModelError, match="do not have the same channels and bins"):
        OpenUnmix(checkpoint=str(tmp_path)).stem_names(2)
    with pytest.raises(ModelError, match="holds no state file"):
        OpenUnmix(checkpoint=str(FOLDER / "tiny-spleeter")).stem_names(2)


# -- the multichannel Wiener filter -------------------------------------------------------------


def spectra(stems, channels, frames=350, bins=17, seed=0):
    """Sources from directions of their own, loud at times of their own: (stems, channels, bins, frames)."""
    rng = np.random.default_rng(seed)
    shape = (stems, 1, bins, frames)
    sources = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    sources *= rng.uniform(0.1, 1, (stems, 1, 1, frames)) ** 2
    directions = rng.standard_normal((stems, channels, bins, 1)) + 1j * rng.standard_normal(
        (stems, channels, bins, 1)
    )
    return (directions * sources).astype(np.complex64)


@pytest.mark.parametrize("channels", [1, 2])
def test_filtered_spectra_sum_to_the_mixture(channels):
    images = spectra(3, channels)
    mixture = images.sum(0)
    found = multichannel_wiener(mixture, np.abs(images))
    assert np.abs(found.sum(0) - mixture).max() < SUM * np.abs(mixture).max()


def test_directions_help_where_magnitudes_alone_do_not():
    images = spectra(2, 2)
    mixture = images.sum(0)
    # Magnitudes that know when and how loud, but not the phase between the channels.
    models = np.abs(images)
    masked = models / models.sum(0) * mixture
    found = multichannel_wiener(mixture, models)

    def error_db(estimate):
        return 10 * np.log10(np.sum(np.abs(estimate - images) ** 2) / np.sum(np.abs(images) ** 2))

    assert error_db(found) < error_db(masked) - 3.0


def test_a_mono_mix_in_stereo_and_silence_stay_finite():
    images = spectra(2, 1)
    mixture = np.repeat(images.sum(0), 2, 0)
    models = np.repeat(np.abs(images), 2, 1)
    mixture[..., 100:200] = 0
    models[..., 100:200] = 0
    found = multichannel_wiener(mixture, models)
    assert np.isfinite(found).all()
    assert not found[..., 100:200].any()
    assert np.abs(found.sum(0) - mixture).max() < SUM * np.abs(mixture).max()
